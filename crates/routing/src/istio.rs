//! The configuration of Istio's own filters.

use std::time::Duration;

use prost::Message;
use prost_types::Struct;
use xds::any::message_name;
use xds::google::protobuf::Any;
use xds::istio::alpn::{FilterConfig, Protocol as AlpnProtocol};
use xds::istio::stats::{PluginConfig, Reporter as WireReporter};
use xds::istio::udpa::TypedStruct;

use crate::invalid::Invalid;
use crate::message::duration;
use crate::metadata::{as_struct, field, flag, inner, list, text};

/// Type names of Istio's filter configurations.
pub mod names {
    /// Metrics.
    pub const STATS: &str = "stats.PluginConfig";
    /// Who the peers are, over HTTP.
    pub const PEER_METADATA: &str = "io.istio.http.peer_metadata.Config";
    /// Who the peers are, over TCP.
    pub const METADATA_EXCHANGE: &str = "envoy.tcp.metadataexchange.config.MetadataExchange";
    /// ALPN by request protocol.
    pub const ALPN: &str = "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig";
}

/// A filter configuration, unwrapped: what it is, and its content as a
/// message or as a struct.
#[derive(Debug, Clone)]
pub struct Unwrapped {
    /// The name of the message's type.
    pub type_name: String,
    /// The content.
    pub content: Content,
}

/// How a configuration was written.
#[derive(Debug, Clone)]
pub enum Content {
    /// As a message.
    Message(bytes::Bytes),
    /// As the message's JSON form in a struct.
    Fields(Struct),
}

/// Looks into `TypedStruct` wrappers of either package.
pub fn unwrap(any: &Any) -> Result<Unwrapped, Invalid> {
    let name = message_name(&any.type_url);
    if name != "udpa.type.v1.TypedStruct" && name != "xds.type.v3.TypedStruct" {
        return Ok(Unwrapped { type_name: name.to_owned(), content: Content::Message(any.value.clone()) });
    }
    // Both messages have the same fields.
    let wrapper =
        TypedStruct::decode(any.value.clone()).map_err(|error| Invalid::new("typed_config", error))?;
    Ok(Unwrapped {
        type_name: message_name(&wrapper.type_url).to_owned(),
        content: Content::Fields(wrapper.value.unwrap_or_default()),
    })
}

/// On whose behalf metrics are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reporter {
    /// The direction of the listener decides: source or destination.
    #[default]
    Listener,
    /// A gateway in front of services: `waypoint`.
    ServerGateway,
}

/// Configuration of the metrics filter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stats {
    /// The Host header is no substitute for an unknown service.
    pub disable_host_header_fallback: bool,
    /// How often long-lived connections report bytes.
    pub tcp_reporting_duration: Option<Duration>,
    /// Whose metrics these are.
    pub reporter: Reporter,
    /// Metrics that are not wanted.
    pub dropped: Vec<String>,
    /// Labels that are not wanted, with the metric they are taken from; an
    /// empty metric means all.
    pub removed_labels: Vec<(String, String)>,
}

impl Stats {
    /// Reads the configuration in either form.
    pub fn compile(content: &Content) -> Result<Stats, Invalid> {
        match content {
            Content::Message(bytes) => {
                let wire = PluginConfig::decode(bytes.clone())
                    .map_err(|error| Invalid::new("typed_config", error))?;
                Ok(Stats::from_message(&wire))
            }
            Content::Fields(fields) => Ok(Stats::from_fields(fields)),
        }
    }

    fn from_message(wire: &PluginConfig) -> Stats {
        Stats {
            disable_host_header_fallback: wire.disable_host_header_fallback,
            tcp_reporting_duration: wire.tcp_reporting_duration.as_ref().and_then(duration),
            reporter: if wire.reporter() == WireReporter::ServerGateway {
                Reporter::ServerGateway
            } else {
                Reporter::Listener
            },
            dropped: wire
                .metrics
                .iter()
                .filter(|metric| metric.drop)
                .map(|metric| metric.name.clone())
                .collect(),
            removed_labels: wire
                .metrics
                .iter()
                .flat_map(|metric| metric.tags_to_remove.iter().map(|tag| (metric.name.clone(), tag.clone())))
                .collect(),
        }
    }

    fn from_fields(fields: &Struct) -> Stats {
        let either = |snake: &str, camel: &str| flag(fields, snake) || flag(fields, camel);
        let server_gateway = text(fields, "reporter") == Some("SERVER_GATEWAY");
        let metrics: Vec<&Struct> = list(fields, "metrics").iter().filter_map(as_struct).collect();
        let name = |metric: &Struct| text(metric, "name").unwrap_or_default().to_owned();
        Stats {
            disable_host_header_fallback: either("disable_host_header_fallback", "disableHostHeaderFallback"),
            tcp_reporting_duration: None,
            reporter: if server_gateway { Reporter::ServerGateway } else { Reporter::Listener },
            dropped: metrics
                .iter()
                .filter(|metric| flag(metric, "drop"))
                .map(|metric| name(metric))
                .collect(),
            removed_labels: metrics
                .iter()
                .flat_map(|metric| {
                    let tags =
                        list(metric, "tags_to_remove").iter().filter_map(|tag| match tag.kind.as_ref()? {
                            prost_types::value::Kind::StringValue(tag) => Some(tag.clone()),
                            _ => None,
                        });
                    tags.map(|tag| (name(metric), tag)).collect::<Vec<_>>()
                })
                .collect(),
        }
    }
}

/// Application protocols for endpoints, by the version of HTTP that is
/// spoken to them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AlpnOverride {
    /// For HTTP/1.1; none: what the cluster says.
    pub http1: Option<Box<[Box<[u8]>]>>,
    /// For HTTP/2.
    pub http2: Option<Box<[Box<[u8]>]>>,
}

impl AlpnOverride {
    /// Reads the configuration.
    pub fn compile(content: &Content) -> Result<AlpnOverride, Invalid> {
        let Content::Message(bytes) = content else {
            return Err(Invalid::new("typed_config", "must not be a TypedStruct"));
        };
        let wire =
            FilterConfig::decode(bytes.clone()).map_err(|error| Invalid::new("typed_config", error))?;
        let of = |protocol: AlpnProtocol| {
            let entry =
                wire.alpn_override.iter().find(|entry| entry.upstream_protocol == i32::from(protocol));
            entry.map(|entry| entry.alpn_override.iter().map(|name| name.as_bytes().into()).collect())
        };
        Ok(AlpnOverride { http1: of(AlpnProtocol::Http11), http2: of(AlpnProtocol::Http2) })
    }
}

/// Configuration of the filter that tells HTTP peers about each other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeerMetadata {
    /// The client is found in the request's headers.
    pub discover_downstream: bool,
    /// The server is found in the response's headers.
    pub discover_upstream: bool,
    /// Clients that told us who they are learn who we are.
    pub tell_downstream: bool,
    /// Servers learn who we are.
    pub tell_upstream: bool,
    /// Servers outside the mesh do not.
    pub skip_external_clusters: bool,
}

impl PeerMetadata {
    /// Reads the configuration, which Istio sends as a struct.
    pub fn compile(content: &Content) -> Result<PeerMetadata, Invalid> {
        let Content::Fields(fields) = content else {
            return Err(Invalid::new("typed_config", "must be a TypedStruct"));
        };
        let by_headers = |snake: &str, camel: &str| {
            let methods = list(fields, snake).iter().chain(list(fields, camel));
            methods.filter_map(as_struct).find(|method| {
                field(method, "istio_headers").is_some() || field(method, "istioHeaders").is_some()
            })
        };
        let upstream = by_headers("upstream_propagation", "upstreamPropagation");
        let external = upstream
            .and_then(|method| inner(method, "istio_headers").or_else(|| inner(method, "istioHeaders")))
            .is_some_and(|headers| {
                flag(headers, "skip_external_clusters") || flag(headers, "skipExternalClusters")
            });
        Ok(PeerMetadata {
            discover_downstream: by_headers("downstream_discovery", "downstreamDiscovery").is_some(),
            discover_upstream: by_headers("upstream_discovery", "upstreamDiscovery").is_some(),
            tell_downstream: by_headers("downstream_propagation", "downstreamPropagation").is_some(),
            tell_upstream: upstream.is_some(),
            skip_external_clusters: external,
        })
    }
}
