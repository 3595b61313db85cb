//! Proxies in this process, with listeners of the shapes that a sidecar and
//! a gateway have.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use proxy::start::{Handle, ProxyOptions, start};
use proxy::static_config::StaticConfig;
use serde_json::{Value, json};

const FILTERS: &str = "type.googleapis.com/envoy.extensions.filters";
const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// Which port of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Where the own application's connections arrive.
    Outbound,
    /// Where those for the own application arrive.
    Inbound,
    /// Where those from outside arrive.
    Gateway,
}

/// A running proxy; dropped, it is gone.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    handle: Option<Handle>,
}

impl Proxy {
    /// A proxy with one port, in front of an upstream.
    pub fn start(side: Side, upstream: SocketAddr) -> Result<Proxy> {
        let config = json!({"static_resources":
            {"listeners": [listener(side)], "clusters": [cluster(side, upstream)]}});
        let config = StaticConfig::from_json(&config).context("a test's own configuration")?;
        let options =
            ProxyOptions { static_resources: config.resources, concurrency: 1, ..ProxyOptions::default() };
        let handle = start(options).context("start a proxy")?;
        let address = handle.listening().first().context("one listener")?.1;
        Ok(Proxy { address, handle: Some(handle) })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.stop();
        }
    }
}

fn listener(side: Side) -> Value {
    let mut chain = json!({"filters": [{"name": "http", "typed_config": manager(side)}]});
    let mut listener = json!({"name": "l",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "traffic_direction": if side == Side::Inbound { "INBOUND" } else { "OUTBOUND" }});
    if side != Side::Gateway {
        // As for a port whose protocol nobody declared. What is not
        // recognised is served all the same: a suite sends such things.
        let any = chain.clone();
        chain["filter_chain_match"] = json!({"transport_protocol": "raw_buffer",
            "application_protocols": ["http/1.1", "h2c"]});
        listener["default_filter_chain"] = any;
        listener["listener_filters_timeout"] = json!("0s");
        listener["continue_on_listener_filters_timeout"] = json!(true);
        listener["listener_filters"] = json!([
            {"name": "tls", "typed_config": {"@type": format!("{FILTERS}.listener.tls_inspector.v3.TlsInspector")}},
            {"name": "http", "typed_config": {"@type": format!("{FILTERS}.listener.http_inspector.v3.HttpInspector")}}]);
    }
    listener["filter_chains"] = json!([chain]);
    listener
}

fn manager(side: Side) -> Value {
    json!({"@type": format!("{FILTERS}.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "h", "normalize_path": true, "use_remote_address": side == Side::Gateway,
        "stream_idle_timeout": "0s", "upgrade_configs": [{"upgrade_type": "websocket"}],
        "route_config": {"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": "up", "timeout": "0s", "max_grpc_timeout": "0s"}}]}]},
        "http_filters": [
            {"name": "fault", "typed_config": {"@type": format!("{FILTERS}.http.fault.v3.HTTPFault")}},
            {"name": "cors", "typed_config": {"@type": format!("{FILTERS}.http.cors.v3.Cors")}},
            {"name": "router", "typed_config": {"@type": format!("{FILTERS}.http.router.v3.Router")}}]})
}

fn cluster(side: Side, upstream: SocketAddr) -> Value {
    let protocol = match side {
        Side::Inbound => json!({"use_downstream_protocol_config":
            {"http_protocol_options": {}, "http2_protocol_options": {}}}),
        Side::Outbound | Side::Gateway => json!({"explicit_http_config": {"http2_protocol_options": {}}}),
    };
    let mut options = protocol;
    options["@type"] = json!(format!("type.googleapis.com/{HTTP_OPTIONS}"));
    json!({"name": "up", "type": "STATIC", "connect_timeout": "5s",
        "typed_extension_protocol_options": {HTTP_OPTIONS: options},
        "load_assignment": {"cluster_name": "up", "endpoints": [{"lb_endpoints": [{"endpoint": {"address":
            {"socket_address": {"address": upstream.ip().to_string(), "port_value": upstream.port()}}}}]}]}})
}
