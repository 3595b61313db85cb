//! The answer as data: what people read and programs parse.

use std::net::SocketAddr;
use std::time::Duration;

use routing::compile::{Kind, Rejection};
use routing::fault::{Abort, Fault};
use routing::header_mutation::{AppendAction, HeaderMutations, HeaderValue};
use routing::retry::RetryPolicy;
use routing::rewrite::HostRewrite;
use serde::{Deserialize, Serialize};

use super::resolve::{OUTSIDE, Resolved, ResolvedBy};

/// The way of one request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// What the host resolved to.
    pub destination: SocketAddr,
    /// The object that has the host; none: the address was written out, or
    /// stands for some address outside.
    pub resolved_by: Option<String>,
    /// Whether the address only stands for one that the mesh does not know.
    pub is_outside: bool,
    /// The listener that has the connection.
    pub listener: Option<String>,
    /// Its filter chain, where that has a name.
    pub filter_chain: Option<String>,
    /// The route configuration.
    pub route_configuration: Option<String>,
    /// The virtual host.
    pub virtual_host: Option<String>,
    /// The route's name.
    pub route: Option<String>,
    /// The rule that made the route.
    pub rule: Option<Place>,
    /// What happens.
    pub answer: Answer,
    /// What there is instead, when the answer is none that anybody wants.
    pub help: Option<String>,
    /// Resources that the proxy could not use.
    pub rejected: Vec<RejectedResource>,
}

impl Explanation {
    /// One about which nothing is known yet.
    pub(super) fn to(resolved: &Resolved) -> Self {
        Self {
            destination: resolved.address,
            resolved_by: match &resolved.by {
                ResolvedBy::Object { key, .. } => Some(key.to_string()),
                ResolvedBy::Itself | ResolvedBy::Nobody => None,
            },
            is_outside: resolved.address.ip() == OUTSIDE,
            listener: None,
            filter_chain: None,
            route_configuration: None,
            virtual_host: None,
            route: None,
            rule: None,
            answer: Answer::NotListening,
            help: None,
            rejected: Vec::new(),
        }
    }
}

/// A resource that the proxy could not use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RejectedResource {
    /// `Listener`, `Cluster`, …
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
}

impl RejectedResource {
    pub(super) fn of(rejection: &Rejection) -> Self {
        let kind = match rejection.kind {
            Kind::Cluster => "Cluster",
            Kind::Endpoints => "ClusterLoadAssignment",
            Kind::Listener => "Listener",
            Kind::Routes => "RouteConfiguration",
        };
        Self { kind: kind.to_owned(), name: rejection.name.clone(), reason: rejection.reason.to_string() }
    }
}

/// What happens to a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "is")]
#[expect(clippy::large_enum_variant, reason = "one answer is made at a time, to be shown")]
pub enum Answer {
    /// No listener takes the connection.
    NotListening,
    /// The connection is closed.
    Closed,
    /// 404: no route matches.
    NoRoute,
    /// The client is sent elsewhere.
    Redirect {
        /// With this status.
        status: u16,
        /// To this address.
        location: String,
    },
    /// The proxy answers itself.
    Respond {
        /// With this status.
        status: u16,
        /// And this body.
        body: String,
    },
    /// The bytes go on as they are.
    Tcp {
        /// Where to, by share.
        destinations: Vec<Destination>,
    },
    /// The request goes on.
    Forward {
        /// Where to, by share.
        destinations: Vec<Destination>,
        /// All attempts together; absent: for ever.
        #[serde(with = "seconds")]
        timeout: Option<Duration>,
        /// Whether it is tried again.
        retries: Option<Retries>,
        /// What is injected.
        faults: Option<Faults>,
        /// The path upstream, where it is rewritten.
        path: Option<String>,
        /// The host upstream, where it is rewritten.
        host: Option<String>,
        /// What happens to the request's headers, in words.
        request_headers: Vec<String>,
        /// What happens to the response's headers, in words.
        response_headers: Vec<String>,
        /// Who gets copies.
        mirrors: Vec<Mirror>,
    },
}

/// A cluster and who is behind it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Destination {
    /// Its name.
    pub cluster: String,
    /// Its share of the requests.
    pub percent: f64,
    /// Whether the proxy holds it; without it the answer is 503.
    pub exists: bool,
    /// The object that defines it.
    pub defined_by: Option<Place>,
    /// The endpoints that can be chosen.
    pub endpoints: Vec<EndpointView>,
    /// The host upstream, where this share's is rewritten.
    pub host: Option<String>,
    /// What happens to this share's request headers, in words.
    pub request_headers: Vec<String>,
    /// What happens to this share's response headers, in words.
    pub response_headers: Vec<String>,
}

/// A cluster that gets copies of requests.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mirror {
    /// Its name.
    pub cluster: String,
    /// Its share of the requests.
    pub percent: f64,
}

/// An endpoint that can be chosen.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointView {
    /// Where it listens.
    pub address: String,
    /// The workload behind it.
    pub workload: Option<String>,
}

/// An object, a field in it, and where that stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// `VirtualService/default/reviews`.
    pub object: String,
    /// `http[1]`.
    pub path: String,
    /// The file.
    pub file: Option<String>,
    /// The line in it.
    pub line: Option<u32>,
}

/// Whether and when a request is tried again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retries {
    /// Attempts after the first.
    pub attempts: u32,
    /// How long one attempt may take.
    #[serde(with = "seconds")]
    pub per_try_timeout: Option<Duration>,
}

impl Retries {
    pub(super) fn of(policy: &RetryPolicy) -> Self {
        Self { attempts: policy.attempts, per_try_timeout: policy.per_try_timeout }
    }
}

/// What is injected.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Faults {
    /// The wait.
    #[serde(with = "seconds")]
    pub delay: Option<Duration>,
    /// Its share of the requests.
    pub delay_percent: f64,
    /// `HTTP 500` or `gRPC 14`.
    pub abort: Option<String>,
    /// Its share of the requests.
    pub abort_percent: f64,
}

impl Faults {
    pub(super) fn of(fault: &Fault) -> Self {
        let delay = fault.delay();
        let abort = fault.abort();
        Self {
            delay: delay.map(|(_, wait)| wait),
            delay_percent: delay.map_or(0.0, |(share, _)| share),
            abort: abort.map(|(_, with)| match with {
                Abort::Http(status) => format!("HTTP {status}"),
                Abort::Grpc(status) => format!("gRPC {status}"),
            }),
            abort_percent: abort.map_or(0.0, |(share, _)| share),
        }
    }
}

/// What one level of configuration does to headers, in words.
pub(super) fn header_changes(mutations: &HeaderMutations) -> Vec<String> {
    let removals = mutations.remove.iter().map(|name| format!("remove {name}"));
    let additions = mutations.add.iter().map(|addition| {
        let verb = match addition.action {
            AppendAction::Append => "add",
            AppendAction::AddIfAbsent => "add if absent",
            AppendAction::Overwrite => "set",
            AppendAction::OverwriteIfExists => "replace",
        };
        let value = match &addition.value {
            HeaderValue::Literal(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            HeaderValue::Format(format) => format.to_string(),
        };
        format!("{verb} {}: {value}", addition.name)
    });
    removals.chain(additions).collect()
}

/// What replaces the host, in words where it is not the same for all.
pub(super) fn host_rewrite(rewrite: &HostRewrite) -> String {
    match rewrite {
        HostRewrite::Literal(host) => host.to_string(),
        HostRewrite::EndpointName => "the endpoint's name".to_owned(),
        HostRewrite::Header(name) => format!("the value of header {name}"),
        HostRewrite::Path(_) => "made of the path".to_owned(),
    }
}

/// Durations as seconds.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "the shape that serde's `with` asks for")]
    pub(super) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(|duration| duration.as_secs_f64()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<f64>::deserialize(deserializer)?
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()))
    }
}
