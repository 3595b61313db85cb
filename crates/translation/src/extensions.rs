//! What a data plane has compiled in. Nobody is sent a type that he does not
//! hold: stock Envoy rejects a whole listener for one unknown filter.

use std::collections::BTreeSet;

use prost::{Message, Name};
use xds::envoy::config::core::v3::Node;
use xds::google::protobuf::Any;

/// The message types that a node's extensions take as configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Extensions {
    types: BTreeSet<String>,
}

/// What every Envoy of the last years has, for a client that lists nothing.
const STOCK: [&str; 22] = [
    "envoy.extensions.access_loggers.file.v3.FileAccessLog",
    "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
    "envoy.extensions.filters.http.cors.v3.Cors",
    "envoy.extensions.filters.http.cors.v3.CorsPolicy",
    "envoy.extensions.filters.http.fault.v3.HTTPFault",
    "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
    "envoy.extensions.filters.http.rbac.v3.RBAC",
    "envoy.extensions.filters.http.rbac.v3.RBACPerRoute",
    "envoy.extensions.filters.http.router.v3.Router",
    "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
    "envoy.extensions.filters.listener.original_dst.v3.OriginalDst",
    "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    "envoy.extensions.filters.network.rbac.v3.RBAC",
    "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
    "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
    "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
    "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
    "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
    "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
    "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
];

/// What Istio's own build of Envoy has besides.
const ISTIO: [&str; 4] = [
    "stats.PluginConfig",
    "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig",
    "io.istio.http.peer_metadata.Config",
    "envoy.tcp.metadataexchange.config.MetadataExchange",
];

impl Extensions {
    /// The extensions that a node lists. One that lists none is proxyv2 when
    /// it has `istio_version`, else stock Envoy.
    pub fn of_node(node: &Node, istio_version: Option<&str>) -> Self {
        let listed = node.extensions.iter().filter(|extension| !extension.disabled);
        let listed: BTreeSet<String> = listed
            .flat_map(|extension| &extension.type_urls)
            .map(|url| xds::any::message_name(url).to_owned())
            .collect();
        if !listed.is_empty() {
            return Self { types: listed };
        }
        let istio: &[&str] = if istio_version.is_some() { &ISTIO } else { &[] };
        Self::from_names(STOCK.iter().chain(istio).copied())
    }

    /// Extensions that take these messages.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self { types: names.into_iter().map(str::to_owned).collect() }
    }

    /// Whether a message of this name may be sent.
    pub fn hold_name(&self, name: &str) -> bool {
        self.types.contains(name)
    }

    /// Whether an `M` may be sent.
    pub fn hold<M: Name>(&self) -> bool {
        self.types.contains(&M::full_name())
    }

    /// `message` packed, if it may be sent.
    pub fn pack<M: Message + Name>(&self, message: &M) -> Option<Any> {
        self.hold::<M>().then(|| xds::any::pack(message))
    }
}
