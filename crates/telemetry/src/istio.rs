//! Istio's standard metrics: their names, and every label of them.

use crate::metrics::{Counter, Histogram, Metric, Registry, Series};

/// What a label holds whose value nobody knows.
pub const UNKNOWN: &str = "unknown";

const REQUESTS: Metric = Metric { name: "istio_requests_total", help: "" };
const DURATION: Metric = Metric { name: "istio_request_duration_milliseconds", help: "" };
const REQUEST_BYTES: Metric = Metric { name: "istio_request_bytes", help: "" };
const RESPONSE_BYTES: Metric = Metric { name: "istio_response_bytes", help: "" };
const REQUEST_MESSAGES: Metric = Metric { name: "istio_request_messages_total", help: "" };
const RESPONSE_MESSAGES: Metric = Metric { name: "istio_response_messages_total", help: "" };
const TCP_OPENED: Metric = Metric { name: "istio_tcp_connections_opened_total", help: "" };
const TCP_CLOSED: Metric = Metric { name: "istio_tcp_connections_closed_total", help: "" };
const TCP_SENT: Metric = Metric { name: "istio_tcp_sent_bytes_total", help: "" };
const TCP_RECEIVED: Metric = Metric { name: "istio_tcp_received_bytes_total", help: "" };

/// One side of a request or connection. An empty field is unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Workload {
    /// The workload's name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its canonical service.
    pub canonical_service: String,
    /// The revision of that.
    pub canonical_revision: String,
    /// Its `app` label.
    pub app: String,
    /// Its `version` label.
    pub version: String,
    /// Its cluster.
    pub cluster: String,
    /// Who it proved to be.
    pub principal: String,
}

/// Everything that tells one series from another.
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a> {
    /// `source`, `destination` or `waypoint`.
    pub reporter: &'a str,
    /// The client.
    pub source: &'a Workload,
    /// The server.
    pub destination: &'a Workload,
    /// The host of the service that was asked for.
    pub service: &'a str,
    /// Its short name.
    pub service_name: &'a str,
    /// Its namespace.
    pub service_namespace: &'a str,
    /// `http`, `grpc` or `tcp`.
    pub protocol: &'a str,
    /// The response flags, `-` for none.
    pub flags: &'a str,
    /// `mutual_tls`, `none` or `unknown`.
    pub security: &'a str,
    /// The status of the response; HTTP only.
    pub response_code: &'a str,
    /// The status of gRPC; empty for anything else.
    pub grpc_status: &'a str,
    /// Labels that are left away.
    pub without: &'a [String],
}

/// The metrics of one series of requests.
#[derive(Debug)]
pub struct RequestMetrics {
    /// How many.
    pub requests: Counter,
    /// How long they took.
    pub duration: Histogram,
    /// How much the clients sent.
    pub request_bytes: Histogram,
    /// How much they got.
    pub response_bytes: Histogram,
    /// Messages of gRPC in requests and in responses.
    messages: Option<(Counter, Counter)>,
}

/// The metrics of one series of connections.
#[derive(Debug)]
pub struct TcpMetrics {
    /// How many began.
    pub opened: Counter,
    /// How many ended.
    pub closed: Counter,
    /// How much went to the clients.
    pub sent: Counter,
    /// How much came from them.
    pub received: Counter,
}

impl RequestMetrics {
    /// The handles of a series.
    pub fn new(registry: &Registry, labels: &Labels<'_>) -> RequestMetrics {
        let mut all = common(labels);
        all.push(("response_code", or_unknown(labels.response_code)));
        all.push(("grpc_response_status", labels.grpc_status));
        let all = wanted(all, labels.without);
        let series = Series { labels: &all, dotted: "" };
        RequestMetrics {
            requests: registry.counter(REQUESTS, series),
            duration: registry.histogram(DURATION, series),
            request_bytes: registry.histogram(REQUEST_BYTES, series),
            response_bytes: registry.histogram(RESPONSE_BYTES, series),
            messages: (labels.protocol == "grpc").then(|| {
                (registry.counter(REQUEST_MESSAGES, series), registry.counter(RESPONSE_MESSAGES, series))
            }),
        }
    }

    /// Counts a finished request.
    pub fn record(&self, milliseconds: u64, request_bytes: u64, response_bytes: u64) {
        self.requests.increment();
        self.duration.record(milliseconds);
        self.request_bytes.record(request_bytes);
        self.response_bytes.record(response_bytes);
    }

    /// Counts the messages of a finished gRPC request.
    pub fn record_messages(&self, requests: u64, responses: u64) {
        if let Some((of_requests, of_responses)) = &self.messages {
            of_requests.add(requests);
            of_responses.add(responses);
        }
    }
}

impl TcpMetrics {
    /// The handles of a series.
    pub fn new(registry: &Registry, labels: &Labels<'_>) -> TcpMetrics {
        let all = wanted(common(labels), labels.without);
        let series = Series { labels: &all, dotted: "" };
        TcpMetrics {
            opened: registry.counter(TCP_OPENED, series),
            closed: registry.counter(TCP_CLOSED, series),
            sent: registry.counter(TCP_SENT, series),
            received: registry.counter(TCP_RECEIVED, series),
        }
    }
}

fn common<'a>(labels: &Labels<'a>) -> Vec<(&'a str, &'a str)> {
    let (source, destination) = (labels.source, labels.destination);
    vec![
        ("reporter", labels.reporter),
        ("source_workload", or_unknown(&source.name)),
        ("source_canonical_service", or_unknown(&source.canonical_service)),
        ("source_canonical_revision", or_latest(source)),
        ("source_workload_namespace", or_unknown(&source.namespace)),
        ("source_principal", or_unknown(&source.principal)),
        ("source_app", or_unknown(&source.app)),
        ("source_version", or_unknown(&source.version)),
        ("source_cluster", or_unknown(&source.cluster)),
        ("destination_workload", or_unknown(&destination.name)),
        ("destination_workload_namespace", or_unknown(&destination.namespace)),
        ("destination_principal", or_unknown(&destination.principal)),
        ("destination_app", or_unknown(&destination.app)),
        ("destination_version", or_unknown(&destination.version)),
        ("destination_service", or_unknown(labels.service)),
        ("destination_canonical_service", or_unknown(&destination.canonical_service)),
        ("destination_canonical_revision", or_latest(destination)),
        ("destination_service_name", or_unknown(labels.service_name)),
        ("destination_service_namespace", or_unknown(labels.service_namespace)),
        ("destination_cluster", or_unknown(&destination.cluster)),
        ("request_protocol", labels.protocol),
        ("response_flags", labels.flags),
        ("connection_security_policy", labels.security),
    ]
}

fn wanted<'a>(mut labels: Vec<(&'a str, &'a str)>, without: &[String]) -> Vec<(&'a str, &'a str)> {
    labels.retain(|(name, _)| !without.iter().any(|unwanted| unwanted == name));
    labels
}

fn or_unknown(value: &str) -> &str {
    if value.is_empty() { UNKNOWN } else { value }
}

/// A known workload without a revision has the latest.
fn or_latest(workload: &Workload) -> &str {
    match workload.canonical_revision.as_str() {
        "" if workload.canonical_service.is_empty() => UNKNOWN,
        "" => "latest",
        revision => revision,
    }
}

#[cfg(test)]
mod tests;
