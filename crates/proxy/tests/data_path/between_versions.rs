//! What one version of HTTP says and the other says otherwise: corners in
//! which stock Envoy was watched.

use serde_json::json;

use super::backend::{Backend, Then};
use super::http2::to_http2;
use super::peers::{Client, Server, request};
use super::setup::to_one;

#[tokio::test]
async fn what_belongs_to_http1_is_not_said_in_frames() {
    let server = Server::echo().await;
    let proxy = to_http2(server.address, json!({}));
    let address = proxy.address;
    let work = tokio::task::spawn_blocking(move || {
        let mut client = super::client::Client::connect(address);
        client.send("OPTIONS /empty HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().status, 200);
        assert_eq!(client.get("/secure", "x-forwarded-proto: https\r\n").status, 200);
    });
    work.await.expect("it went well");
    let mut said = request("GET", "/said");
    said.headers_mut().insert("x-forwarded-proto", "https".parse().expect("a value"));
    said.headers_mut().insert("cookie", "".parse().expect("a value"));
    Client::connect(proxy.address).await.send(said, None, None).await.expect("a response");
    let seen = server.seen();
    let schemes: Vec<_> = seen.iter().map(|seen| (seen.path.as_str(), seen.scheme.as_str())).collect();
    assert_eq!(schemes, [("/empty", "http"), ("/secure", "https"), ("/said", "http")]);
    assert!(seen.iter().all(|seen| !seen.headers.contains_key("content-length")));
    assert!(seen.iter().all(|seen| !seen.headers.contains_key("cookie")));
}

#[tokio::test]
async fn a_method_that_usually_has_a_body_says_that_there_is_none_in_http1() {
    let backend = Backend::echo();
    let proxy = to_one(backend.address, json!({}));
    let client = Client::connect(proxy.address).await;
    let ask = async |method| client.send(request(method, "/"), None, None).await.expect("a response").text();
    assert!(ask("OPTIONS").await.contains("content-length: 0\r\n"));
    assert!(!ask("GET").await.contains("content-length"));
}

#[tokio::test]
async fn what_an_upstream_said_before_it_broke_off_reaches_the_client() {
    let backend = Backend::start(|_, _| {
        Then::AnswerAndClose(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nhalf".to_vec())
    });
    let proxy = to_one(backend.address, json!({}));
    let client = Client::connect(proxy.address).await;
    let (response, _) = client.sender().await.send_request(request("GET", "/"), true).expect("it is open");
    let response = response.await.expect("a head");
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    let mut received = Vec::new();
    let end = loop {
        match body.data().await {
            Some(Ok(data)) => received.extend_from_slice(&data),
            other => break other,
        }
    };
    assert_eq!(received, b"half");
    assert!(end.is_some_and(|end| end.is_err_and(|error| error.is_reset())));
}

#[tokio::test]
async fn an_answer_that_ends_with_its_head_says_so_in_http1() {
    let server = Server::start(
        h2::server::Builder::new(),
        |_, mut respond: h2::server::SendResponse<bytes::Bytes>| async move {
            // The proxy may have gone.
            let _ = respond.send_response(http::Response::new(()), true);
        },
    );
    let proxy = to_http2(server.await.address, json!({}));
    let address = proxy.address;
    let work = tokio::task::spawn_blocking(move || {
        let mut client = super::client::Client::connect(address);
        for _ in 0..2 {
            let response = client.get("/", "");
            assert_eq!((response.status, response.header("content-length")), (200, Some("0")));
        }
    });
    work.await.expect("it went well");
}
