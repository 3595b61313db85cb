//! Sidecar and gateway: the data path and its agent.

pub mod agent;
pub mod alarm;
pub mod buffer;
pub mod chain;
pub mod control;
pub mod dns;
pub mod flags;
pub mod http;
pub mod http1;
pub mod identities;
pub mod identity;
pub mod inspect;
pub mod io;
pub mod listen;
pub mod logs;
pub mod report;
pub mod shared;
pub mod start;
pub mod static_config;
pub mod stats;
pub mod supervisor;
pub mod tcp;
pub mod thread;
pub mod upstream;
pub mod worker;
