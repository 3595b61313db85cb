//! Proxies for tests.

use std::net::SocketAddr;
use std::sync::Arc;

use proxy::secrets::Secrets;
use proxy::sockets::Sockets;
use proxy::start::{Handle, ProxyOptions, start};
use proxy::static_config::StaticConfig;
use serde_json::{Value, json};

use super::client::Client;

pub const FILTERS: &str = "type.googleapis.com/envoy.extensions.filters";

/// A running proxy with one listener.
pub struct Proxy {
    pub address: SocketAddr,
    pub handle: Option<Handle>,
}

impl Proxy {
    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    pub fn handle(&self) -> &Handle {
        self.handle.as_ref().expect("it runs")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.stop();
        }
    }
}

/// A proxy on one worker with these listeners and clusters.
pub fn proxy(listeners: Value, clusters: Value) -> Proxy {
    one(options(&bootstrap(listeners, clusters), 1, Arc::default()))
}

/// A proxy on one worker with these certificates and roots.
pub fn proxy_with(listeners: Value, clusters: Value, secrets: Secrets) -> Proxy {
    one(ProxyOptions { secrets, ..options(&bootstrap(listeners, clusters), 1, Arc::default()) })
}

/// A proxy on one worker with a bootstrap of one listener.
pub fn proxy_of(bootstrap: &Value) -> Proxy {
    one(options(bootstrap, 1, Arc::default()))
}

/// A proxy on so many workers, with the sockets of one before it.
pub fn proxy_on(listeners: Value, clusters: Value, workers: usize, sockets: Arc<Sockets>) -> Handle {
    start(options(&bootstrap(listeners, clusters), workers, sockets)).expect("it starts")
}

fn one(options: ProxyOptions) -> Proxy {
    let handle = start(options).expect("it starts");
    let address = handle.listening().first().expect("one listener").1;
    Proxy { address, handle: Some(handle) }
}

fn bootstrap(listeners: Value, clusters: Value) -> Value {
    json!({"static_resources": {"listeners": listeners, "clusters": clusters}})
}

fn options(bootstrap: &Value, workers: usize, sockets: Arc<Sockets>) -> ProxyOptions {
    let config = StaticConfig::from_json(bootstrap).expect("a test's own configuration");
    ProxyOptions {
        node: xds::json::decode(&json!({"id": "sidecar~10.44.0.2~a-1.default~default.svc.cluster.local",
            "metadata": {"WORKLOAD_NAME": "a-v1", "NAMESPACE": "default", "LABELS": {"app": "a", "version": "v1"}}}))
        .expect("a test's own node"),
        static_resources: config.resources,
        connection_limit: config.connection_limit,
        concurrency: workers,
        sockets,
        // Not where the listeners are: sockets are known by the address that was asked for.
        admin: Some(SocketAddr::from(([127, 0, 0, 2], 0))),
        ..ProxyOptions::default()
    }
}

/// A listener on a free port with this connection manager.
pub fn listener(manager: Value) -> Value {
    json!({"name": "l", "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "traffic_direction": "OUTBOUND",
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}]})
}

/// A connection manager with these routes and the usual filters.
pub fn manager(routes: Value) -> Value {
    json!({"@type": format!("{FILTERS}.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "h", "normalize_path": true, "upgrade_configs": [{"upgrade_type": "websocket"}],
        "route_config": {"name": "r", "virtual_hosts": [
            {"name": "v", "domains": ["*"], "include_request_attempt_count": true, "routes": routes}]},
        "http_filters": [
            {"name": "fault", "typed_config": {"@type": format!("{FILTERS}.http.fault.v3.HTTPFault")}},
            {"name": "cors", "typed_config": {"@type": format!("{FILTERS}.http.cors.v3.Cors")}},
            {"name": "router", "typed_config": {"@type": format!("{FILTERS}.http.router.v3.Router")}}]})
}

/// A cluster with these endpoints.
pub fn cluster(name: &str, endpoints: &[SocketAddr]) -> Value {
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|address| {
            json!({"endpoint": {"address": {"socket_address":
                {"address": address.ip().to_string(), "port_value": address.port()}}}})
        })
        .collect();
    json!({"name": name, "type": "STATIC", "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]}})
}

/// Everything to one cluster with one endpoint.
pub fn to_one(endpoint: SocketAddr, action: Value) -> Proxy {
    let mut route = json!({"cluster": "up"});
    route.as_object_mut().expect("an object").extend(action.as_object().expect("an object").clone());
    let routes = json!([{"match": {"prefix": "/"}, "name": "root", "route": route}]);
    proxy(json!([listener(manager(routes))]), json!([cluster("up", &[endpoint])]))
}

/// An address where nobody listens.
pub fn nobody() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound")
}
