//! A mesh under test: started, asked and ended through the same binary, the
//! same commands and the same sockets that a person uses.

pub mod bookinfo;
pub mod differential;
pub mod http;
pub mod load;
pub mod mesh;
pub mod namespace;
pub mod soak;
