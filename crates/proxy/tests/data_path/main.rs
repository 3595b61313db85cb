//! The data path as a whole, in this process: a proxy on a static
//! configuration or a scripted control plane, in front of small backends.

mod abuse;
mod ads;
mod backend;
mod balancing;
mod beside_envoy;
mod between_versions;
mod client;
mod connection_limits;
mod forwarding;
mod grpc;
mod hostile_upstreams;
mod hot_restart;
mod http2;
mod keepalive;
mod local_replies;
mod mirroring;
mod overload;
mod peers;
mod protection;
mod proxy_protocol;
mod reporting;
mod setup;
mod steering;
mod strictness;
mod tcp;
mod tls;
mod upgrades;
