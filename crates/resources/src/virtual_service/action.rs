//! What a rule of a VirtualService does to a request besides choosing its destination.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::matching::StringMatch;
use super::route::Destination;
use crate::field;

/// Header operations on the way there and back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Headers {
    /// On the request, before it is forwarded.
    pub request: Option<HeaderOperations>,
    /// On the response, before it is returned.
    pub response: Option<HeaderOperations>,
}

/// Changes to a list of headers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HeaderOperations {
    /// Replace the value, or add the header.
    pub set: BTreeMap<String, String>,
    /// Add another value.
    pub add: BTreeMap<String, String>,
    /// Take the header away.
    pub remove: Vec<String>,
}

/// A redirect that the proxy answers with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "RawHttpRedirect")]
pub struct HttpRedirect {
    /// New path; empty keeps the path.
    pub uri: String,
    /// New prefix in place of the matched one; empty keeps the path.
    pub prefix_rewrite: String,
    /// New authority; empty keeps it.
    pub authority: String,
    /// New port; none keeps it.
    pub port: Option<RedirectPort>,
    /// New scheme; empty keeps it.
    pub scheme: String,
    /// Status of the answer; none means 301.
    pub redirect_code: Option<u16>,
}

/// The port that a redirect points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedirectPort {
    /// This one (`port`).
    Number(u16),
    /// 80 for http and 443 for https (`derivePort: FROM_PROTOCOL_DEFAULT`).
    ProtocolDefault,
    /// The one the request came to (`derivePort: FROM_REQUEST_PORT`).
    RequestPort,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawHttpRedirect {
    uri: String,
    authority: String,
    port: Option<u16>,
    derive_port: Option<DerivePort>,
    scheme: String,
    redirect_code: Option<u16>,
    prefix_rewrite: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum DerivePort {
    FromProtocolDefault,
    FromRequestPort,
}

impl TryFrom<RawHttpRedirect> for HttpRedirect {
    type Error = String;

    fn try_from(raw: RawHttpRedirect) -> Result<Self, String> {
        let derived = raw.derive_port.map(|derive| match derive {
            DerivePort::FromProtocolDefault => RedirectPort::ProtocolDefault,
            DerivePort::FromRequestPort => RedirectPort::RequestPort,
        });
        let port =
            field::at_most_one([("port", raw.port.map(RedirectPort::Number)), ("derivePort", derived)])?;
        Ok(Self {
            uri: raw.uri,
            prefix_rewrite: raw.prefix_rewrite,
            authority: raw.authority,
            port,
            scheme: raw.scheme,
            redirect_code: raw.redirect_code,
        })
    }
}

/// A fixed response that the proxy answers with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpDirectResponse {
    /// Status of the answer.
    pub status: u32,
    /// Body of the answer; none means empty.
    pub body: Option<DirectResponseBody>,
}

/// The body of a fixed response.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawBody")]
pub enum DirectResponseBody {
    /// As text.
    Text(String),
    /// As bytes (base64 in YAML).
    Bytes(Vec<u8>),
}

impl DirectResponseBody {
    /// The bytes on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawBody {
    string: Option<String>,
    #[serde(deserialize_with = "field::base64")]
    bytes: Option<Vec<u8>>,
}

impl TryFrom<RawBody> for DirectResponseBody {
    type Error = String;

    fn try_from(raw: RawBody) -> Result<Self, String> {
        let choices = [("string", raw.string.map(Self::Text)), ("bytes", raw.bytes.map(Self::Bytes))];
        Ok(field::at_most_one(choices)?.unwrap_or_else(|| Self::Text(String::new())))
    }
}

/// Changes to path and authority before forwarding.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRewrite {
    /// New path, or new prefix where the rule matched a prefix; empty keeps the path.
    pub uri: String,
    /// New authority; empty keeps it.
    pub authority: String,
    /// Replacement by expression.
    pub uri_regex_rewrite: Option<RegexRewrite>,
}

/// A replacement of what an expression matches in the path.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RegexRewrite {
    /// RE2 expression.
    #[serde(rename = "match")]
    pub pattern: String,
    /// Replacement; `\1` stands for the first group.
    pub rewrite: String,
}

/// When and how often to try again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRetry {
    /// Further attempts after the first; 0 turns retries off.
    pub attempts: u32,
    /// Time for each attempt; none means the time of the route.
    #[serde(deserialize_with = "field::duration")]
    pub per_try_timeout: Option<Duration>,
    /// Conditions, separated by commas; empty means the mesh default.
    pub retry_on: String,
    /// Whether other localities may be tried.
    pub retry_remote_localities: Option<bool>,
    /// Whether hosts already tried are avoided; none means yes.
    pub retry_ignore_previous_hosts: Option<bool>,
    /// Least time between attempts; none means 25 ms.
    #[serde(deserialize_with = "field::duration")]
    pub backoff: Option<Duration>,
}

/// Cross-origin policy.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CorsPolicy {
    /// Deprecated list of exact origins.
    pub allow_origin: Vec<String>,
    /// Origins that may call.
    pub allow_origins: Vec<StringMatch>,
    /// Methods that may be used.
    pub allow_methods: Vec<String>,
    /// Request headers that may be sent.
    pub allow_headers: Vec<String>,
    /// Response headers that a script may read.
    pub expose_headers: Vec<String>,
    /// How long the answer to a preflight may be kept.
    #[serde(deserialize_with = "field::duration")]
    pub max_age: Option<Duration>,
    /// Whether credentials may be sent.
    pub allow_credentials: Option<bool>,
    /// What happens to preflights from other origins.
    pub unmatched_preflights: UnmatchedPreflights,
}

/// What happens to a preflight whose origin no rule allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum UnmatchedPreflights {
    /// Not said; forwarded.
    #[default]
    Unspecified,
    /// Forwarded to the destination.
    Forward,
    /// Not forwarded.
    Ignore,
}

/// Faults made on purpose.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpFaultInjection {
    /// Wait before forwarding.
    pub delay: Option<Delay>,
    /// Answer with an error instead of forwarding.
    pub abort: Option<Abort>,
}

/// A wait before forwarding.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Delay {
    /// How long.
    #[serde(deserialize_with = "field::duration")]
    pub fixed_delay: Option<Duration>,
    /// Not supported by Istio either; validation refuses it.
    #[serde(deserialize_with = "field::duration")]
    pub exponential_delay: Option<Duration>,
    /// Deprecated spelling of `percentage` in whole percent.
    pub percent: u32,
    /// Share of the requests; none means none, unless `percent` says otherwise.
    #[serde(deserialize_with = "field::percent")]
    pub percentage: Option<f64>,
}

impl Delay {
    /// Share of the requests, 0 to 100, whichever field says it.
    pub fn share(&self) -> f64 {
        self.percentage.unwrap_or(f64::from(self.percent))
    }
}

/// An error in place of an answer.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(try_from = "RawAbort")]
pub struct Abort {
    /// The error; none means that nothing is aborted.
    pub error: Option<AbortError>,
    /// Share of the requests; none means none.
    pub percentage: Option<f64>,
}

/// The error that an abort answers with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AbortError {
    /// An HTTP status.
    HttpStatus(u32),
    /// A gRPC status by name, such as `UNAVAILABLE`.
    GrpcStatus(String),
    /// Not supported by Istio either; validation refuses it.
    Http2Error(String),
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawAbort {
    http_status: Option<u32>,
    grpc_status: Option<String>,
    http2_error: Option<String>,
    #[serde(deserialize_with = "field::percent")]
    percentage: Option<f64>,
}

impl TryFrom<RawAbort> for Abort {
    type Error = String;

    fn try_from(raw: RawAbort) -> Result<Self, String> {
        let error = field::at_most_one([
            ("httpStatus", raw.http_status.map(AbortError::HttpStatus)),
            ("grpcStatus", raw.grpc_status.map(AbortError::GrpcStatus)),
            ("http2Error", raw.http2_error.map(AbortError::Http2Error)),
        ])?;
        Ok(Self { error, percentage: raw.percentage })
    }
}

/// A copy of the traffic.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpMirrorPolicy {
    /// Where the copy goes.
    pub destination: Destination,
    /// Share of the traffic; none means all.
    #[serde(deserialize_with = "field::percent")]
    pub percentage: Option<f64>,
}
