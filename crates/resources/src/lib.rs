//! Every kind a user writes: type, defaults, validation, manual.
//!
//! Text comes in, [`Object`]s and [`Problem`]s come out; nothing here reads a file, a clock or a network.

#[cfg(test)]
mod cases;
pub mod config_map;
mod decode;
pub mod deployment;
pub mod destination_rule;
pub mod field;
pub mod fuzz;
pub mod gateway;
pub mod host;
mod kind;
pub mod metadata;
pub mod namespace;
mod object;
mod parse;
pub mod path;
pub mod pod;
mod problem;
mod references;
pub mod secret;
pub mod service;
pub mod service_account;
pub mod service_entry;
pub mod sidecar;
mod source;
mod validate;
pub mod virtual_service;
pub mod yaml;

pub use kind::Kind;
pub use metadata::ObjectMeta;
pub use object::{Object, ObjectKey, Spec};
pub use parse::{Parsed, parse, parse_json};
pub use problem::{Code, Problem, Severity};
pub use references::validate_references;
pub use source::{Position, Source};
