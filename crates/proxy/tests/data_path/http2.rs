//! HTTP/2 on either side, and every translation.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use serde_json::{Value, json};

use super::backend::{Backend, Then, ok};
use super::peers::{Client, Server, request};
use super::setup::{Proxy, cluster, listener, manager, proxy, to_one};

/// A cluster that speaks HTTP/2.
pub fn http2_cluster(name: &str, endpoint: std::net::SocketAddr, options: Value) -> Value {
    let mut cluster = cluster(name, &[endpoint]);
    cluster["typed_extension_protocol_options"] = json!({
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": options}}});
    cluster
}

/// Everything to one cluster that speaks HTTP/2.
pub fn to_http2(endpoint: std::net::SocketAddr, action: Value) -> Proxy {
    let mut route = json!({"cluster": "up", "timeout": "5s"});
    route.as_object_mut().expect("an object").extend(action.as_object().expect("an object").clone());
    let routes = json!([{"match": {"prefix": "/"}, "name": "root", "route": route}]);
    proxy(json!([listener(manager(routes))]), json!([http2_cluster("up", endpoint, json!({}))]))
}

fn header(name: &'static str, value: &'static str) -> HeaderMap {
    let mut map = HeaderMap::new();
    map.insert(name, value.parse().expect("a value"));
    map
}

#[tokio::test]
async fn requests_of_http2_become_requests_of_http1() {
    let backend = Backend::start(|head, body| match head.split(' ').nth(1) {
        Some("/chunked") => Then::Answer(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_vec(),
        ),
        Some("/close") => {
            Then::AnswerAndClose(b"HTTP/1.1 200 OK\r\nX-Mixed: Case\r\n\r\nuntil the end".to_vec())
        }
        Some("/none") => Then::Answer(b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec()),
        _ => Then::Answer(ok(&[head.as_bytes(), body].concat())),
    });
    let proxy = to_one(backend.address, json!({}));
    let client = Client::connect(proxy.address).await;
    let mut crumbs = request("POST", "/x?y=z");
    for (name, value) in [("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers"), ("x-n", "v")] {
        crumbs.headers_mut().append(name, value.parse().expect("a value"));
    }
    let reply = client.send(crumbs, Some(b"body"), None).await.expect("a response");
    assert_eq!(reply.status, 200);
    let text = reply.text();
    for line in [
        "POST /x?y=z HTTP/1.1\r\n",
        "host: h.test\r\n",
        "cookie: a=1; b=2\r\n",
        "te: trailers\r\n",
        "x-n: v\r\n",
    ] {
        assert!(text.contains(line), "{line:?} in {text}");
    }
    assert!(
        text.contains("transfer-encoding: chunked\r\n") && text.ends_with("4\r\nbody\r\n0\r\n\r\n"),
        "{text}"
    );
    let mut sized = request("PUT", "/");
    sized.headers_mut().insert("content-length", "4".parse().expect("a value"));
    let text = client.send(sized, Some(b"size"), None).await.expect("a response").text();
    assert!(text.contains("content-length: 4\r\n") && text.ends_with("\r\n\r\nsize"), "{text}");
    assert_eq!(client.get("/chunked").await.text(), "hello");
    let close = client.get("/close").await;
    assert_eq!((close.text().as_str(), close.header("x-mixed")), ("until the end", Some("Case")));
    assert_eq!(client.get("/none").await.status, 304);
    let head = client.send(request("HEAD", "/"), None, None).await.expect("a response");
    assert!(head.body.is_empty() && head.header("content-length").is_some());
}

#[tokio::test]
async fn requests_of_http1_become_requests_of_http2() {
    let server = Server::echo().await;
    let proxy = to_http2(server.address, json!({}));
    let address = proxy.address;
    let work = tokio::task::spawn_blocking(move || {
        let mut client = super::client::Client::connect(address);
        let response = client
            .send("POST /a HTTP/1.1\r\nHost: h.test\r\nConnection: keep-alive, x-hop\r\nX-Hop: 1\r\nX-Kept: Yes\r\nContent-Length: 5\r\n\r\nhello")
            .response();
        assert_eq!((response.status, response.body.as_str()), (200, "hello"));
        assert_eq!(response.header("transfer-encoding"), Some("chunked"));
        let large = vec![b'x'; 3 << 20];
        client
            .send(format!("POST /large HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", large.len()))
            .send(&large);
        // An answer that begins before the request has come is the last one.
        let early = client.response();
        assert_eq!((early.body.len(), early.header("connection")), (large.len(), Some("close")));
        let mut client = super::client::Client::connect(address);
        assert_eq!(client.get("/empty", "").body, "");
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
        assert_eq!(client.response().body, "abc");
    });
    work.await.expect("it went well");
    let seen = server.seen();
    assert_eq!(
        (seen[0].method.as_str(), seen[0].path.as_str(), seen[0].authority.as_str()),
        ("POST", "/a", "h.test")
    );
    assert_eq!(seen[0].headers.get("x-kept").map(|value| value.as_bytes()), Some(&b"Yes"[..]));
    for gone in ["connection", "x-hop", "host", "transfer-encoding"] {
        assert!(seen.iter().all(|seen| !seen.headers.contains_key(gone)), "{gone}");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn streams_share_connections_and_keep_their_trailers() {
    let server = Server::echo().await;
    let proxy = to_http2(server.address, json!({}));
    let client = Client::connect(proxy.address).await;
    let work = (0..200).map(|number| {
        let client = client.clone();
        tokio::spawn(async move {
            let body = vec![b'a' + u8::try_from(number % 26).expect("a letter"); 1000 * number];
            let reply = client
                .send(request("POST", "/"), Some(&body), Some(header("x-checksum", "7")))
                .await
                .expect("a response");
            assert!(reply.body == body, "{number}");
            assert_eq!(reply.trailer("x-checksum"), Some("7"));
        })
    });
    for work in work.collect::<Vec<_>>() {
        work.await.expect("it went well");
    }
    assert_eq!(server.seen().len(), 200);
    assert!(server.connections() <= 2, "{}", server.connections());
}

#[tokio::test]
async fn a_server_that_allows_few_streams_gets_more_connections() {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(2);
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let waits = gate.clone();
    let server = Server::start(builder, move |_, mut respond| {
        let waits = waits.clone();
        async move {
            let _open = waits.acquire().await;
            // The client may have gone.
            let _ = respond.send_response(Response::new(()), true);
        }
    })
    .await;
    let proxy = to_http2(server.address, json!({}));
    let client = Client::connect(proxy.address).await;
    // The first one learns how many are allowed.
    gate.add_permits(1);
    assert_eq!(client.get("/").await.status, 200);
    let work: Vec<_> = (0..6)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.get("/").await.status })
        })
        .collect();
    while server.seen().len() < 7 {
        tokio::task::yield_now().await;
    }
    gate.add_permits(100);
    for work in work {
        assert_eq!(work.await.expect("it went well"), 200);
    }
    assert!(server.connections() >= 3, "{}", server.connections());
}

#[tokio::test]
async fn a_server_that_says_good_bye_costs_no_request() {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(100);
    let server = Server::start(builder, |_, mut respond| async move {
        // The client may have gone.
        let _ = respond.send_response(Response::new(()), true);
    })
    .await;
    let leaving = Leaving::start().await;
    for address in [server.address, leaving.address] {
        let proxy = to_http2(address, json!({}));
        let client = Client::connect(proxy.address).await;
        for number in 0..50 {
            assert_eq!(client.get("/").await.status, 200, "{number}");
        }
    }
}

/// A server that closes each connection after three responses.
struct Leaving {
    address: std::net::SocketAddr,
}

impl Leaving {
    async fn start() -> Leaving {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                    let mut served = 0;
                    while let Some(Ok((_, mut respond))) = connection.accept().await {
                        // The client may have gone.
                        let _ = respond.send_response(Response::new(()), true);
                        served += 1;
                        if served == 3 {
                            connection.graceful_shutdown();
                        }
                    }
                });
            }
        });
        Leaving { address }
    }
}

#[tokio::test]
async fn draining_says_good_bye_and_serves_what_has_begun() {
    let gate = std::sync::Arc::new(tokio::sync::Notify::new());
    let opens = gate.clone();
    let server = Server::start(h2::server::Builder::new(), move |_, mut respond| {
        let gate = gate.clone();
        async move {
            let mut body = respond.send_response(Response::new(()), false).expect("the proxy listens");
            gate.notified().await;
            body.send_data(Bytes::from_static(b"done"), true).expect("the proxy listens");
        }
    })
    .await;
    let proxy = to_http2(server.address, json!({}));
    let client = Client::connect(proxy.address).await;
    let idle = Client::connect(proxy.address).await;
    let begun = {
        let client = client.clone();
        tokio::spawn(async move { client.get("/").await })
    };
    while server.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    proxy.handle().drain();
    tokio::time::timeout(Duration::from_secs(10), idle.closed()).await.expect("idle connections are closed");
    opens.notify_one();
    let reply = begun.await.expect("it went well");
    assert_eq!((reply.status, reply.text().as_str()), (200, "done"));
    tokio::time::timeout(Duration::from_secs(10), client.closed()).await.expect("then the busy ones");
}

#[tokio::test]
async fn interim_responses_come_in_order() {
    let server = Server::start(h2::server::Builder::new(), |_, mut respond| async move {
        for number in ["1", "2", "3"] {
            let hint = Response::builder().status(103).header("link", number).body(()).expect("a response");
            respond.send_informational(hint).expect("the proxy listens");
        }
        respond.send_response(Response::new(()), true).expect("the proxy listens");
    })
    .await;
    let proxy = to_http2(server.address, json!({}));
    let client = Client::connect(proxy.address).await;
    let (mut response, _) =
        client.sender().await.send_request(request("GET", "/"), true).expect("it is open");
    for number in ["1", "2", "3"] {
        let hint = std::future::poll_fn(|context| response.poll_informational(context)).await;
        let hint = hint.expect("a hint").expect("no error");
        assert_eq!((hint.status().as_u16(), hint.headers()["link"].as_bytes()), (103, number.as_bytes()));
    }
    assert_eq!(response.await.expect("a response").status(), 200);
    let address = proxy.address;
    let work = tokio::task::spawn_blocking(move || {
        let mut client = super::client::Client::connect(address);
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        for number in ["1", "2", "3"] {
            assert!(client.head_only().contains(&format!("HTTP/1.1 103 Early Hints\r\nlink: {number}\r\n")));
        }
        assert_eq!(client.response().status, 200);
    });
    work.await.expect("it went well");
}

#[tokio::test]
async fn what_is_no_message_of_http1_is_refused() {
    let backend = Backend::echo();
    let proxy = to_one(backend.address, json!({}));
    for (name, value) in [
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("te", "gzip"),
        ("content-length", "3"),
        ("upgrade", "x"),
    ] {
        let client = Client::connect(proxy.address).await;
        let mut bad = request("POST", "/");
        bad.headers_mut().insert(name, value.parse().expect("a value"));
        let refused = client.send(bad, Some(b"four"), None).await;
        assert!(refused.is_err(), "{name}: {refused:?}");
    }
    let client = Client::connect(proxy.address).await;
    let mut twice = request("POST", "/");
    for length in ["4", "5"] {
        twice.headers_mut().append("content-length", length.parse().expect("a value"));
    }
    assert!(client.send(twice, Some(b"four"), None).await.is_err());
    assert!(backend.seen().iter().all(|head| head.contains("content-length: 3\r\n")), "{:?}", backend.seen());
}

#[tokio::test]
async fn an_upstream_that_resets_or_goes_is_told_apart() {
    let half = std::sync::Arc::new(tokio::sync::Notify::new());
    let has_come = half.clone();
    let server = Server::start(h2::server::Builder::new(), move |request, mut respond| {
        let half = half.clone();
        async move {
            match request.uri().path() {
                "/refused" => respond.send_reset(h2::Reason::REFUSED_STREAM),
                "/internal" => respond.send_reset(h2::Reason::INTERNAL_ERROR),
                _ => {
                    let mut body =
                        respond.send_response(Response::new(()), false).expect("the proxy listens");
                    body.send_data(Bytes::from_static(b"half"), false).expect("the proxy listens");
                    half.notified().await;
                    body.send_reset(h2::Reason::INTERNAL_ERROR);
                }
            }
        }
    })
    .await;
    let proxy = to_http2(server.address, json!({}));
    let client = Client::connect(proxy.address).await;
    let refused = client.get("/refused").await;
    assert_eq!(refused.status, 503);
    assert!(refused.text().ends_with("reset reason: remote refused stream reset"), "{}", refused.text());
    let internal = client.get("/internal").await;
    assert!(internal.text().ends_with("reset reason: remote reset"), "{}", internal.text());
    let (response, _) =
        client.sender().await.send_request(request("GET", "/half"), true).expect("it is open");
    let mut body = response.await.expect("a head").into_body();
    assert_eq!(body.data().await.expect("some").expect("no error"), "half");
    has_come.notify_one();
    assert!(body.data().await.expect("an error").is_err());
    let http1 = Backend::echo();
    let proxy = to_http2(http1.address, json!({}));
    assert!(matches!(Client::connect(proxy.address).await.get("/").await.status, 502 | 503));
}

/// A server whose answers wait for the gate.
async fn gated(gate: &std::sync::Arc<tokio::sync::Semaphore>) -> Server {
    let gate = gate.clone();
    Server::start(h2::server::Builder::new(), move |_, mut respond| {
        let gate = gate.clone();
        async move {
            let _open = gate.acquire().await;
            // The client may have gone.
            let _ = respond.send_response(Response::new(()), true);
        }
    })
    .await
}

/// Everything to one cluster of HTTP/2 that has these fields too.
fn limited(endpoint: std::net::SocketAddr, options: Value, extra: Value) -> Proxy {
    let mut up = http2_cluster("up", endpoint, options);
    up.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster": "up", "timeout": "0s"}}]);
    proxy(json!([listener(manager(routes))]), json!([up]))
}

#[tokio::test]
async fn a_cluster_says_how_many_streams_a_connection_has() {
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let server = gated(&gate).await;
    let proxy = limited(server.address, json!({"max_concurrent_streams": 2}), json!({}));
    let client = Client::connect(proxy.address).await;
    let work: Vec<_> = (0..6)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.get("/").await.status })
        })
        .collect();
    while server.seen().len() < 6 {
        tokio::task::yield_now().await;
    }
    assert!(server.connections() >= 3, "{}", server.connections());
    gate.add_permits(100);
    for work in work {
        assert_eq!(work.await.expect("it went well"), 200);
    }
}

#[tokio::test]
async fn connections_of_http2_are_worn_after_so_many_requests() {
    let server = Server::echo().await;
    let proxy = limited(server.address, json!({}), json!({"max_requests_per_connection": 2}));
    let client = Client::connect(proxy.address).await;
    for _ in 0..6 {
        assert_eq!(client.get("/").await.status, 200);
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn limits_of_a_cluster_hold_for_streams() {
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let server = gated(&gate).await;
    let breakers = json!({"circuit_breakers": {"thresholds": [{"max_requests": 2, "max_connections": 1}]}});
    let proxy = limited(server.address, json!({}), breakers);
    let client = Client::connect(proxy.address).await;
    let begun: Vec<_> = (0..2)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.get("/").await.status })
        })
        .collect();
    while server.seen().len() < 2 {
        tokio::task::yield_now().await;
    }
    let refused = client.get("/").await;
    assert_eq!((refused.status, refused.header("x-envoy-overloaded")), (503, Some("true")));
    assert!(refused.text().ends_with("reset reason: overflow"), "{}", refused.text());
    gate.add_permits(100);
    for work in begun {
        assert_eq!(work.await.expect("it went well"), 200);
    }
    assert_eq!(client.get("/").await.status, 200);
    assert_eq!(server.connections(), 1);
}
