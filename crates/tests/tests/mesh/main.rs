//! The whole mesh in network namespaces, once with each data plane.

mod broken_input;
mod databases;
mod explain;
mod lifecycle;
mod names;
mod objects;
mod routing;
