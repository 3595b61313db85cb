//! Gateway: which ports a gateway listens on, for which hosts, and how they are secured.
//!
//! # Manual
//!
#![doc = include_str!("manual.md")]

mod tls;
pub(crate) mod validate;

pub use tls::{ServerTlsMode, ServerTlsSettings, TlsCertificate, TlsProtocol};

use std::collections::BTreeMap;

use serde::Deserialize;

/// Servers on the workloads that carry some labels.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Gateway {
    /// The servers.
    pub servers: Vec<Server>,
    /// Labels that a gateway workload must carry.
    pub selector: BTreeMap<String, String>,
}

/// One port, its hosts and its security.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Server {
    /// The port.
    pub port: Option<Port>,
    /// Address or socket to listen on; empty means every address.
    pub bind: String,
    /// Hosts, `namespace/name` or `name`, wildcard prefixes allowed.
    pub hosts: Vec<String>,
    /// How connections are secured.
    pub tls: Option<ServerTlsSettings>,
    /// Where traffic goes by default.
    pub default_endpoint: String,
    /// Name, unique in the object when set.
    pub name: String,
}

/// A port of a server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// `HTTP`, `HTTPS`, `GRPC`, `GRPC-WEB`, `HTTP2`, `MONGO`, `TCP`, `TLS` and so on.
    pub protocol: String,
    /// Its name.
    pub name: String,
    /// Deprecated, without effect here.
    pub target_port: u16,
}
