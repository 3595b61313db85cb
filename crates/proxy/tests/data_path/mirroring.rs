//! Copies of requests.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::backend::{Backend, Then};
use super::http2::http2_cluster;
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

#[test]
fn a_cluster_of_http_2_alone_gets_no_copy_in_another_version() {
    let (main, copy) = (Backend::echo(), Backend::echo());
    let proxy = mirrored_to(&main, http2_cluster("copy", copy.address, json!({})), 100);
    assert_eq!(proxy.client().get("/", "").status, 200);
    let stats = proxy.handle().stats_text();
    let dropped = stats
        .lines()
        .find(|line| line.starts_with("envoy_cluster_upstream_rq_shadow_dropped{"))
        .expect("a counter");
    assert!(dropped.contains("\"copy\"") && dropped.ends_with(" 1"), "{dropped}");
    assert_eq!(copy.seen(), Vec::<String>::new());
}
