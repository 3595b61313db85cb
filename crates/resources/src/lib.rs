//! Every kind a user writes: type, defaults, validation, manual.
//!
//! Text comes in, [`Object`]s and [`Problem`]s come out; nothing here reads a file, a clock or a network. Text is
//! read once, by [`parse`]: YAML or JSON becomes a tree that knows where everything stands, the tree becomes a typed
//! value, the value is checked by the rules of its kind. Every problem is found at once, with file, line, column,
//! field, reason and help; an object with an error is left out, the others are not affected.
//!
//! Each kind has a folder: its types, its rules, its manual page. What objects say of each other is checked by
//! [`validate_references`], which needs all of them.
//!
//! ```
//! let text = "
//! apiVersion: networking.istio.io/v1
//! kind: VirtualService
//! metadata:
//!   name: reviews
//! spec:
//!   hosts: [reviews]
//!   http:
//!   - route:
//!     - destination: {host: reviews}
//!       weight: -1
//! ";
//! let parsed = resources::parse("reviews.yaml", text, "default");
//! let problem = &parsed.problems[0];
//! assert_eq!(
//!     problem.to_string(),
//!     "reviews.yaml:11:15: error[LT0303]: `weight` must not be negative, but is -1"
//! );
//! assert_eq!(problem.path, "spec.http[0].route[0].weight");
//! assert!(parsed.objects.is_empty());
//! ```

pub mod config_map;
mod decode;
pub mod deployment;
pub mod destination_rule;
pub mod field;
pub mod fuzz;
pub mod gateway;
pub mod host;
mod kind;
mod manual;
pub mod mesh_config;
pub mod metadata;
pub mod namespace;
mod object;
mod parse;
pub mod path;
pub mod peer_authentication;
pub mod pod;
mod problem;
mod references;
pub mod secret;
pub mod service;
pub mod service_account;
pub mod service_entry;
pub mod sidecar;
mod source;
#[cfg(test)]
mod test_cases;
mod validate;
pub mod virtual_service;
pub mod yaml;

pub use kind::Kind;
pub use manual::manual;
pub use metadata::ObjectMeta;
pub use object::{Object, ObjectKey, Spec};
pub use parse::{Parsed, parse, parse_json};
pub use problem::{Code, Problem, Severity};
pub use references::validate_references;
pub use source::{Position, Source};
