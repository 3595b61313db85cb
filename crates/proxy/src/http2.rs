//! HTTP/2: streams on connections of clients and to upstreams.
//!
//! Frames, header compression, flow control and the limits against abuse are
//! the `h2` crate's; this is the only place that knows it and its header
//! map. Everything else sees heads ([`crate::http1::head::Head`]) and bodies
//! that are pulled.

pub mod client;
pub mod head;
pub mod keepalive;
pub mod server;
pub mod stream;
mod wire;
