//! Access logs and Istio's metrics, made with what the proxy holds.
//!
//! A proxy with Istio's `stats` filter keeps the metrics itself. Any other
//! keeps counters and histograms by access loggers whose labels are format
//! strings; its own side of the labels is constant, the other side comes from
//! metadata of endpoints and clusters.

use prost_types::value::Kind;
use prost_types::{Struct, Value};
use resources::mesh_config::{AccessLogEncoding, MeshConfig};
use xds::envoy::config::accesslog::v3::access_log::ConfigType;
use xds::envoy::config::accesslog::v3::access_log_filter::FilterSpecifier;
use xds::envoy::config::accesslog::v3::{
    AccessLog, AccessLogFilter, HeaderFilter, LogTypeFilter, ResponseFlagFilter,
};
use xds::envoy::config::core::v3::substitution_format_string::Format;
use xds::envoy::config::core::v3::{DataSource, SubstitutionFormatString, data_source::Specifier};
use xds::envoy::config::route::v3::{HeaderMatcher, header_matcher::HeaderMatchSpecifier};
use xds::envoy::data::accesslog::v3::AccessLogType;
use xds::envoy::extensions::access_loggers::file::v3::{FileAccessLog, file_access_log::AccessLogFormat};
use xds::envoy::extensions::access_loggers::stats::v3::Config;
use xds::envoy::extensions::access_loggers::stats::v3::config::{
    Counter, Histogram, Stat, Tag, histogram::Unit,
};
use xds::envoy::r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern};
use xds::envoy::r#type::v3::Scope;
use xds::istio::stats::PluginConfig;

use crate::extensions::Extensions;
use crate::node::Facets;

/// Istio's default line.
const LINE: &str = concat!(
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% ",
    "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% ",
    "\"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ",
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" ",
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% ",
    "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% ",
    "%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n",
);

/// Istio's default object.
const FIELDS: [(&str, &str); 24] = [
    ("start_time", "%START_TIME%"),
    ("route_name", "%ROUTE_NAME%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("duration", "%DURATION%"),
    ("upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
    ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
    ("user_agent", "%REQ(USER-AGENT)%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("authority", "%REQ(:AUTHORITY)%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    ("upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
];

/// Where the line is written, when nothing is said.
const STDOUT: &str = "/dev/stdout";
/// What the statistics of access loggers are put below; whoever serves them to
/// people takes it away.
const SCOPE: &str = "istiocustom";

/// Which end of the connection the proxy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reporter {
    /// The client's end: outbound, and gateways.
    Source,
    /// The server's end: inbound.
    Destination,
    /// The server's, where the client has proved who it is.
    MutualDestination,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Counted {
    /// Requests.
    Http,
    /// Connections.
    Tcp,
}

/// Loggers for requests.
pub(crate) fn for_http(facets: &Facets, reporter: Reporter) -> Vec<AccessLog> {
    let mut logs: Vec<AccessLog> = line(facets, None).into_iter().collect();
    if !facets.extensions.hold::<PluginConfig>() {
        for (protocol, filter) in [("http", not_grpc()), ("grpc", grpc())] {
            logs.extend(statistics(&facets.extensions, filter, http_stats(facets, reporter, protocol)));
        }
    }
    logs
}

/// Loggers for connections.
pub(crate) fn for_tcp(facets: &Facets, reporter: Reporter) -> Vec<AccessLog> {
    let ended = || log_type(AccessLogType::TcpConnectionEnd);
    let mut logs: Vec<AccessLog> = line(facets, Some(ended())).into_iter().collect();
    if !facets.extensions.hold::<PluginConfig>() {
        let labels = labels(facets, reporter, "tcp", Counted::Tcp);
        let opened = vec![one("istio_tcp_connections_opened_total", &labels)];
        let connected = log_type(AccessLogType::TcpUpstreamConnected);
        logs.extend(statistics(&facets.extensions, connected, (opened, Vec::new())));
        let closed = vec![
            one("istio_tcp_connections_closed_total", &labels),
            sum("istio_tcp_sent_bytes_total", &labels, "%BYTES_SENT%"),
            sum("istio_tcp_received_bytes_total", &labels, "%BYTES_RECEIVED%"),
        ];
        logs.extend(statistics(&facets.extensions, ended(), (closed, Vec::new())));
    }
    logs
}

/// Loggers for connections that no filter chain took.
pub(crate) fn for_listener(facets: &Facets) -> Vec<AccessLog> {
    let flags = ResponseFlagFilter { flags: vec!["NR".to_owned()] };
    let unrouted = AccessLogFilter { filter_specifier: Some(FilterSpecifier::ResponseFlagFilter(flags)) };
    line(facets, Some(unrouted)).into_iter().collect()
}

/// Whether the proxy keeps Istio's metrics by a filter of its own.
pub(crate) fn has_stats_filter(extensions: &Extensions) -> bool {
    extensions.hold::<PluginConfig>()
}

/// The access log that the mesh's settings ask for, if they do.
fn line(facets: &Facets, filter: Option<AccessLogFilter>) -> Option<AccessLog> {
    let settings = &facets.mesh_config;
    let path = settings.access_log_file.as_deref().unwrap_or(STDOUT);
    if path.is_empty() {
        return None;
    }
    let format = match settings.access_log_encoding {
        AccessLogEncoding::Text if settings.access_log_format.is_empty() => text_format(LINE),
        AccessLogEncoding::Text => text_format(&with_line_end(&settings.access_log_format)),
        AccessLogEncoding::Json => json_format(settings),
    };
    let format = SubstitutionFormatString { format: Some(format), ..SubstitutionFormatString::default() };
    let file =
        FileAccessLog { path: path.to_owned(), access_log_format: Some(AccessLogFormat::LogFormat(format)) };
    Some(AccessLog {
        name: "envoy.access_loggers.file".to_owned(),
        filter,
        config_type: Some(ConfigType::TypedConfig(facets.extensions.pack(&file)?)),
    })
}

fn text_format(line: &str) -> Format {
    Format::TextFormatSource(DataSource {
        specifier: Some(Specifier::InlineString(line.to_owned())),
        ..DataSource::default()
    })
}

fn with_line_end(format: &str) -> String {
    if format.ends_with('\n') { format.to_owned() } else { format!("{format}\n") }
}

/// The fields of the settings; Istio's when there are none that can be read.
fn json_format(settings: &MeshConfig) -> Format {
    let fields = match settings.json_format() {
        Some(fields) => fields.iter().map(|(name, value)| (name.clone(), xds::json::value(value))).collect(),
        None => FIELDS.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect(),
    };
    Format::JsonFormat(Struct { fields })
}

fn text(value: &str) -> Value {
    Value { kind: Some(Kind::StringValue(value.to_owned())) }
}

fn statistics(
    extensions: &Extensions,
    filter: AccessLogFilter,
    (counters, histograms): (Vec<Counter>, Vec<Histogram>),
) -> Option<AccessLog> {
    let config = Config {
        stats_scope: Some(Scope { prefix: SCOPE.to_owned(), ..Scope::default() }),
        counters,
        histograms,
        ..Config::default()
    };
    Some(AccessLog {
        name: "envoy.access_loggers.stats".to_owned(),
        filter: Some(filter),
        config_type: Some(ConfigType::TypedConfig(extensions.pack(&config)?)),
    })
}

fn http_stats(facets: &Facets, reporter: Reporter, protocol: &str) -> (Vec<Counter>, Vec<Histogram>) {
    let labels = labels(facets, reporter, protocol, Counted::Http);
    let counters = vec![one("istio_requests_total", &labels)];
    let histogram = |name: &str, unit: Unit, value: &str| Histogram {
        stat: Some(stat(name, &labels)),
        unit: unit.into(),
        value_format: value.to_owned(),
    };
    let histograms = vec![
        histogram("istio_request_duration_milliseconds", Unit::Milliseconds, "%DURATION%"),
        histogram("istio_request_bytes", Unit::Bytes, "%BYTES_RECEIVED%"),
        histogram("istio_response_bytes", Unit::Bytes, "%BYTES_SENT%"),
    ];
    (counters, histograms)
}

fn one(name: &str, labels: &[Tag]) -> Counter {
    Counter { stat: Some(stat(name, labels)), value_fixed: Some(1), ..Counter::default() }
}

fn sum(name: &str, labels: &[Tag], value: &str) -> Counter {
    Counter { stat: Some(stat(name, labels)), value_format: value.to_owned(), ..Counter::default() }
}

fn stat(name: &str, labels: &[Tag]) -> Stat {
    Stat { name: name.to_owned(), tags: labels.to_vec() }
}

/// Istio's labels. The own side is constant.
fn labels(facets: &Facets, reporter: Reporter, protocol: &str, unit: Counted) -> Vec<Tag> {
    let mut labels = Vec::new();
    let mut label = |name: &str, value: &str| {
        labels.push(Tag { name: name.to_owned(), value_format: value.to_owned(), ..Tag::default() });
    };
    let (source, destination) = match reporter {
        Reporter::Source => (Side::own(facets), Side::upstream()),
        Reporter::Destination | Reporter::MutualDestination => (Side::unknown(), Side::own(facets)),
    };
    label("reporter", if reporter == Reporter::Source { "source" } else { "destination" });
    for (name, value) in source.labels("source") {
        label(&name, &value);
    }
    let source_principal = match reporter {
        Reporter::Source if facets.has_certificate() => "%UPSTREAM_LOCAL_URI_SAN%",
        Reporter::Source => "unknown",
        Reporter::Destination | Reporter::MutualDestination => "%DOWNSTREAM_PEER_URI_SAN%",
    };
    label("source_principal", source_principal);
    for (name, value) in destination.labels("destination") {
        label(&name, &value);
    }
    label(
        "destination_principal",
        if reporter == Reporter::Source { "%UPSTREAM_PEER_URI_SAN%" } else { "%DOWNSTREAM_LOCAL_URI_SAN%" },
    );
    label("destination_service", "%CLUSTER_METADATA(lateen:service)%");
    label("destination_service_name", "%CLUSTER_METADATA(lateen:service_name)%");
    label("destination_service_namespace", "%CLUSTER_METADATA(lateen:service_namespace)%");
    label("request_protocol", protocol);
    if unit == Counted::Http {
        label("response_code", "%RESPONSE_CODE%");
        label("grpc_response_status", "%GRPC_STATUS_NUMBER%");
    }
    label("response_flags", "%RESPONSE_FLAGS%");
    let security = match reporter {
        Reporter::Source => "unknown",
        Reporter::Destination => "none",
        Reporter::MutualDestination => "mutual_tls",
    };
    label("connection_security_policy", security);
    labels
}

/// One end of the connection in labels.
struct Side {
    workload: String,
    namespace: String,
    app: String,
    version: String,
    canonical_service: String,
    canonical_revision: String,
    cluster: String,
}

impl Side {
    fn own(facets: &Facets) -> Self {
        Self {
            workload: facets.workload.clone(),
            namespace: facets.namespace.clone(),
            app: facets.app().to_owned(),
            version: facets.version().to_owned(),
            canonical_service: facets.canonical_service().to_owned(),
            canonical_revision: facets.canonical_revision().to_owned(),
            cluster: facets.cluster_id.clone(),
        }
    }

    fn upstream() -> Self {
        let of = |key: &str| format!("%UPSTREAM_METADATA(lateen:{key})%");
        Self {
            workload: of("workload"),
            namespace: of("namespace"),
            app: of("app"),
            version: of("version"),
            canonical_service: of("canonical_service"),
            canonical_revision: of("canonical_revision"),
            cluster: of("cluster"),
        }
    }

    fn unknown() -> Self {
        let unknown = || "unknown".to_owned();
        Self {
            workload: unknown(),
            namespace: unknown(),
            app: unknown(),
            version: unknown(),
            canonical_service: unknown(),
            canonical_revision: unknown(),
            cluster: unknown(),
        }
    }

    fn labels(self, side: &str) -> [(String, String); 7] {
        [
            (format!("{side}_workload"), self.workload),
            (format!("{side}_workload_namespace"), self.namespace),
            (format!("{side}_app"), self.app),
            (format!("{side}_version"), self.version),
            (format!("{side}_canonical_service"), self.canonical_service),
            (format!("{side}_canonical_revision"), self.canonical_revision),
            (format!("{side}_cluster"), self.cluster),
        ]
    }
}

fn grpc() -> AccessLogFilter {
    content_type_filter(false)
}

fn not_grpc() -> AccessLogFilter {
    content_type_filter(true)
}

fn content_type_filter(invert_match: bool) -> AccessLogFilter {
    let prefix = StringMatcher {
        match_pattern: Some(MatchPattern::Prefix("application/grpc".to_owned())),
        ..StringMatcher::default()
    };
    let header = HeaderMatcher {
        name: "content-type".to_owned(),
        invert_match,
        // A request without a content type is no gRPC.
        treat_missing_header_as_empty: true,
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(prefix)),
    };
    AccessLogFilter {
        filter_specifier: Some(FilterSpecifier::HeaderFilter(HeaderFilter { header: Some(header) })),
    }
}

fn log_type(log_type: AccessLogType) -> AccessLogFilter {
    let filter = LogTypeFilter { types: vec![log_type.into()], exclude: false };
    AccessLogFilter { filter_specifier: Some(FilterSpecifier::LogTypeFilter(filter)) }
}
