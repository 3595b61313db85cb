//! Our proxy beside stock Envoy, on configurations and requests drawn at
//! random: the same control plane feeds both, the same bytes go through both,
//! and whatever people can see of what comes of it must be the same.
//!
//! A difference is made small, and printed as YAML with the seed it came from.
//! What may differ is the list in `testkit::mask`.

pub mod access_log;
pub mod compare;
pub mod generate;
pub mod http2;
pub mod metrics;
pub mod planes;
pub mod request;
pub mod run;
pub mod server;
pub mod shrink;
pub mod world;
