//! HTTP/1.1 on the wire: heads, framing and bodies, without any socket.
//!
//! `httparse` splits a head into lines; it does not judge. A strict pass of
//! our own refuses every message that two servers could read differently.

pub mod chunk;
pub mod framing;
pub mod head;
pub mod known;
pub mod parse;
