//! Requests that go through.

use std::io::Read as _;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::backend::{Backend, Then, ok, status};
use super::setup::{FILTERS, cluster, listener, manager, nobody, proxy, to_one};

#[test]
fn an_http_proxy_is_told_the_port_in_the_name() {
    let backend = Backend::echo();
    let mut http = manager(json!([{"match": {"prefix": "/"}, "route": {"cluster": "up"}}]));
    http["route_config"]["virtual_hosts"][0]["domains"] = json!(["web", "web:8080"]);
    let proxy = proxy(json!([listener(http)]), json!([cluster("up", &[backend.address])]));
    let mut client = proxy.client();
    for (target, status) in
        [("http://web:8080/a", 200), ("http://web/b", 200), ("http://web:81/c", 404), ("http://other/d", 404)]
    {
        client
            .send(format!("GET {target} HTTP/1.1\r\nHost: web:8080\r\nProxy-Connection: keep-alive\r\n\r\n"));
        assert_eq!(client.response().status, status, "{target}");
    }
    let seen = backend.seen();
    assert!(
        seen[0].starts_with("GET /a HTTP/1.1\r\n") && seen[1].starts_with("GET /b HTTP/1.1\r\n"),
        "{seen:?}"
    );
    assert!(seen.iter().all(|head| !head.to_ascii_lowercase().contains("proxy-connection")));
}

#[test]
fn a_request_and_its_response_go_through() {
    let backend = Backend::echo();
    let proxy = to_one(backend.address, json!({}));
    let response = proxy.client().get("/a?b=c", "X-Mine: 1\r\nConnection: x-hop\r\nX-Hop: 2\r\n");
    assert_eq!(response.status, 200);
    assert_eq!(response.header("server"), Some("envoy"));
    assert!(response.header("x-envoy-upstream-service-time").is_some() && response.header("date").is_some());
    for line in [
        "GET /a?b=c HTTP/1.1\r\n",
        "host: h.test\r\n",
        "X-Mine: 1\r\n",
        "x-forwarded-proto: http\r\n",
        "x-envoy-expected-rq-timeout-ms: 15000\r\n",
        "x-envoy-attempt-count: 1\r\n",
        "x-request-id: ",
    ] {
        assert!(response.body.contains(line), "{line:?} in {}", response.body);
    }
    assert!(!response.body.to_lowercase().contains("x-hop"));
}

#[test]
fn connections_are_kept_on_both_sides_and_answers_keep_their_order() {
    let backend = Backend::echo();
    let proxy = to_one(backend.address, json!({}));
    let mut client = proxy.client();
    for number in 0..20 {
        assert!(client.get(&format!("/{number}"), "").body.starts_with(&format!("GET /{number} ")));
    }
    client.send("GET /one HTTP/1.1\r\nHost: a\r\n\r\nPOST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\r\nGET /three HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(client.response().body.starts_with("GET /one "));
    assert!(client.response().body.ends_with("\r\n\r\nabc"));
    let last = client.response();
    assert!(last.body.starts_with("GET /three ") && last.header("connection") == Some("close"));
    assert_eq!(client.rest(), "");
    assert_eq!(backend.connections(), 1);
}

#[test]
fn bodies_go_through_however_they_are_framed() {
    let backend = Backend::start(|head, body| {
        let size = body.len();
        match head.split(' ').nth(1) {
            Some("/chunked") => Then::Answer(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\nx-t: 1\r\n\r\n"
                    .to_vec(),
            ),
            Some("/close") => Then::AnswerAndClose(b"HTTP/1.1 200 OK\r\n\r\nuntil the end".to_vec()),
            Some("/none") => Then::Answer(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
            Some("/early") => Then::Answer(
                b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
                    .to_vec(),
            ),
            _ => Then::Answer(ok(format!("{size} bytes").as_bytes())),
        }
    });
    let proxy = to_one(backend.address, json!({}));
    let mut client = proxy.client();
    assert_eq!(client.get("/chunked", "").body, "hello");
    let close = client.get("/close", "");
    assert_eq!((close.body.as_str(), close.header("transfer-encoding")), ("until the end", Some("chunked")));
    assert_eq!(client.get("/none", "").status, 204);
    let hints = client.get("/early", "");
    assert_eq!((hints.status, hints.header("link")), (103, Some("x")));
    assert_eq!(client.response().status, 200);
    let large = vec![b'x'; 3 << 20];
    client
        .send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", large.len()))
        .send(&large);
    assert_eq!(client.response().body, format!("{} bytes", large.len()));
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        .send("2\r\nde\r\n0\r\n\r\n");
    assert_eq!(client.response().body, "20 bytes", "two chunks and the last one");
    client.send("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\nGET /y HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.send("").head_only();
    assert!(head.contains("Content-Length: 7"), "{head}");
    assert_eq!(client.response().body, "0 bytes");
}

#[test]
fn a_large_response_reaches_a_slow_reader() {
    let backend = Backend::start(|_, _| Then::Answer(ok(&vec![b'y'; 8 << 20])));
    let proxy = to_one(backend.address, json!({}));
    let response = proxy.client().get("/", "");
    assert_eq!(response.body.len(), 8 << 20);
}

#[test]
fn a_client_that_waits_is_told_to_go_on() {
    let backend = Backend::start(|head, body| {
        assert!(!head.to_lowercase().contains("expect:"));
        Then::Answer(ok(body))
    });
    let proxy = to_one(backend.address, json!({}));
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert_eq!(client.response().status, 100);
    assert_eq!(client.send("abc").response().body, "abc");
}

#[test]
fn an_upgrade_becomes_a_tunnel_and_a_refused_one_ends_the_connection() {
    let backend = Backend::start(|head, _| {
        assert!(head.contains("upgrade: websocket\r\n"), "{head}");
        match head.split(' ').nth(1) {
            Some("/chat") => Then::Echo(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhi"
                    .to_vec(),
            ),
            _ => Then::Answer(status(403)),
        }
    });
    let proxy = to_one(backend.address, json!({}));
    let ask = |path: &str, protocol: &str| {
        let mut client = proxy.client();
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n"
        ));
        client
    };
    let mut client = ask("/chat", "websocket");
    let response = client.response();
    assert_eq!((response.status, response.header("upgrade")), (101, Some("websocket")));
    assert_eq!(client.bytes(2), "hi");
    assert_eq!(client.send("ping").bytes(4), "ping");
    assert_eq!(client.finish().rest(), "");
    let mut client = ask("/no", "websocket");
    client.send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status, 403);
    assert_eq!(client.rest(), "");
    assert_eq!(ask("/chat", "other").response().status, 403);
    assert!(!backend.seen().iter().any(|head| head.contains("smuggled")));
}

#[test]
fn a_dead_endpoint_is_left_for_another_one() {
    let backend = Backend::echo();
    let retry = json!({"retry_on": "connect-failure", "num_retries": 2,
        "retry_host_predicate": [{"name": "envoy.retry_host_predicates.previous_hosts"}],
        "host_selection_retry_max_attempts": 5});
    let routes = json!([
        {"match": {"prefix": "/retry"}, "route": {"cluster": "both", "retry_policy": retry}},
        {"match": {"prefix": "/"}, "route": {"cluster": "dead"}}]);
    let proxy = proxy(
        json!([listener(manager(routes))]),
        json!([cluster("both", &[nobody(), backend.address]), cluster("dead", &[nobody()])]),
    );
    let mut client = proxy.client();
    for _ in 0..10 {
        assert_eq!(client.get("/retry", "").status, 200);
    }
    client.send("POST /retry HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
    assert!(client.response().body.ends_with("body"));
    let dead = client.get("/", "");
    assert_eq!(dead.status, 503);
    assert!(dead.body.ends_with("reset reason: remote connection failure"), "{}", dead.body);
}

#[test]
fn answers_are_tried_again_with_the_body() {
    let count = AtomicUsize::new(0);
    let backend = Backend::start(move |_, body| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Then::Answer(status(503)),
        1 => Then::Close,
        _ => Then::Answer(ok(body)),
    });
    let retry = json!({"retry_on": "5xx", "num_retries": 3, "retry_back_off": {"base_interval": "0.001s"}});
    let proxy = to_one(backend.address, json!({"retry_policy": retry}));
    let mut client = proxy.client();
    let body = "x".repeat(40_000);
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    assert_eq!(client.response().body, body);
    let attempts: Vec<String> = backend
        .seen()
        .iter()
        .filter_map(|head| Some(head.split("x-envoy-attempt-count: ").nth(1)?.chars().take(1).collect()))
        .collect();
    assert_eq!(attempts, ["1", "2", "3"]);
}

#[test]
fn a_pooled_connection_that_the_server_closed_is_no_failure() {
    let backend = Backend::start(|_, body| Then::AnswerAndClose(ok(body)));
    let proxy = to_one(backend.address, json!({}));
    let mut client = proxy.client();
    for _ in 0..50 {
        assert_eq!(client.get("/", "").status, 200);
    }
}

#[test]
fn a_client_that_goes_takes_its_request_along() {
    let server = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let proxy = to_one(server.local_addr().expect("it is bound"), json!({}));
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let (mut upstream, _) = server.accept().expect("the proxy connects");
    upstream.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        upstream.read_exact(&mut byte).expect("the request");
        head.extend_from_slice(&byte);
    }
    drop(client);
    assert_eq!(upstream.read(&mut [0]).expect("the connection ends"), 0);
}

#[test]
fn what_takes_too_long_ends_in_504() {
    let backend = Backend::start(|_, _| Then::Hang);
    let proxy = to_one(backend.address, json!({"timeout": "0.2s"}));
    let began = Instant::now();
    let response = proxy.client().get("/", "");
    assert_eq!((response.status, response.body.as_str()), (504, "upstream request timeout"));
    assert!(began.elapsed() >= Duration::from_millis(190) && began.elapsed() < Duration::from_secs(5));
    let retry = json!({"retry_on": "gateway-error", "num_retries": 1, "per_try_timeout": "0.1s"});
    let proxy = to_one(backend.address, json!({"retry_policy": retry}));
    assert_eq!(proxy.client().get("/", "").status, 504);
    assert_eq!(backend.seen().len(), 3, "one attempt, then two");
}

#[test]
fn faults_are_injected() {
    let backend = Backend::echo();
    let fault = |content: serde_json::Value| {
        let mut fault = json!({"@type": format!("{FILTERS}.http.fault.v3.HTTPFault"),
            "headers": [{"name": "end-user", "string_match": {"exact": "jason"}}]});
        fault.as_object_mut().expect("an object").extend(content.as_object().expect("an object").clone());
        json!({"fault": fault})
    };
    let routes = json!([
        {"match": {"prefix": "/abort"}, "route": {"cluster": "up"},
         "typed_per_filter_config": fault(json!({"abort": {"http_status": 500, "percentage": {"numerator": 100}}}))},
        {"match": {"prefix": "/delay"}, "route": {"cluster": "up"},
         "typed_per_filter_config": fault(json!({"delay": {"fixed_delay": "0.3s", "percentage": {"numerator": 100}}}))}]);
    let proxy = proxy(json!([listener(manager(routes))]), json!([cluster("up", &[backend.address])]));
    let mut client = proxy.client();
    let aborted = client.get("/abort", "end-user: jason\r\n");
    assert_eq!((aborted.status, aborted.body.as_str()), (500, "fault filter abort"));
    assert_eq!(client.get("/abort", "end-user: other\r\n").status, 200);
    let began = Instant::now();
    assert_eq!(client.get("/delay", "end-user: jason\r\n").status, 200);
    assert!(began.elapsed() >= Duration::from_millis(290));
}

#[test]
fn requests_are_answered_here_rewritten_and_balanced() {
    let (one, two) = (Backend::echo(), Backend::echo());
    let routes = json!([
        {"match": {"prefix": "/direct"}, "direct_response": {"status": 418, "body": {"inline_string": "tea"}}},
        {"match": {"prefix": "/old"}, "redirect": {"path_redirect": "/new", "response_code": "FOUND"}},
        {"match": {"prefix": "/api/"}, "route": {"cluster": "both", "prefix_rewrite": "/", "host_rewrite_literal": "inner"},
         "request_headers_to_add": [{"header": {"key": "x-from", "value": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}}],
         "response_headers_to_remove": ["x-envoy-upstream-service-time"]},
        {"match": {"prefix": "/gone"}, "route": {"cluster": "missing"}}]);
    let mut http = manager(routes);
    http["route_config"]["validate_clusters"] = json!(false);
    let proxy = proxy(json!([listener(http)]), json!([cluster("both", &[one.address, two.address])]));
    let mut client = proxy.client();
    assert_eq!(client.get("/direct", "").body, "tea");
    assert_eq!(client.get("/old?x=1", "").header("location"), Some("http://h.test/new?x=1"));
    assert_eq!(client.get("/gone", "").status, 503);
    assert_eq!(client.get("/nothing", "").status, 404);
    for _ in 0..10 {
        let response = client.get("/api/v1/x?y=z", "");
        for line in [
            "GET /v1/x?y=z ",
            "host: inner\r\n",
            "x-from: 127.0.0.1\r\n",
            "x-envoy-original-path: /api/v1/x?y=z\r\n",
        ] {
            assert!(response.body.contains(line), "{line:?} in {}", response.body);
        }
        assert_eq!(response.header("x-envoy-upstream-service-time"), None);
    }
    assert_eq!((one.seen().len(), two.seen().len()), (5, 5));
}

#[test]
fn draining_asks_clients_to_go_and_still_serves_them() {
    let backend = Backend::echo();
    let proxy = to_one(backend.address, json!({}));
    let mut client = proxy.client();
    assert_eq!(client.get("/", "").header("connection"), None);
    proxy.handle().drain();
    let response = client.get("/", "");
    assert_eq!((response.status, response.header("connection")), (200, Some("close")));
    assert_eq!(client.rest(), "");
}
