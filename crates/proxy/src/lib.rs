//! Sidecar and gateway: the data path and its agent.

pub mod agent;
