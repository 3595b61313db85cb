//! The answer as data: what people read and programs parse.

use std::net::SocketAddr;
use std::time::Duration;

use routing::fault::{Abort, Fault};
use routing::header_mutation::{AppendAction, HeaderMutations, HeaderValue};
use routing::retry::RetryPolicy;
use serde::{Deserialize, Serialize};

/// The way of one request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// What the host resolved to.
    pub destination: SocketAddr,
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
}

impl Explanation {
    /// One about which nothing is known yet.
    pub(super) fn to(destination: SocketAddr) -> Self {
        Self {
            destination,
            listener: None,
            filter_chain: None,
            route_configuration: None,
            virtual_host: None,
            route: None,
            rule: None,
            answer: Answer::NotListening,
        }
    }
}

/// What happens to a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "is")]
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
        /// What happens to the request's headers, in words.
        request_headers: Vec<String>,
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
