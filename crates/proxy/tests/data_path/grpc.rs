//! gRPC: its status in trailers, local replies in its own terms, and streams
//! in both directions.

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use serde_json::json;

use super::http2::to_http2;
use super::peers::{Client, Server, request};
use super::setup::{cluster, listener, manager, nobody, proxy};

fn call(path: &str) -> Request<()> {
    let mut call = request("POST", path);
    call.headers_mut().insert("content-type", "application/grpc".parse().expect("a value"));
    call.headers_mut().insert("te", "trailers".parse().expect("a value"));
    call
}

#[tokio::test]
async fn its_status_arrives_in_headers_and_in_trailers() {
    let server = Server::start(h2::server::Builder::new(), |request, mut respond| async move {
        assert_eq!(request.headers()["te"], "trailers");
        let response = Response::builder().header("content-type", "application/grpc");
        if request.uri().path() == "/only" {
            let only = response.header("grpc-status", "5").header("grpc-message", "no such thing");
            respond.send_response(only.body(()).expect("a response"), true).expect("the proxy listens");
            return;
        }
        let response = response.body(()).expect("a response");
        let mut body = respond.send_response(response, false).expect("the proxy listens");
        body.send_data(Bytes::from_static(b"\0\0\0\0\x02hi"), false).expect("the proxy listens");
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "7".parse().expect("a value"));
        body.send_trailers(trailers).expect("the proxy listens");
    })
    .await;
    let proxy = to_http2(server.address, json!({}));
    let client = Client::connect(proxy.address).await;
    let only = client.send(call("/only"), Some(b""), None).await.expect("a response");
    assert_eq!((only.header("grpc-status"), only.trailers.is_none()), (Some("5"), true));
    let whole = client.send(call("/whole"), Some(b""), None).await.expect("a response");
    assert_eq!((whole.body.as_slice(), whole.trailer("grpc-status")), (&b"\0\0\0\0\x02hi"[..], Some("7")));
}

#[tokio::test]
async fn the_proxys_own_replies_are_in_its_terms() {
    let routes = json!([{"match": {"prefix": "/dead"}, "route": {"cluster": "dead"}}]);
    let proxy = proxy(json!([listener(manager(routes))]), json!([cluster("dead", &[nobody()])]));
    let client = Client::connect(proxy.address).await;
    for (path, status) in [("/dead", "14"), ("/nothing", "12")] {
        let reply = client.send(call(path), Some(b""), None).await.expect("a response");
        assert_eq!((reply.status, reply.header("grpc-status")), (200, Some(status)), "{path}");
        assert_eq!(reply.header("content-type"), Some("application/grpc"));
    }
}

#[tokio::test]
async fn the_client_says_how_long_it_waits() {
    let server = Server::start(h2::server::Builder::new(), |_, respond| async move {
        let _kept = respond;
        std::future::pending::<()>().await;
    })
    .await;
    let proxy = to_http2(server.address, json!({"timeout": "0s", "max_grpc_timeout": "0s"}));
    let client = Client::connect(proxy.address).await;
    let mut hurried = call("/");
    hurried.headers_mut().insert("grpc-timeout", "100m".parse().expect("a value"));
    let began = std::time::Instant::now();
    let reply = client.send(hurried, Some(b""), None).await.expect("a response");
    assert_eq!(reply.header("grpc-status"), Some("14"));
    assert!(began.elapsed() < std::time::Duration::from_secs(5));
}

#[tokio::test]
async fn both_directions_go_on_at_once() {
    let server = Server::echo().await;
    let proxy = to_http2(server.address, json!({"timeout": "0s"}));
    let client = Client::connect(proxy.address).await;
    let (response, mut out) = client.sender().await.send_request(call("/"), false).expect("it is open");
    let mut incoming = response.await.expect("the head comes before the request's end").into_body();
    for number in 0..100_u8 {
        out.send_data(Bytes::from(vec![number; 10]), false).expect("it is open");
        let mut received = Vec::new();
        while received.len() < 10 {
            received.extend_from_slice(&incoming.data().await.expect("more").expect("no error"));
        }
        incoming.flow_control().release_capacity(10).expect("it is open");
        assert_eq!(received, vec![number; 10]);
    }
    out.send_data(Bytes::new(), true).expect("it is open");
    while let Some(end) = incoming.data().await {
        assert!(end.expect("no error").is_empty());
    }
}
