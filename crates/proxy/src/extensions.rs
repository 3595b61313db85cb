//! What is compiled into this proxy. A control plane sends nothing else.

use xds::envoy::config::core::v3::{Extension, Node};

/// Category, name as Envoy knows it, and the configurations that it takes.
const EXTENSIONS: [(&str, &str, &[&str]); 23] = [
    (
        "envoy.access_loggers",
        "envoy.access_loggers.file",
        &["envoy.extensions.access_loggers.file.v3.FileAccessLog"],
    ),
    (
        "envoy.access_loggers",
        "envoy.access_loggers.stdout",
        &["envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"],
    ),
    (
        "envoy.access_loggers",
        "envoy.access_loggers.stderr",
        &["envoy.extensions.access_loggers.stream.v3.StderrAccessLog"],
    ),
    (
        "envoy.filters.http",
        "envoy.filters.http.cors",
        &["envoy.extensions.filters.http.cors.v3.Cors", "envoy.extensions.filters.http.cors.v3.CorsPolicy"],
    ),
    ("envoy.filters.http", "envoy.filters.http.fault", &["envoy.extensions.filters.http.fault.v3.HTTPFault"]),
    (
        "envoy.filters.http",
        "envoy.filters.http.grpc_stats",
        &["envoy.extensions.filters.http.grpc_stats.v3.FilterConfig"],
    ),
    ("envoy.filters.http", "envoy.filters.http.router", &["envoy.extensions.filters.http.router.v3.Router"]),
    ("envoy.filters.http", "istio.stats", &["stats.PluginConfig"]),
    ("envoy.filters.http", "istio.alpn", &["istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig"]),
    ("envoy.filters.http", "envoy.filters.http.peer_metadata", &["io.istio.http.peer_metadata.Config"]),
    (
        "envoy.filters.listener",
        "envoy.filters.listener.http_inspector",
        &["envoy.extensions.filters.listener.http_inspector.v3.HttpInspector"],
    ),
    (
        "envoy.filters.listener",
        "envoy.filters.listener.original_dst",
        &["envoy.extensions.filters.listener.original_dst.v3.OriginalDst"],
    ),
    (
        "envoy.filters.listener",
        "envoy.filters.listener.tls_inspector",
        &["envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"],
    ),
    (
        "envoy.filters.network",
        "envoy.filters.network.connection_limit",
        &["envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit"],
    ),
    (
        "envoy.filters.network",
        "envoy.filters.network.http_connection_manager",
        &["envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"],
    ),
    (
        "envoy.filters.network",
        "envoy.filters.network.tcp_proxy",
        &["envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"],
    ),
    ("envoy.filters.network", "istio.stats", &["stats.PluginConfig"]),
    (
        "envoy.request_id",
        "envoy.request_id.uuid",
        &["envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig"],
    ),
    (
        "envoy.retry_host_predicates",
        "envoy.retry_host_predicates.previous_hosts",
        &["envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"],
    ),
    (
        "envoy.transport_sockets",
        "envoy.transport_sockets.raw_buffer",
        &["envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"],
    ),
    (
        "envoy.transport_sockets.upstream",
        "envoy.transport_sockets.upstream_proxy_protocol",
        &["envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport"],
    ),
    (
        "envoy.transport_sockets",
        "envoy.transport_sockets.tls",
        &[
            "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        ],
    ),
    (
        "envoy.upstream_options",
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        &["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"],
    ),
];

/// The node with what is compiled in, and what to tell a control plane about
/// this client.
pub fn introduce(mut node: Node) -> Node {
    node.extensions = EXTENSIONS
        .iter()
        .map(|(category, name, types)| Extension {
            name: (*name).to_owned(),
            category: (*category).to_owned(),
            type_urls: types.iter().map(|name| format!("type.googleapis.com/{name}")).collect(),
            ..Extension::default()
        })
        .collect();
    if node.user_agent_name.is_empty() {
        "lateen".clone_into(&mut node.user_agent_name);
    }
    node
}
