//! Other protocols inside HTTP: WebSocket over either version, and CONNECT.

use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};

use super::backend::{Backend, Then};
use super::client::Client as Http1Client;
use super::http2::http2_cluster;
use super::peers::{Client, Server, echo, request};
use super::setup::{Proxy, cluster, listener, manager, proxy};

fn to_cluster(cluster: Value) -> Proxy {
    let routes = json!([
        {"match": {"connect_matcher": {}}, "route": {"cluster": "up",
            "upgrade_configs": [{"upgrade_type": "CONNECT"}]}},
        {"match": {"prefix": "/"}, "route": {"cluster": "up"}}]);
    let mut http = manager(routes);
    http["http2_protocol_options"] = json!({"allow_connect": true});
    proxy(json!([listener(http)]), json!([cluster]))
}

fn websocket_of_http1() -> Backend {
    Backend::start(|head, _| {
        let head = head.to_ascii_lowercase();
        if head.starts_with("connect ") {
            return Then::Echo(b"HTTP/1.1 200 OK\r\n\r\n".to_vec());
        }
        if !head.contains("upgrade: websocket\r\n") || head.starts_with("get /no ") {
            return Then::Answer(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno".to_vec());
        }
        Then::Echo(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n".to_vec(),
        )
    })
}

async fn websocket_of_http2() -> Server {
    let mut builder = h2::server::Builder::new();
    builder.enable_connect_protocol();
    Server::start(builder, |request, mut respond| async move {
        let protocol =
            request.extensions().get::<h2::ext::Protocol>().map(|protocol| protocol.as_str().to_owned());
        let fine = protocol.as_deref() == Some("websocket") && request.uri().path() != "/no";
        if request.method() == http::Method::CONNECT && (fine || protocol.is_none()) {
            return echo(request, respond).await;
        }
        let refusal = Response::builder().status(403).body(()).expect("a response");
        respond.send_response(refusal, true).expect("the proxy listens");
    })
    .await
}

/// Speaks through an upgrade as a client of HTTP/1.
async fn by_http1(proxy: &Proxy) {
    let address = proxy.address;
    let work = tokio::task::spawn_blocking(move || {
        let ask = |path: &str| {
            let mut client = Http1Client::connect(address);
            client.send(format!(
                "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
            ));
            client
        };
        let mut client = ask("/chat");
        let head = client.head_only().to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101 ") && head.contains("upgrade: websocket\r\n"), "{head}");
        assert_eq!(client.send("ping").bytes(4), "ping");
        assert_eq!(client.finish().rest(), "");
        assert_eq!(ask("/no").response().status, 403);
    });
    work.await.expect("it went well");
}

/// Speaks through an extended CONNECT.
async fn by_http2(proxy: &Proxy) {
    let client = Client::connect(proxy.address).await;
    // The proxy's settings are there when it has answered.
    client.get("/no").await;
    for (path, status) in [("/chat", 200), ("/no", 403)] {
        let mut ask = request("CONNECT", path);
        ask.extensions_mut().insert(h2::ext::Protocol::from("websocket"));
        let (response, mut out) = client.sender().await.send_request(ask, false).expect("it is open");
        let response = response.await.expect("a response");
        assert_eq!(response.status().as_u16(), status, "{path}");
        assert!(!response.headers().contains_key("upgrade"));
        if status == 200 {
            let mut incoming = response.into_body();
            out.send_data(Bytes::from_static(b"ping"), false).expect("it is open");
            assert_eq!(incoming.data().await.expect("an echo").expect("no error"), "ping");
            out.send_data(Bytes::new(), true).expect("it is open");
            assert!(incoming.data().await.is_none_or(|end| end.is_ok_and(|end| end.is_empty())));
        }
    }
}

#[tokio::test]
async fn websockets_cross_versions() {
    let (http1, http2) = (websocket_of_http1(), websocket_of_http2().await);
    for cluster in
        [cluster("up", &[http1.address]), http2_cluster("up", http2.address, json!({"allow_connect": true}))]
    {
        let proxy = to_cluster(cluster);
        by_http1(&proxy).await;
        by_http2(&proxy).await;
    }
    assert!(http1.seen().iter().filter(|head| head.contains("/chat")).all(|head| head.starts_with("GET ")));
}

/// Asks for a tunnel and speaks through it, by both versions.
async fn tunnels(proxy: &Proxy) {
    let address = proxy.address;
    let work = tokio::task::spawn_blocking(move || {
        let mut client = Http1Client::connect(address);
        client.send("CONNECT h.test:80 HTTP/1.1\r\nHost: h.test:80\r\n\r\n");
        let head = client.head_only();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
        assert_eq!(client.send("ping").bytes(4), "ping");
        assert_eq!(client.finish().rest(), "");
    });
    work.await.expect("it went well");
    let client = Client::connect(address).await;
    let ask = Request::builder().method("CONNECT").uri("h.test:80").body(()).expect("a request");
    let (response, mut out) = client.sender().await.send_request(ask, false).expect("it is open");
    let response = response.await.expect("a response");
    assert_eq!(response.status(), 200);
    out.send_data(Bytes::from_static(b"ping"), false).expect("it is open");
    let mut incoming = response.into_body();
    assert_eq!(incoming.data().await.expect("an echo").expect("no error"), "ping");
}

#[tokio::test]
async fn connect_is_passed_on() {
    let (http1, http2) = (websocket_of_http1(), websocket_of_http2().await);
    for cluster in [cluster("up", &[http1.address]), http2_cluster("up", http2.address, json!({}))] {
        tunnels(&to_cluster(cluster)).await;
    }
    assert!(http1.seen().iter().all(|head| head.starts_with("CONNECT h.test:80 HTTP/1.1\r\n")));
}

#[tokio::test]
async fn connect_ends_here_when_asked_to() {
    let listener_of_bytes = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener_of_bytes.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener_of_bytes.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                // Tunnels end when either side goes.
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
            });
        }
    });
    let routes = json!([{"match": {"connect_matcher": {}}, "route": {"cluster": "up",
        "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]}}]);
    let proxy = proxy(json!([listener(manager(routes))]), json!([cluster("up", &[address])]));
    tunnels(&proxy).await;
}

#[test]
fn connect_without_a_route_for_it_is_refused() {
    let backend = Backend::echo();
    let routes = json!([
        {"match": {"connect_matcher": {}, "headers": [{"name": "x-not", "present_match": true}]}, "route": {"cluster": "up"}},
        {"match": {"prefix": "/"}, "route": {"cluster": "up"}}]);
    let proxy = proxy(json!([listener(manager(routes))]), json!([cluster("up", &[backend.address])]));
    for (headers, status) in [("", 404), ("x-not: allowed\r\n", 403)] {
        let mut client = proxy.client();
        client.send(format!("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n{headers}\r\n"));
        client.send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().status, status);
        assert_eq!(client.rest(), "");
    }
    assert_eq!(backend.seen().len(), 0);
}
