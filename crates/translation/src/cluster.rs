//! Clusters: where connections go and how they are made.

mod announce;
mod inbound;
mod outbound;
mod policy;
mod tls;

pub(crate) use inbound::{InboundKey, Target};
pub(crate) use outbound::{OutboundKey, aggregated, discovery};

use std::collections::BTreeMap;

use xds::envoy::config::cluster::v3::circuit_breakers::Thresholds;
use xds::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType, LbPolicy};
use xds::envoy::config::cluster::v3::{CircuitBreakers, Cluster};
use xds::envoy::config::core::v3::{BindConfig, Http2ProtocolOptions, Metadata};
use xds::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
use xds::envoy::extensions::upstreams::http::v3::http_protocol_options::{
    ExplicitHttpConfig, UpstreamProtocolOptions, UseDownstreamHttpConfig,
    explicit_http_config::ProtocolConfig,
};
use xds::google::protobuf::Any;
use xds::origin::{NAMESPACE, string_struct};
use xds::resource::Resource;

use crate::address::{duration, socket_address};
use crate::extensions::Extensions;
use crate::memo::Shared;
use crate::mesh::{CONNECT_TIMEOUT, INBOUND_SOURCE};

/// Where outbound traffic to nowhere goes.
pub(crate) const BLACK_HOLE: &str = "BlackHoleCluster";
/// Where outbound traffic to unknown destinations goes.
pub(crate) const PASSTHROUGH: &str = "PassthroughCluster";
/// Where inbound traffic to ports without a service goes.
pub(crate) const INBOUND_PASSTHROUGH: &str = "InboundPassthroughCluster";

/// The name under which a cluster keeps its HTTP options.
const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// The name of the cluster of a service's port and subset.
pub(crate) fn outbound_name(port: u16, subset: &str, host: &str) -> String {
    format!("outbound|{port}|{subset}|{host}")
}

/// The name of the cluster of an own port.
pub(crate) fn inbound_name(port: u16) -> String {
    format!("inbound|{port}||")
}

/// One of the clusters that depend on nothing but the proxy's extensions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct FixedKey {
    pub(crate) name: &'static str,
    pub(crate) extensions: Shared<Extensions>,
}

impl FixedKey {
    pub(crate) fn build(&self) -> Resource {
        let cluster = match self.name {
            BLACK_HOLE => Cluster { metadata: Some(service_metadata(self.name, "", "")), ..black_hole() },
            _ => {
                let mut cluster = original_destination(self.name);
                cluster.metadata = Some(service_metadata(self.name, "", ""));
                cluster.typed_extension_protocol_options = http_options(&self.extensions, as_downstream());
                if self.name == INBOUND_PASSTHROUGH {
                    cluster.upstream_bind_config = Some(inbound_source());
                }
                cluster
            }
        };
        Resource::new(self.name, &cluster, Vec::new())
    }
}

fn black_hole() -> Cluster {
    Cluster {
        name: BLACK_HOLE.to_owned(),
        connect_timeout: Some(duration(CONNECT_TIMEOUT)),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Static.into())),
        ..Cluster::default()
    }
}

/// A cluster that connects to the address that the client asked for.
fn original_destination(name: &str) -> Cluster {
    Cluster {
        name: name.to_owned(),
        connect_timeout: Some(duration(CONNECT_TIMEOUT)),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::OriginalDst.into())),
        lb_policy: LbPolicy::ClusterProvided.into(),
        circuit_breakers: Some(unlimited()),
        ..Cluster::default()
    }
}

/// Limits that never bind: Envoy's own defaults would.
fn unlimited() -> CircuitBreakers {
    CircuitBreakers { thresholds: vec![unlimited_thresholds()], ..CircuitBreakers::default() }
}

fn unlimited_thresholds() -> Thresholds {
    Thresholds {
        max_connections: Some(u32::MAX),
        max_pending_requests: Some(u32::MAX),
        max_requests: Some(u32::MAX),
        max_retries: Some(u32::MAX),
        track_remaining: true,
        ..Thresholds::default()
    }
}

/// Connections to the own application come from an address that the capture
/// rules let pass.
fn inbound_source() -> BindConfig {
    BindConfig { source_address: Some(socket_address(INBOUND_SOURCE, 0)), ..BindConfig::default() }
}

/// Speak what the client spoke.
fn as_downstream() -> HttpProtocolOptions {
    let config = UseDownstreamHttpConfig {
        http_protocol_options: Some(Default::default()),
        http2_protocol_options: Some(http2()),
        ..UseDownstreamHttpConfig::default()
    };
    HttpProtocolOptions {
        upstream_protocol_options: Some(UpstreamProtocolOptions::UseDownstreamProtocolConfig(config)),
        ..HttpProtocolOptions::default()
    }
}

/// Speak HTTP/2 from the first byte.
fn as_http2() -> HttpProtocolOptions {
    explicit(ProtocolConfig::Http2ProtocolOptions(http2()))
}

/// Speak HTTP/1.1.
fn as_http1() -> HttpProtocolOptions {
    explicit(ProtocolConfig::HttpProtocolOptions(Default::default()))
}

fn explicit(protocol: ProtocolConfig) -> HttpProtocolOptions {
    let config = ExplicitHttpConfig { protocol_config: Some(protocol) };
    HttpProtocolOptions {
        upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(config)),
        ..HttpProtocolOptions::default()
    }
}

fn http2() -> Http2ProtocolOptions {
    Http2ProtocolOptions { max_concurrent_streams: Some(i32::MAX as u32), ..Http2ProtocolOptions::default() }
}

fn http_options(extensions: &Extensions, options: HttpProtocolOptions) -> BTreeMap<String, Any> {
    extensions.pack(&options).map(|options| (HTTP_OPTIONS.to_owned(), options)).into_iter().collect()
}

/// What statistics say of requests that go to a cluster.
fn service_metadata(name: &str, host: &str, namespace: &str) -> Metadata {
    let fields = [("service", host), ("service_name", name), ("service_namespace", namespace)];
    let fields = string_struct(fields.into_iter().filter(|(_, value)| !value.is_empty()));
    Metadata { filter_metadata: BTreeMap::from([(NAMESPACE.to_owned(), fields)]), ..Metadata::default() }
}

/// The hash by which endpoints of a port and subset are chosen, if they are.
pub(crate) fn hash_of(
    rule: &crate::snapshot::Rule,
    subset: &str,
    port: u16,
) -> Option<resources::destination_rule::ConsistentHashLb> {
    policy::Policy::of(rule, subset, port).hash().cloned()
}

/// How long a connection of opaque bytes to a port and subset may be idle.
pub(crate) fn tcp_idle_of(
    rule: &crate::snapshot::Rule,
    subset: &str,
    port: u16,
) -> Option<std::time::Duration> {
    policy::Policy::of(rule, subset, port).tcp_idle()
}
