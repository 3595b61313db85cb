//! The headers by which requests steer timeouts and retries: what Envoy does
//! with them, and what is done here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::backend::{Backend, Then, ok, status};
use super::beside_envoy::real;
use super::client::Client;
use super::setup::{cluster, listener, manager, proxy};

/// A listener for clients from inside, or for those from outside.
fn configuration(backend: SocketAddr, inside: bool) -> (Value, Value) {
    let mut http = manager(json!([
        {"match": {"prefix": "/own"}, "route": {"cluster": "up", "retry_policy":
            {"retry_on": "retriable-status-codes", "retriable_status_codes": [404], "num_retries": 1}}},
        {"match": {"prefix": "/added"}, "route": {"cluster": "up"},
            "request_headers_to_add": [{"header": {"key": "x-envoy-retry-on", "value": "5xx"}}]},
        {"match": {"prefix": "/"}, "route": {"cluster": "up"}}]));
    http["use_remote_address"] = json!(true);
    if inside {
        http["internal_address_config"] =
            json!({"cidr_ranges": [{"address_prefix": "127.0.0.0", "prefix_len": 8}]});
    }
    (json!([listener(http)]), json!([cluster("up", &[backend])]))
}

/// What a request comes to: its status, how often the backend got it, and
/// which of the headers came with it.
fn outcome(client: &mut Client, backend: &Backend, path: &str, headers: &str) -> (u16, usize, Vec<String>) {
    let before = backend.seen().len();
    let answer = client.get(path, headers);
    if path == "/hang" {
        // When an attempt that is given up is seen says nothing.
        return (answer.status, 0, Vec::new());
    }
    let seen = backend.seen().split_off(before);
    let first = seen.first().cloned().unwrap_or_default().to_ascii_lowercase();
    let passed = first.lines().filter_map(|line| line.split(':').next()).filter(|name| {
        name.starts_with("x-envoy-")
            && !matches!(*name, "x-envoy-internal" | "x-envoy-expected-rq-timeout-ms")
    });
    (answer.status, seen.len(), passed.map(str::to_owned).collect())
}

const CASES: [(&str, &str); 15] = [
    ("/503", ""),
    ("/503", "x-envoy-retry-on: 5xx\r\n"),
    ("/503", "x-envoy-retry-on: 5xx\r\nx-envoy-max-retries: 3\r\n"),
    ("/503", "x-envoy-retry-on: gateway-error\r\nx-envoy-max-retries: 0\r\n"),
    ("/503", "x-envoy-max-retries: 3\r\n"),
    ("/500", "x-envoy-retry-on: gateway-error\r\n"),
    ("/503", "x-envoy-retry-grpc-on: 5xx\r\n"),
    ("/418", "x-envoy-retry-on: retriable-status-codes\r\nx-envoy-retriable-status-codes: 418,x\r\n"),
    ("/200", "x-envoy-retry-on: retriable-headers\r\nx-envoy-retriable-header-names: X-Mark\r\n"),
    ("/own/404", "x-envoy-max-retries: 2\r\n"),
    ("/own/503", "x-envoy-retry-on: 5xx\r\n"),
    ("/added/503", "x-envoy-max-retries: 2\r\n"),
    ("/hang", "x-envoy-upstream-rq-timeout-ms: 50\r\n"),
    ("/hang", "x-envoy-upstream-rq-timeout-ms: 50\r\nx-envoy-upstream-rq-timeout-alt-response: 1\r\n"),
    (
        "/hang",
        "x-envoy-upstream-rq-per-try-timeout-ms: 40\r\nx-envoy-retry-on: reset\r\nx-envoy-hedge-on-per-try-timeout: false\r\n",
    ),
];

#[test]
fn requests_from_inside_steer_as_they_steer_envoy() {
    let backend = Backend::start(|head, _| match head.split(' ').nth(1).unwrap_or_default() {
        "/hang" => Then::Hang,
        path => match path.rsplit('/').next().and_then(|code| code.parse().ok()) {
            Some(200) | None => {
                Then::Answer(b"HTTP/1.1 200 OK\r\nX-Mark: 1\r\nContent-Length: 0\r\n\r\n".to_vec())
            }
            Some(code) => Then::Answer(status(code)),
        },
    });
    for inside in [true, false] {
        let (listeners, clusters) = configuration(backend.address, inside);
        let theirs = real(listeners.clone(), clusters.clone());
        let ours = proxy(listeners, clusters);
        for (path, headers) in CASES {
            // Nobody waits for ever where the limit is not taken.
            if path == "/hang" && !inside {
                continue;
            }
            let theirs = outcome(&mut Client::connect(theirs.address), &backend, path, headers);
            let own = outcome(&mut ours.client(), &backend, path, headers);
            assert_eq!(own, theirs, "{path} {headers:?}, inside: {inside}");
        }
    }
}

#[test]
fn a_request_may_ask_for_more_retries_than_a_route() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let backend = Backend::start(move |_, _| match counted.fetch_add(1, Ordering::SeqCst) {
        0..4 => Then::Answer(status(503)),
        _ => Then::Answer(ok(b"at last")),
    });
    let (listeners, clusters) = configuration(backend.address, true);
    let proxy = proxy(listeners, clusters);
    let headers = "x-envoy-retry-on: 5xx\r\nx-envoy-max-retries: 4\r\n";
    assert_eq!(proxy.client().get("/", headers).body, "at last");
    assert_eq!(count.load(Ordering::SeqCst), 5);
}
