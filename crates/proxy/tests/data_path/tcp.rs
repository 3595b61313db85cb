//! Connections that are not HTTP.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener};

use serde_json::{Value, json};

use super::backend::Backend;
use super::setup::{FILTERS, Proxy, cluster, listener, manager, nobody, proxy};

fn tcp(cluster: &str) -> Value {
    json!({"name": "tcp", "typed_config":
        {"@type": format!("{FILTERS}.network.tcp_proxy.v3.TcpProxy"), "stat_prefix": "t", "cluster": cluster}})
}

fn to_tcp(endpoint: SocketAddr) -> Proxy {
    let listener = json!({"name": "l", "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [tcp("up")]}]});
    proxy(json!([listener]), json!([cluster("up", &[endpoint])]))
}

/// A server that speaks first, then returns how much it got when the client
/// has finished, and the same number of bytes.
fn counting() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                stream.write_all(b"hello\n").expect("it reads");
                let mut all = Vec::new();
                stream.read_to_end(&mut all).expect("it ends");
                stream.write_all(format!("{}\n", all.len()).as_bytes()).expect("it reads");
                stream.write_all(&all).expect("it reads");
                stream.shutdown(Shutdown::Write).expect("it is open");
            });
        }
    });
    address
}

#[test]
fn the_server_may_speak_first_and_either_side_may_finish_first() {
    let proxy = to_tcp(counting());
    let mut client = proxy.client();
    assert_eq!(client.bytes(6), "hello\n");
    assert_eq!(client.send("abc").finish().rest(), "3\nabc");
}

#[test]
fn much_goes_through_unchanged() {
    let proxy = to_tcp(counting());
    let mut client = proxy.client();
    let data: Vec<u8> = (0..4_000_000u32).map(|number| b'a' + (number % 23) as u8).collect();
    client.send(&data).finish();
    let expected = format!("hello\n{}\n{}", data.len(), String::from_utf8_lossy(&data));
    assert!(client.rest() == expected);
}

#[test]
fn a_connection_to_nobody_is_closed() {
    assert_eq!(to_tcp(nobody()).client().rest(), "");
}

#[test]
fn http_is_told_from_other_bytes() {
    let backend = Backend::echo();
    let mut both = listener(manager(json!([{"match": {"prefix": "/"}, "route": {"cluster": "http"}}])));
    both["listener_filters"] = json!([
        {"name": "tls", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"}},
        {"name": "http", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.listener.http_inspector.v3.HttpInspector"}}]);
    both["listener_filters_timeout"] = json!("0.2s");
    both["continue_on_listener_filters_timeout"] = json!(true);
    both["filter_chains"][0]["filter_chain_match"] = json!({"application_protocols": ["http/1.1", "h2c"]});
    both["default_filter_chain"] = json!({"filters": [tcp("tcp")]});
    let proxy =
        proxy(json!([both]), json!([cluster("http", &[backend.address]), cluster("tcp", &[counting()])]));
    assert_eq!(proxy.client().get("/", "").status, 200);
    let mut slow = proxy.client();
    slow.send("GE");
    slow.send("T / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(slow.response().status, 200);
    assert_eq!(proxy.client().send("*1\r\n").finish().rest(), "hello\n4\n*1\r\n");
    // Nothing comes from the client: after the limit it is no HTTP.
    assert_eq!(proxy.client().bytes(6), "hello\n");
}
