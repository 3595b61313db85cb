//! The HTTP connection manager and its filters.

use prost::{Message, Name};
use prost_types::value::Kind as ValueKind;
use prost_types::{ListValue, Struct, Value};
use xds::envoy::config::core::v3::data_source::Specifier;
use xds::envoy::config::core::v3::substitution_format_string::Format;
use xds::envoy::config::core::v3::{DataSource, SubstitutionFormatString, TypedExtensionConfig};
use xds::envoy::config::listener::v3::Filter;
use xds::envoy::config::route::v3::RouteConfiguration;
use xds::envoy::extensions::filters::common::set_filter_state::v3::FilterStateValue;
use xds::envoy::extensions::filters::common::set_filter_state::v3::filter_state_value::{
    Key, SharedWithUpstream, Value as StateValue,
};
use xds::envoy::extensions::filters::http::cors::v3::Cors;
use xds::envoy::extensions::filters::http::fault::v3::HttpFault;
use xds::envoy::extensions::filters::http::grpc_stats::v3::{
    FilterConfig as GrpcStats, filter_config::PerMethodStatSpecifier,
};
use xds::envoy::extensions::filters::http::router::v3::Router;
use xds::envoy::extensions::filters::http::set_filter_state::v3::Config as SetFilterState;
use xds::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::{
    CodecType, ForwardClientCertDetails, PathWithEscapedSlashesAction, RouteSpecifier,
    SetCurrentClientCertDetails, UpgradeConfig,
};
use xds::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, Rds, RequestIdExtension, http_filter::ConfigType,
};
use xds::envoy::extensions::formatter::cel::v3::Cel;
use xds::envoy::extensions::request_id::uuid::v3::UuidRequestIdConfig;
use xds::istio::alpn;
use xds::istio::stats::PluginConfig;
use xds::istio::typed_struct;

use super::network_filter;
use crate::cluster::aggregated;
use crate::extensions::Extensions;
use crate::node::Facets;
use crate::route::{CORS, FAULT};
use crate::telemetry::{Reporter, for_http};

/// The configuration of the filter by which proxies know each other.
const PEER_METADATA: &str = "io.istio.http.peer_metadata.Config";

/// The name that the proxy gives itself in responses.
const SERVER_NAME: &str = "istio-envoy";

/// What sidecars are asked for, by what the client speaks.
const BY_PROTOCOL: &str =
    "%CEL(request.protocol == 'HTTP/2' ? 'istio-h2,istio,h2' : 'istio-http/1.1,istio,http/1.1')%";

/// Where requests come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// From the own application.
    Outbound,
    /// For the own application.
    Inbound,
    /// From outside, through a gateway.
    Gateway,
}

/// Where the routes of a connection manager are.
pub(super) enum Routes {
    /// Told under this name.
    Named(String),
    /// Here.
    Inline(Box<RouteConfiguration>),
}

/// The filter that takes HTTP; `None` when the proxy cannot.
pub(super) fn filter(facets: &Facets, side: Side, stat_prefix: &str, routes: Routes) -> Option<Filter> {
    let extensions = &facets.extensions;
    let reporter = if side == Side::Inbound { Reporter::Destination } else { Reporter::Source };
    let mut manager = HttpConnectionManager {
        codec_type: CodecType::Auto.into(),
        stat_prefix: stat_prefix.to_owned(),
        http_filters: http_filters(facets, side)?,
        access_log: for_http(facets, reporter),
        use_remote_address: Some(side == Side::Gateway),
        upgrade_configs: vec![UpgradeConfig {
            upgrade_type: "websocket".to_owned(),
            ..UpgradeConfig::default()
        }],
        stream_idle_timeout: Some(prost_types::Duration::default()),
        normalize_path: Some(true),
        path_with_escaped_slashes_action: PathWithEscapedSlashesAction::KeepUnchanged.into(),
        request_id_extension: request_id(extensions),
        route_specifier: Some(match routes {
            Routes::Named(name) => {
                RouteSpecifier::Rds(Rds { config_source: Some(aggregated()), route_config_name: name })
            }
            Routes::Inline(configuration) => RouteSpecifier::RouteConfig(*configuration),
        }),
        ..HttpConnectionManager::default()
    };
    if side != Side::Outbound {
        manager.server_name = SERVER_NAME.to_owned();
        manager.forward_client_cert_details = match side {
            Side::Gateway => ForwardClientCertDetails::SanitizeSet,
            _ => ForwardClientCertDetails::AppendForward,
        }
        .into();
        manager.set_current_client_cert_details = Some(SetCurrentClientCertDetails {
            subject: Some(true),
            uri: true,
            dns: true,
            ..SetCurrentClientCertDetails::default()
        });
    }
    network_filter(extensions, "envoy.filters.network.http_connection_manager", &manager)
}

fn request_id(extensions: &Extensions) -> Option<RequestIdExtension> {
    let config = UuidRequestIdConfig {
        use_request_id_for_trace_sampling: Some(true),
        ..UuidRequestIdConfig::default()
    };
    Some(RequestIdExtension { typed_config: Some(extensions.pack(&config)?) })
}

/// In Istio's order; without a router there is no HTTP.
fn http_filters(facets: &Facets, side: Side) -> Option<Vec<HttpFilter>> {
    let extensions = &facets.extensions;
    let grpc_stats = GrpcStats {
        emit_filter_state: true,
        per_method_stat_specifier: Some(PerMethodStatSpecifier::StatsForAllMethods(false)),
        ..GrpcStats::default()
    };
    let mut filters: Vec<HttpFilter> = peer_metadata(extensions, side).into_iter().collect();
    filters.extend(http_filter(extensions, "envoy.filters.http.grpc_stats", &grpc_stats));
    if side != Side::Inbound && facets.has_certificate() {
        filters.extend(protocols(extensions));
    }
    filters.extend(http_filter(extensions, FAULT, &HttpFault::default()));
    filters.extend(http_filter(extensions, CORS, &Cors::default()));
    filters.extend(http_filter(extensions, "istio.stats", &PluginConfig::default()));
    filters.push(http_filter(extensions, "envoy.filters.http.router", &Router::default())?);
    Some(filters)
}

/// What sidecars are asked for depends on what is spoken with them. A proxy
/// without Istio's filter for it gets the same by an expression.
fn protocols(extensions: &Extensions) -> Option<HttpFilter> {
    let entry = |protocol: alpn::Protocol, names: [&str; 3]| alpn::AlpnOverride {
        upstream_protocol: protocol.into(),
        alpn_override: names.iter().map(ToString::to_string).collect(),
    };
    let config = alpn::FilterConfig {
        alpn_override: vec![
            entry(alpn::Protocol::Http10, ["istio-http/1.0", "istio", "http/1.0"]),
            entry(alpn::Protocol::Http11, ["istio-http/1.1", "istio", "http/1.1"]),
            entry(alpn::Protocol::Http2, ["istio-h2", "istio", "h2"]),
        ],
    };
    http_filter(extensions, "istio.alpn", &config).or_else(|| {
        let formatter = TypedExtensionConfig {
            name: "envoy.formatter.cel".to_owned(),
            typed_config: Some(extensions.pack(&Cel::default())?),
        };
        let value = FilterStateValue {
            key: Some(Key::ObjectKey("envoy.network.application_protocols".to_owned())),
            value: Some(StateValue::FormatString(SubstitutionFormatString {
                formatters: vec![formatter],
                format: Some(Format::TextFormatSource(DataSource {
                    specifier: Some(Specifier::InlineString(BY_PROTOCOL.to_owned())),
                    ..DataSource::default()
                })),
                ..SubstitutionFormatString::default()
            })),
            shared_with_upstream: SharedWithUpstream::Once.into(),
            ..FilterStateValue::default()
        };
        let config = SetFilterState { on_request_headers: vec![value], ..SetFilterState::default() };
        http_filter(extensions, "envoy.filters.http.set_filter_state", &config)
    })
}

fn http_filter<M: Message + Name>(extensions: &Extensions, name: &str, config: &M) -> Option<HttpFilter> {
    Some(HttpFilter {
        name: name.to_owned(),
        config_type: Some(ConfigType::TypedConfig(extensions.pack(config)?)),
        ..HttpFilter::default()
    })
}

/// Proxies tell each other by headers whom they serve: the client's in the
/// request, the server's in the response, and to nobody outside of the mesh.
fn peer_metadata(extensions: &Extensions, side: Side) -> Option<HttpFilter> {
    let nothing = || structure([]);
    let by_headers = |options: Struct| list([structure([("istio_headers", object(options))])]);
    let fields = match side {
        Side::Inbound => [
            ("downstream_discovery", by_headers(nothing())),
            ("downstream_propagation", by_headers(nothing())),
        ],
        Side::Outbound | Side::Gateway => {
            let inside = structure([("skip_external_clusters", flag(true))]);
            [("upstream_discovery", by_headers(nothing())), ("upstream_propagation", by_headers(inside))]
        }
    };
    extensions.hold_name(PEER_METADATA).then(|| HttpFilter {
        name: "istio.metadata_exchange".to_owned(),
        config_type: Some(ConfigType::TypedConfig(typed_struct(
            &format!("type.googleapis.com/{PEER_METADATA}"),
            structure(fields),
        ))),
        ..HttpFilter::default()
    })
}

fn structure<const N: usize>(fields: [(&str, Value); N]) -> Struct {
    Struct { fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() }
}

fn object(fields: Struct) -> Value {
    Value { kind: Some(ValueKind::StructValue(fields)) }
}

fn list<const N: usize>(objects: [Struct; N]) -> Value {
    let values = objects.into_iter().map(object).collect();
    Value { kind: Some(ValueKind::ListValue(ListValue { values })) }
}

fn flag(value: bool) -> Value {
    Value { kind: Some(ValueKind::BoolValue(value)) }
}
