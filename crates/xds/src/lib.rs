//! xds
mod generated {
    #![allow(missing_docs, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/envoy.rs"));
}
pub use generated::*;
