//! Envoy's bootstrap: who it is, where the control plane is, its two static
//! listeners, and which statistics it keeps.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::node;
use super::settings::Settings;

/// Envoy's statistics for Prometheus.
pub const PROMETHEUS_PORT: u16 = 15090;

/// Readiness for a kubelet or load balancer.
pub const HEALTH_PORT: u16 = 15021;

/// `IP_TOS` and `IPV6_TCLASS` as Envoy's socket options name them.
const IPV4_LEVEL_NAME: (i64, i64) = (0, 1);

/// The agent's sockets for Envoy.
#[derive(Debug, Clone)]
pub struct AgentSockets {
    /// Relayed to the control plane.
    pub xds: PathBuf,
    /// The workload's certificates.
    pub sds: PathBuf,
}

impl AgentSockets {
    /// In the folder for what the agent writes.
    pub fn within(folder: &Path) -> Self {
        Self { xds: folder.join("XDS"), sds: folder.join("SDS") }
    }
}

/// The bootstrap as JSON.
pub fn envoy(settings: &Settings, sockets: &AgentSockets) -> Value {
    let mut bootstrap = json!({
        "node": {
            "id": node::id(settings),
            "cluster": node::cluster(settings),
            "metadata": node::metadata(settings),
        },
        "admin": {
            "address": socket("127.0.0.1", settings.admin_port()),
            "profile_path": "/dev/null",
        },
        "stats_config": stats_config(),
        "dynamic_resources": dynamic_resources(),
        "static_resources": {
            "clusters": [
                local_cluster("prometheus_stats", settings.admin_port()),
                local_cluster("agent", settings.status_port()),
                grpc_cluster("xds-grpc", &sockets.xds),
                grpc_cluster("sds-grpc", &sockets.sds),
            ],
            "listeners": [
                static_listener("prometheus", PROMETHEUS_PORT, "/stats/prometheus", "prometheus_stats"),
                static_listener("health", HEALTH_PORT, "/healthz/ready", "agent"),
            ],
        },
        "layered_runtime": {"layers": [{"name": "global config", "static_layer": {
            "envoy.deprecated_features:envoy.config.listener.v3.Listener.hidden_envoy_deprecated_use_original_dst": true,
            "overload.global_downstream_max_connections": 2147483647u32,
        }}]},
    });
    if let Some(tos) = settings.upstream_tos {
        let (level, name) = IPV4_LEVEL_NAME;
        bootstrap["cluster_manager"] = json!({"upstream_bind_config": {"socket_options": [
            {"level": level, "name": name, "int_value": tos, "state": "STATE_PREBIND"},
        ]}});
    }
    bootstrap
}

fn socket(address: &str, port: u16) -> Value {
    json!({"socket_address": {"address": address, "port_value": port}})
}

fn dynamic_resources() -> Value {
    let ads = json!({"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"});
    json!({
        "lds_config": ads,
        "cds_config": ads,
        "ads_config": {
            "api_type": "DELTA_GRPC",
            "set_node_on_first_message_only": true,
            "transport_api_version": "V3",
            "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
        },
    })
}

fn local_cluster(name: &str, port: u16) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "0.250s",
        "load_assignment": {"cluster_name": name, "endpoints": [
            {"lb_endpoints": [{"endpoint": {"address": socket("127.0.0.1", port)}}]},
        ]},
    })
}

/// A gRPC server of the agent's.
pub(super) fn grpc_cluster(name: &str, socket: &Path) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [
            {"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": socket}}}}]},
        ]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }},
        "circuit_breakers": {"thresholds": [
            {"priority": "DEFAULT", "max_connections": 100_000, "max_pending_requests": 100_000, "max_requests": 100_000},
            {"priority": "HIGH", "max_connections": 100_000, "max_pending_requests": 100_000, "max_requests": 100_000},
        ]},
    })
}

fn static_listener(name: &str, port: u16, path: &str, cluster: &str) -> Value {
    let router = json!({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    });
    json!({
        "name": name,
        "address": socket("0.0.0.0", port),
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "codec_type": "AUTO",
                "stat_prefix": name,
                "route_config": {"virtual_hosts": [{
                    "name": "backend",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": path}, "route": {"cluster": cluster}}],
                }]},
                "http_filters": [router],
            },
        }]}],
    })
}

/// Istio's tags, and which statistics are kept at all.
fn stats_config() -> Value {
    let tag = |name: &str, regex: &str| json!({"tag_name": name, "regex": regex});
    json!({
        "use_all_default_tags": false,
        "stats_tags": [
            tag("cluster_name", r"^cluster\.((.+?(\..+?\.svc\.cluster\.local)?)\.)"),
            tag("tcp_prefix", r"^tcp\.((.*?)\.)\w+?$"),
            tag("response_code", r"_rq(_(\d{3}))$"),
            tag("response_code_class", r"_rq(_(\dxx))$"),
            tag("http_conn_manager_listener_prefix", r"^listener(?=\.).*?\.http\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)"),
            tag("http_conn_manager_prefix", r"^http\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)"),
            tag("listener_address", r"^listener\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)"),
        ],
        "stats_matcher": {"inclusion_list": {"patterns": [
            {"prefix": "istiocustom"},
            {"prefix": "reporter="},
            {"prefix": "cluster_manager"},
            {"prefix": "listener_manager"},
            {"prefix": "server"},
            {"prefix": "cluster.xds-grpc"},
            {"suffix": "rbac.allowed"},
            {"suffix": "rbac.denied"},
            {"suffix": "shadow_allowed"},
            {"suffix": "shadow_denied"},
            {"suffix": "downstream_cx_active"},
            {"suffix": "downstream_rq_active"},
            {"safe_regex": {"regex": r"vhost\..*\.route\..*"}},
        ]}},
    })
}

#[cfg(test)]
mod tests;
