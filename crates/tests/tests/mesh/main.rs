//! The whole mesh in network namespaces, once with each data plane.

mod broken_input;
mod lifecycle;
mod routing;
