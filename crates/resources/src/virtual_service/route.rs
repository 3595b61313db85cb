//! Rules of a VirtualService and the destinations they send to.

use std::time::Duration;

use serde::Deserialize;

use super::action::{
    CorsPolicy, Headers, HttpDirectResponse, HttpFaultInjection, HttpMirrorPolicy, HttpRedirect, HttpRetry,
    HttpRewrite,
};
use super::matching::{HttpMatchRequest, L4MatchAttributes, TlsMatchAttributes};
use crate::field;

/// A rule for HTTP traffic. Exactly one of `route`, `redirect`, `direct_response` and `delegate` is set in a
/// valid object.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRoute {
    /// Name for logs; joined with the name of the match.
    pub name: String,
    /// Alternatives, any of which selects the rule; empty selects every request.
    #[serde(rename = "match")]
    pub matches: Vec<HttpMatchRequest>,
    /// Weighted destinations.
    pub route: Vec<HttpRouteDestination>,
    /// Answer with a redirect instead of forwarding.
    pub redirect: Option<HttpRedirect>,
    /// Answer with a fixed response instead of forwarding.
    pub direct_response: Option<HttpDirectResponse>,
    /// Take the rules of another VirtualService in this place.
    pub delegate: Option<Delegate>,
    /// Change path or authority before forwarding.
    pub rewrite: Option<HttpRewrite>,
    /// Time for the whole request, retries included; none means no limit.
    #[serde(deserialize_with = "field::duration")]
    pub timeout: Option<Duration>,
    /// Retry policy; none means the mesh default.
    pub retries: Option<HttpRetry>,
    /// Delay or abort requests on purpose.
    pub fault: Option<HttpFaultInjection>,
    /// Send a copy here and ignore the answer.
    pub mirror: Option<Destination>,
    /// Copies, each with its own share of the traffic.
    pub mirrors: Vec<HttpMirrorPolicy>,
    /// Deprecated spelling of `mirror_percentage` in whole percent.
    pub mirror_percent: Option<u32>,
    /// Share of the traffic that `mirror` copies; none means all.
    #[serde(deserialize_with = "field::percent")]
    pub mirror_percentage: Option<f64>,
    /// Cross-origin policy.
    pub cors_policy: Option<CorsPolicy>,
    /// Header operations for every destination of the rule.
    pub headers: Option<Headers>,
}

/// A rule for TLS passed through.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsRoute {
    /// Alternatives, any of which selects the rule.
    #[serde(rename = "match")]
    pub matches: Vec<TlsMatchAttributes>,
    /// Weighted destinations.
    pub route: Vec<RouteDestination>,
}

/// A rule for opaque TCP.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpRoute {
    /// Alternatives, any of which selects the rule; empty selects every connection.
    #[serde(rename = "match")]
    pub matches: Vec<L4MatchAttributes>,
    /// Weighted destinations.
    pub route: Vec<RouteDestination>,
}

/// A destination of an HTTP rule and its share.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRouteDestination {
    /// Where to.
    pub destination: Destination,
    /// Share relative to the sum of all weights. A single destination takes everything whatever its weight.
    pub weight: u32,
    /// Header operations for this destination only.
    pub headers: Option<Headers>,
}

/// A destination of a TLS or TCP rule and its share.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteDestination {
    /// Where to.
    pub destination: Destination,
    /// Share relative to the sum of all weights. A single destination takes everything whatever its weight.
    pub weight: u32,
}

/// A service, perhaps a subset of it, perhaps one of its ports.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Destination {
    /// Service name; a short name is completed with the namespace of the object that says it.
    pub host: String,
    /// Subset declared by a DestinationRule of the host; empty for the whole service.
    pub subset: String,
    /// Service port; none when the service has only one, or the port of the request.
    #[serde(deserialize_with = "field::port_selector")]
    pub port: Option<u16>,
}

/// Another VirtualService whose HTTP rules stand in this place.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Delegate {
    /// Its name.
    pub name: String,
    /// Its namespace; empty means the same as the root's.
    pub namespace: String,
}
