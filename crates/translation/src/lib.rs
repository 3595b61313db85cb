//! The whole mesh and one node, turned into that node's xDS.
//!
//! Objects come in as [`snapshot::Change`]s and are kept in a
//! [`snapshot::Snapshot`]: immutable, indexed, cheap to clone, and equal
//! whether it was built step by step or at once. [`Generator::generate`] (or
//! [`generate`] without a memory) names every resource of a node first and
//! builds each from a key that holds all it reads, so that equal keys share one
//! encoding and a change rebuilds only what reads it.
//!
//! Names are Istio's to the letter. Every route, cluster and filter chain says
//! where it comes from (`xds::origin`). Nothing whose type the node does not
//! hold is ever sent ([`extensions`]).
//!
//! This crate reads no file, clock or network; `config-store` brings the
//! objects, `control-plane` sends the result, `routing` reads it at the other
//! end.

mod address;
mod cluster;
mod endpoint;
pub mod extensions;
mod generator;
pub mod host;
mod listener;
pub mod memo;
pub mod mesh;
mod mutual_tls;
mod name_table;
pub mod node;
pub mod protocol;
mod route;
mod scope;
mod server_tls;
pub mod service;
pub mod snapshot;
mod telemetry;
mod visibility;

pub use generator::{Generator, generate};
