//! Envoy's v3 messages and the xDS protocol, both halves.
//!
//! The messages are generated at build time from Envoy's own protos: every
//! package is a module (`xds::envoy::config::cluster::v3::Cluster`). All maps
//! are ordered, so equal messages have equal bytes.
//! Around them stand the few things that both ends of the wire need:
//! packing into [`any`], the type names of resources in [`type_url`], the
//! [`subscription`] state machines, where a resource came from ([`origin`]),
//! [`json`] for people, and Istio's own messages in [`istio`].
//!
//! It never opens a connection and never decides what a resource should hold:
//! `translation` builds resources, `routing` reads them, and the programs move
//! the bytes.
//!
//! ```
//! use xds::envoy::config::cluster::v3::Cluster;
//!
//! let cluster = Cluster { name: "BlackHoleCluster".to_owned(), ..Cluster::default() };
//! let packed = xds::any::pack(&cluster);
//! assert_eq!(packed.type_url, xds::type_url::CLUSTER);
//! assert_eq!(xds::any::unpack::<Cluster>(&packed), Ok(cluster));
//! ```

pub mod any;
pub mod istio;
pub mod json;
pub mod origin;
pub mod resource;
pub mod subscription;
pub mod type_url;

mod generated {
    #![allow(missing_docs, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/envoy.rs"));
}
pub use generated::*;
