//! Copies of requests.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::backend::{Backend, Then};
use super::client::Client;
use super::http2::http2_cluster;
use super::peers::Server;
use super::setup::{Proxy, cluster, listener, manager, proxy};

fn mirrored(main: &Backend, copy: &Backend, percent: u32) -> Proxy {
    mirrored_to(main, cluster("copy", &[copy.address]), percent)
}

fn mirrored_to(main: &Backend, copy: Value, percent: u32) -> Proxy {
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster": "main", "request_mirror_policies": [
        {"cluster": "copy", "runtime_fraction": {"default_value": {"numerator": percent}}}]}}]);
    let clusters = json!([cluster("main", &[main.address]), copy]);
    proxy(json!([listener(manager(routes))]), clusters)
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn copies_go_to_the_shadow_of_the_host() {
    let (main, copy) = (Backend::echo(), Backend::echo());
    let proxy = mirrored(&main, &copy, 100);
    let mut client = proxy.client();
    assert_eq!(client.get("/a", "x-own: 1\r\n").status, 200);
    client.send("POST /b HTTP/1.1\r\nHost: h.test:8080\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.response().status, 200);
    client.send(
        "POST /c HTTP/1.1\r\nHost: h.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    );
    assert_eq!(client.response().status, 200);
    until("three copies come", || copy.seen().len() == 3);
    let seen: Vec<String> = copy.seen().iter().map(|head| head.to_ascii_lowercase()).collect();
    let of = |path: &str| seen.iter().find(|head| head.contains(path)).expect("it came").clone();
    assert!(of(" /a ").contains("host: h.test-shadow\r\n"), "{seen:?}");
    assert!(of(" /a ").contains("x-own: 1\r\n"));
    assert!(of(" /a ").contains("x-envoy-internal: true\r\n"));
    assert!(of(" /b ").contains("host: h.test-shadow:8080\r\n"));
    assert!(main.seen().iter().all(|head| !head.contains("shadow")));
    until("a connection is used again", || {
        assert_eq!(client.get("/d", "").status, 200);
        copy.connections() < copy.seen().len()
    });
}

#[test]
fn nobody_waits_for_a_copy() {
    let main = Backend::echo();
    let copy = Backend::start(|_, _| Then::Hang);
    let proxy = mirrored(&main, &copy, 100);
    let mut client = proxy.client();
    for _ in 0..20 {
        assert_eq!(client.get("/", "").status, 200);
    }
    until("the copies come", || copy.seen().len() == 20);
}

#[test]
fn only_a_share_is_copied() {
    let (main, copy) = (Backend::echo(), Backend::echo());
    let none = mirrored(&main, &copy, 0);
    assert_eq!(none.client().get("/", "").status, 200);
    let half = mirrored(&main, &copy, 50);
    let mut client = half.client();
    for _ in 0..400 {
        assert_eq!(client.get("/", "").status, 200);
    }
    until("about half come", || copy.seen().len() > 140);
    assert!(copy.seen().len() < 260, "{}", copy.seen().len());
}

#[tokio::test]
async fn copies_to_clusters_of_http_2_alone_are_streams() {
    let (main, copy) = (Backend::echo(), Server::echo().await);
    let proxy = mirrored_to(&main, http2_cluster("copy", copy.address, json!({})), 100);
    let address = proxy.address;
    let work = tokio::task::spawn_blocking(move || {
        let mut client = Client::connect(address);
        assert_eq!(client.get("/a", "x-own: 1\r\nConnection: x-hop\r\nx-hop: 1\r\n").status, 200);
        let large = "x".repeat(300_000);
        client
            .send(format!("POST /b HTTP/1.1\r\nHost: h.test:8080\r\nContent-Length: 300000\r\n\r\n{large}"));
        assert_eq!(client.response().status, 200);
        client.send(
            "POST /c HTTP/1.1\r\nHost: h.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        );
        assert_eq!(client.response().status, 200);
    });
    work.await.expect("it went well");
    let deadline = Instant::now() + Duration::from_secs(30);
    let answered = |proxy: &Proxy| {
        let line = r#"envoy_cluster_upstream_rq_xx{cluster_name="copy",envoy_response_code_class="2"} 3"#;
        proxy.handle().stats_text().contains(line)
    };
    while !answered(&proxy) {
        assert!(Instant::now() < deadline, "{:?}", copy.seen());
        tokio::task::yield_now().await;
    }
    let seen = copy.seen();
    let of = |path: &str| seen.iter().find(|seen| seen.path == path).expect("it came").clone();
    assert_eq!((of("/a").method.as_str(), of("/a").authority.as_str()), ("GET", "h.test-shadow"));
    assert!(of("/a").headers.contains_key("x-own") && !of("/a").headers.contains_key("x-hop"));
    assert_eq!((of("/b").method.as_str(), of("/b").authority.as_str()), ("POST", "h.test-shadow:8080"));
    assert_eq!(of("/b").headers["content-length"].as_bytes(), b"300000");
    assert_eq!(of("/c").authority, "h.test-shadow");
    assert_eq!(copy.connections(), 1, "they share it");
}
