//! Limits of connections: of a filter chain, and of all clients together.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::backend::Backend;
use super::beside_envoy::real;
use super::setup::{FILTERS, Proxy, cluster, listener, manager, proxy, proxy_of};

const PATIENCE: Duration = Duration::from_secs(30);

fn limited(most: u32, delay: Option<&str>) -> Value {
    let mut listener = listener(manager(json!([{"match": {"prefix": "/"}, "route": {"cluster": "up"}}])));
    let mut limit = json!({"@type": format!("{FILTERS}.network.connection_limit.v3.ConnectionLimit"),
        "stat_prefix": "few", "max_connections": most});
    if let Some(delay) = delay {
        limit["delay"] = json!(delay);
    }
    let filters = listener["filter_chains"][0]["filters"].as_array_mut().expect("a list");
    filters.insert(0, json!({"name": "limit", "typed_config": limit}));
    json!([listener])
}

/// Whether the connection answers a request; false when it is closed instead.
fn answers(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").is_ok()
        && matches!(stream.read(&mut [0; 1]), Ok(1))
}

fn connect(address: std::net::SocketAddr) -> TcpStream {
    TcpStream::connect(address).expect("it listens")
}

/// Whether somebody new is served, as soon as those before have been counted out.
fn becomes_free(address: std::net::SocketAddr) {
    let deadline = Instant::now() + PATIENCE;
    while !answers(&mut connect(address)) {
        assert!(Instant::now() < deadline, "nobody is served any more");
    }
}

fn stat(text: &str, name: &str) -> Option<String> {
    text.lines().find(|line| line.starts_with(name)).map(str::to_owned)
}

#[test]
fn a_chain_takes_as_many_connections_as_it_may() {
    let backend = Backend::echo();
    let clusters = || json!([cluster("up", &[backend.address])]);
    let theirs = real(limited(2, None), clusters());
    let ours = proxy(limited(2, None), clusters());
    for address in [theirs.address, ours.address] {
        let (mut first, mut second) = (connect(address), connect(address));
        assert!(answers(&mut first) && answers(&mut second), "{address}");
        assert!(!answers(&mut connect(address)) && !answers(&mut connect(address)), "{address}");
        assert!(answers(&mut first), "who was there goes on");
        drop(first);
        becomes_free(address);
        drop(second);
    }
    let text = ours.handle().stats_text();
    let line = stat(&text, "envoy_connection_limit_limited_connections{").expect("a counter");
    let count: u64 = line.rsplit(' ').next().expect("a value").parse().expect("a number");
    assert!(count >= 2, "{line}");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let real = runtime.block_on(theirs.admin("/stats/prometheus"));
    let real = stat(&real, "envoy_connection_limit_limited_connections{").expect("a counter");
    assert_eq!(line.split_once('}').map(|parts| parts.0), real.split_once('}').map(|parts| parts.0));
}

#[test]
fn one_too_many_may_be_kept_waiting() {
    let backend = Backend::echo();
    let proxy = proxy(limited(1, Some("0.2s")), json!([cluster("up", &[backend.address])]));
    let mut first = connect(proxy.address);
    assert!(answers(&mut first));
    let began = Instant::now();
    assert!(!answers(&mut connect(proxy.address)));
    assert!(began.elapsed() >= Duration::from_millis(200));
}

#[test]
fn all_clients_together_have_a_limit_too() {
    let backend = Backend::echo();
    let listeners =
        json!([listener(manager(json!([{"match": {"prefix": "/"}, "route": {"cluster": "up"}}])))]);
    let monitor = json!({"resource_monitors": [{"name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": {"@type":
            "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
            "max_active_downstream_connections": 2}}]});
    let proxy: Proxy = proxy_of(&json!({"overload_manager": monitor, "static_resources":
        {"listeners": listeners, "clusters": [cluster("up", &[backend.address])]}}));
    let (mut first, mut second) = (connect(proxy.address), connect(proxy.address));
    assert!(answers(&mut first) && answers(&mut second));
    assert!(!answers(&mut connect(proxy.address)));
    drop(first);
    becomes_free(proxy.address);
    assert!(proxy.handle().stats_text().contains("envoy_listener_downstream_global_cx_overflow"));
}
