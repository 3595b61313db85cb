//! VirtualService: where requests and connections for a host go, and what happens to them on the way.
//!
//! The types mirror `networking.istio.io` field by field. Fields keep Istio's meaning and default; where
//! Istio has a `oneof`, there is an enum here.
//!
//! # Manual
//!
#![doc = include_str!("manual.md")]

mod action;
mod matching;
mod route;
pub(crate) mod validate;

pub use action::{
    Abort, AbortError, CorsPolicy, Delay, DirectResponseBody, HeaderOperations, Headers, HttpDirectResponse,
    HttpFaultInjection, HttpMirrorPolicy, HttpRedirect, HttpRetry, HttpRewrite, RedirectPort, RegexRewrite,
    UnmatchedPreflights,
};
pub use matching::{HttpMatchRequest, L4MatchAttributes, StringMatch, TlsMatchAttributes};
pub use route::{
    Delegate, Destination, HttpRoute, HttpRouteDestination, RouteDestination, TcpRoute, TlsRoute,
};

use serde::Deserialize;

/// The name that stands for every sidecar in a list of gateways.
pub const MESH_GATEWAY: &str = "mesh";

/// Routing rules for one or more hosts.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualService {
    /// Hosts whose traffic is routed: names (short names are completed with the object's namespace),
    /// wildcard prefixes, addresses. Empty only in a delegate.
    pub hosts: Vec<String>,
    /// Gateways that apply the rules, `name` or `namespace/name`; [`MESH_GATEWAY`] stands for all sidecars.
    /// Empty means sidecars only.
    pub gateways: Vec<String>,
    /// Rules for HTTP traffic; the first that matches is taken.
    pub http: Vec<HttpRoute>,
    /// Rules for TLS that is passed through, chosen by SNI.
    pub tls: Vec<TlsRoute>,
    /// Rules for opaque TCP.
    pub tcp: Vec<TcpRoute>,
    /// Namespaces that may see the object: `*` all, `.` its own, `~` none, or names. Empty means the mesh default.
    pub export_to: Vec<String>,
}

impl VirtualService {
    /// Whether sidecars apply these rules.
    pub fn applies_to_mesh(&self) -> bool {
        self.gateways.is_empty() || self.gateways.iter().any(|name| name == MESH_GATEWAY)
    }
}
