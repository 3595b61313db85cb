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

fn to_tcp_with(proxy_extra: Value, cluster_extra: Value, endpoints: &[SocketAddr]) -> Proxy {
    let mut filter = tcp("up");
    let extra = proxy_extra.as_object().expect("an object").clone();
    filter["typed_config"].as_object_mut().expect("an object").extend(extra);
    let mut up = cluster("up", endpoints);
    up.as_object_mut().expect("an object").extend(cluster_extra.as_object().expect("an object").clone());
    let listener = json!({"name": "l", "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [filter]}]});
    proxy(json!([listener]), json!([up]))
}

/// The value of a statistic of the cluster.
fn stat(proxy: &Proxy, name: &str) -> u64 {
    let text = proxy.handle().stats_text();
    let line = text.lines().find(|line| line.starts_with(&format!("envoy_cluster_{name}{{")));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

#[test]
fn connecting_is_tried_so_often() {
    let proxy = to_tcp_with(json!({"max_connect_attempts": 3}), json!({}), &[nobody(), nobody()]);
    assert_eq!(proxy.client().rest(), "");
    assert_eq!(stat(&proxy, "upstream_cx_connect_fail"), 3);
    let two = to_tcp_with(json!({"max_connect_attempts": 2}), json!({}), &[nobody(), counting()]);
    for _ in 0..4 {
        assert_eq!(two.client().bytes(6), "hello\n");
    }
}

#[test]
fn connections_beyond_the_limit_of_the_cluster_are_closed() {
    let limits = json!({"circuit_breakers": {"thresholds": [{"max_connections": 2}]}});
    let proxy = to_tcp_with(json!({}), limits, &[counting()]);
    let (mut first, mut second) = (proxy.client(), proxy.client());
    assert_eq!((first.bytes(6), second.bytes(6)), ("hello\n".to_owned(), "hello\n".to_owned()));
    assert_eq!(proxy.client().rest(), "");
    assert_eq!(stat(&proxy, "upstream_cx_overflow"), 1);
    assert_eq!(first.send("a").finish().rest(), "1\na");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        // The place of the first is free once the proxy has closed it.
        if proxy.client().finish().rest() == "hello\n0\n" {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "the place is not free");
    }
    drop(second);
}

#[test]
fn a_silent_connection_ends() {
    let proxy = to_tcp_with(json!({"idle_timeout": "0.1s"}), json!({}), &[counting()]);
    let mut client = proxy.client();
    assert_eq!(client.bytes(6), "hello\n");
    // Nothing is sent, nothing is finished: the proxy ends it.
    assert_eq!(client.rest(), "");
}

#[test]
fn a_connection_ends_when_it_is_old() {
    let proxy = to_tcp_with(json!({"max_downstream_connection_duration": "0.2s"}), json!({}), &[counting()]);
    let mut client = proxy.client();
    assert_eq!(client.bytes(6), "hello\n");
    assert_eq!(client.rest(), "");
}

#[test]
fn weights_share_connections_out() {
    let other = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.write_all(b"other\n");
            }
        });
        address
    };
    let mut filter = tcp("up");
    let config = filter["typed_config"].as_object_mut().expect("an object");
    config.remove("cluster");
    config.insert(
        "weighted_clusters".to_owned(),
        json!({"clusters": [{"name": "up", "weight": 90}, {"name": "other", "weight": 10}]}),
    );
    let listener = json!({"name": "l", "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [filter]}]});
    let proxy = proxy(json!([listener]), json!([cluster("up", &[counting()]), cluster("other", &[other])]));
    let others = (0..400).filter(|_| proxy.client().bytes(6) == "other\n").count();
    assert!((12..80).contains(&others), "{others} of 400");
}

#[test]
fn much_goes_both_ways_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (mut reader, mut writer) = (stream.try_clone().expect("a descriptor"), stream);
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut reader, &mut writer);
                let _ = writer.shutdown(Shutdown::Write);
            });
        }
    });
    let proxy = to_tcp(address);
    let data: Vec<u8> = (0..8_000_000u32).map(|number| b'a' + (number % 19) as u8).collect();
    let mut stream = std::net::TcpStream::connect(proxy.address).expect("it listens");
    let mut sender = stream.try_clone().expect("a descriptor");
    let sent = data.clone();
    let sending = std::thread::spawn(move || {
        sender.write_all(&sent).expect("it reads");
        sender.shutdown(Shutdown::Write).expect("it is open");
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).expect("it ends");
    sending.join().expect("it is sent");
    assert!(back == data, "{} of {} bytes", back.len(), data.len());
}

#[test]
fn a_port_with_a_declared_protocol_never_waits_for_the_client() {
    // Inspectors are there, but not for this port.
    let mut declared = json!({"name": "l", "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [tcp("up")]}]});
    let off = json!({"destination_port_range": {"start": 1, "end": 65536}});
    declared["listener_filters"] = json!([
        {"name": "tls", "filter_disabled": off, "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"}},
        {"name": "http", "filter_disabled": off, "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.listener.http_inspector.v3.HttpInspector"}}]);
    // Without a limit, waiting would be for ever.
    declared["listener_filters_timeout"] = json!("0s");
    let proxy = proxy(json!([declared]), json!([cluster("up", &[counting()])]));
    assert_eq!(proxy.client().bytes(6), "hello\n");
}

/// What the access log says of one connection to a cluster.
fn line_of(name: &str, clusters: Value, max_duration: Option<&str>) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("access.log");
    let mut filter = tcp(name);
    let config = filter["typed_config"].as_object_mut().expect("an object");
    if let Some(limit) = max_duration {
        config.insert("max_downstream_connection_duration".to_owned(), json!(limit));
    }
    config.insert(
        "access_log".to_owned(),
        json!([{"name": "file", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": log,
        "log_format": {"text_format_source": {"inline_string":
            "%RESPONSE_FLAGS% %UPSTREAM_CLUSTER_RAW%\n"}}}}]),
    );
    let listener = json!({"name": "l", "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [filter]}]});
    let mut proxy = proxy(json!([listener]), clusters);
    let mut client = proxy.client();
    if max_duration.is_none() {
        client.finish();
    }
    client.rest();
    proxy.handle.take().expect("it runs").stop();
    std::fs::read_to_string(&log).expect("a log").trim_end().to_owned()
}

#[test]
fn lines_tell_why_a_connection_came_to_nothing() {
    let server = counting();
    let mut full = cluster("full", &[server]);
    full["circuit_breakers"] = json!({"thresholds": [{"max_connections": 0}]});
    let clusters =
        || json!([cluster("up", &[server]), cluster("dead", &[nobody()]), cluster("empty", &[]), full]);
    let table = [
        ("up", None, "- up"),
        ("up", Some("0.05s"), "DT up"),
        ("dead", None, "UF,URX dead"),
        ("empty", None, "UH empty"),
        ("full", None, "UO full"),
        ("missing", None, "NC -"),
    ];
    for (name, limit, expected) in table {
        assert_eq!(line_of(name, clusters(), limit), expected, "{name}");
    }
}
