//! Questions about a mesh, answered by the functions that run it.
//!
//! [`explain`] asks the compiled configuration of one proxy what it would do
//! with a request, without a socket. Nothing here decides anything itself:
//! the answer is `routing`'s decision, written out with the object and field
//! that caused each part.
//!
//! The crate does no I/O; names are resolved and origins located by the
//! caller's functions.

pub mod explain;
