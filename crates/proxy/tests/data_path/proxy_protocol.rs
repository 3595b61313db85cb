//! The PROXY protocol towards us and from us, and TLS that passes through by
//! its server name.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::backend::Backend;
use super::setup::{FILTERS, cluster, listener, manager, proxy};

const SOURCE: &str = "1.2.3.4:1111";
const DESTINATION: &str = "5.6.7.8:80";

fn header(version: routing::proxy_protocol::Version) -> Vec<u8> {
    let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
    proxy::proxy_protocol::header(version, address(SOURCE), address(DESTINATION))
}

fn expecting(options: Value, http: Value) -> Value {
    let mut filter = json!({"@type": format!("{FILTERS}.listener.proxy_protocol.v3.ProxyProtocol")});
    filter.as_object_mut().expect("an object").extend(options.as_object().expect("an object").clone());
    let mut listener = listener(http);
    listener["listener_filters"] = json!([{"name": "proxy_protocol", "typed_config": filter}]);
    listener
}

fn edge() -> Value {
    let mut http = manager(json!([{"match": {"prefix": "/"}, "route": {"cluster": "up"}}]));
    http["use_remote_address"] = json!(true);
    http
}

#[test]
fn a_header_tells_who_the_client_is() {
    use routing::proxy_protocol::Version;
    let backend = Backend::echo();
    let up = json!([cluster("up", &[backend.address])]);
    let strict = proxy(json!([expecting(json!({}), edge())]), up.clone());
    for version in [Version::V1, Version::V2] {
        let mut client = strict.client();
        client.send(header(version));
        let response = client.get("/", "");
        assert!(response.body.contains("x-forwarded-for: 1.2.3.4\r\n"), "{}", response.body);
        assert_eq!(client.get("/", "").status, 200);
    }
    let before = backend.seen().len();
    let mut v2 = header(Version::V2);
    v2.extend_from_slice(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    // What is attached claims more than the header holds.
    v2[15] += 3;
    let without: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for bytes in [v2.as_slice(), without, b"PROXY TCP4 x\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        assert_eq!(strict.client().send(bytes).rest(), "", "{:?}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(backend.seen().len(), before);
    let lenient = proxy(
        json!([expecting(
            json!({"allow_requests_without_proxy_protocol": true, "disallowed_versions": ["V1"]}),
            edge()
        )]),
        up,
    );
    assert_eq!(lenient.client().get("/", "").status, 200);
    assert_eq!(lenient.client().send(header(Version::V1)).rest(), "");
}

#[test]
fn upstreams_are_told_who_the_client_is() {
    use routing::proxy_protocol::Version;
    let backend = Backend::echo();
    let inner = proxy(json!([expecting(json!({}), edge())]), json!([cluster("up", &[backend.address])]));
    for (version, name) in [(Version::V1, "V1"), (Version::V2, "V2")] {
        let mut told = cluster("up", &[inner.address]);
        told["transport_socket"] = json!({"name": "envoy.transport_sockets.upstream_proxy_protocol",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
                "config": {"version": name},
                "transport_socket": {"name": "envoy.transport_sockets.raw_buffer"}}});
        let outer = proxy(json!([expecting(json!({}), edge())]), json!([told]));
        let mut client = outer.client();
        client.send(header(version));
        let response = client.get("/", "");
        assert!(response.body.contains("x-forwarded-for: 1.2.3.4,1.2.3.4\r\n"), "{name}: {}", response.body);
        assert_eq!(client.get("/", "").status, 200);
    }
}

/// The beginning of TLS with a server name, as clients send it.
fn client_hello(name: &str) -> Vec<u8> {
    let name = name.as_bytes();
    let short = |length: usize| u16::try_from(length).expect("short").to_be_bytes();
    let mut entry = vec![0];
    entry.extend_from_slice(&short(name.len()));
    entry.extend_from_slice(name);
    let mut extension = vec![0, 0];
    extension.extend_from_slice(&short(entry.len() + 2));
    extension.extend_from_slice(&short(entry.len()));
    extension.extend_from_slice(&entry);
    let mut hello = vec![3, 3];
    hello.extend_from_slice(&[7; 32]);
    hello.extend_from_slice(&[0, 0, 2, 0x13, 0x01, 1, 0]);
    hello.extend_from_slice(&short(extension.len()));
    hello.extend_from_slice(&extension);
    let mut record = vec![22, 3, 1];
    record.extend_from_slice(&short(hello.len() + 4));
    record.extend_from_slice(&[1, 0]);
    record.extend_from_slice(&short(hello.len()));
    record.extend_from_slice(&hello);
    record
}

/// A server that says its name and what it was told.
fn named(name: &'static str) -> SocketAddr {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut told = vec![0; 4096];
            let count = stream.read(&mut told).unwrap_or_default();
            // The client may have gone.
            let _ = stream.write_all(format!("{name} {count}").as_bytes());
        }
    });
    address
}

#[test]
fn tls_passes_through_by_its_server_name() {
    let chain = |names: &[&str], cluster: &str| {
        json!({"filter_chain_match": {"server_names": names, "transport_protocol": "tls"},
            "filters": [{"name": "tcp", "typed_config": {
                "@type": format!("{FILTERS}.network.tcp_proxy.v3.TcpProxy"),
                "stat_prefix": cluster, "cluster": cluster}}]})
    };
    let inspector = format!("{FILTERS}.listener.tls_inspector.v3.TlsInspector");
    let listener = json!({"name": "l",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "listener_filters": [{"name": "tls", "typed_config": {"@type": inspector}}],
        "filter_chains": [chain(&["one.test"], "one"), chain(&["*.two.test"], "two")]});
    let proxy =
        proxy(json!([listener]), json!([cluster("one", &[named("one")]), cluster("two", &[named("two")])]));
    for (name, expected) in [("one.test", Some("one")), ("a.two.test", Some("two")), ("two.test", None)] {
        let hello = client_hello(name);
        let said = proxy.client().send(&hello).rest();
        assert_eq!(
            said,
            expected.map_or(String::new(), |server| format!("{server} {}", hello.len())),
            "{name}"
        );
    }
    assert_eq!(proxy.client().send("GET / HTTP/1.1\r\nHost: one.test\r\n\r\n").rest(), "");
}
