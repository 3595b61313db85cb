//! HTTP connections: requests in, requests out, responses back.
//!
//! The life of a request, top to bottom: [`connection`] reads its head,
//! [`exchange`] decides what happens to it, [`forward`] prepares it for its
//! upstream, [`attempts`] try until one is answered, [`attempt`] sends it upstream and waits for the answer, [`respond`] brings
//! that back, and [`record`] writes down what happened.

pub mod affinity;
pub mod attempt;
pub mod attempts;
pub mod body;
pub mod channel;
pub mod connection;
pub mod cors;
pub mod ends;
pub mod exchange;
pub mod fault;
pub mod forward;
pub mod grpc_frames;
pub mod interim;
pub mod local_reply;
pub mod mirror;
pub mod mutate;
pub mod pause;
pub mod reason;
pub mod record;
pub mod relay;
pub mod request_head;
pub mod respond;
pub mod response_head;
pub mod steering;
pub mod upstream_head;
