//! TLS on the data path, by rustls.
//!
//! [`contexts`] makes rustls configurations of what listeners and clusters
//! say and of the secrets that are there; [`verify`] judges peers as Envoy
//! does; [`handshake`] turns a socket into a [`stream::TlsStream`];
//! [`certificate`] reads what peers have shown, for logs and headers; and
//! [`failure`] says in words why there is no connection.

pub mod certificate;
pub mod contexts;
pub mod failure;
pub mod forwarded;
pub mod handshake;
pub mod material;
pub mod session;
pub mod stats;
pub mod stream;
pub mod verify;
