//! The data path as a whole, in this process: a proxy on a static
//! configuration or a scripted control plane, in front of small backends.

mod ads;
mod backend;
mod balancing;
mod beside_envoy;
mod client;
mod forwarding;
mod mirroring;
mod overload;
mod protection;
mod reporting;
mod setup;
mod strictness;
mod tcp;
