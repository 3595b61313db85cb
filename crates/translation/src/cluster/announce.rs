//! The PROXY protocol towards endpoints: each way of carrying bytes is wrapped
//! in the one that announces the client first.

use resources::destination_rule::ProxyProtocolVersion;
use xds::envoy::config::cluster::v3::Cluster;
use xds::envoy::config::core::v3::proxy_protocol_config::Version;
use xds::envoy::config::core::v3::transport_socket::ConfigType;
use xds::envoy::config::core::v3::{ProxyProtocolConfig, TransportSocket};
use xds::envoy::extensions::transport_sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport;
use xds::envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer;

use crate::extensions::Extensions;

const NAME: &str = "envoy.transport_sockets.upstream_proxy_protocol";
const PLAIN: &str = "envoy.transport_sockets.raw_buffer";

/// Has the connections of `cluster` begin with a PROXY header.
pub(super) fn apply(cluster: &mut Cluster, version: ProxyProtocolVersion, extensions: &Extensions) {
    if !extensions.hold::<ProxyProtocolUpstreamTransport>() {
        return;
    }
    let wrap = |inner: Option<TransportSocket>| wrapped(inner.or_else(|| plain(extensions)), version);
    for entry in &mut cluster.transport_socket_matches {
        entry.transport_socket = wrap(entry.transport_socket.take());
    }
    if cluster.transport_socket.is_some() || cluster.transport_socket_matches.is_empty() {
        cluster.transport_socket = wrap(cluster.transport_socket.take());
    }
}

fn plain(extensions: &Extensions) -> Option<TransportSocket> {
    let config = extensions.pack(&RawBuffer::default())?;
    Some(TransportSocket { name: PLAIN.to_owned(), config_type: Some(ConfigType::TypedConfig(config)) })
}

fn wrapped(inner: Option<TransportSocket>, version: ProxyProtocolVersion) -> Option<TransportSocket> {
    let version = match version {
        ProxyProtocolVersion::V1 => Version::V1,
        ProxyProtocolVersion::V2 => Version::V2,
    };
    let transport = ProxyProtocolUpstreamTransport {
        config: Some(ProxyProtocolConfig { version: version.into(), ..ProxyProtocolConfig::default() }),
        transport_socket: Some(inner?),
        ..ProxyProtocolUpstreamTransport::default()
    };
    let config = ConfigType::TypedConfig(xds::any::pack(&transport));
    Some(TransportSocket { name: NAME.to_owned(), config_type: Some(config) })
}
