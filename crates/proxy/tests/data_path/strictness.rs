//! Messages that two servers could read differently, and connections that
//! must not be used again.

use serde_json::json;

use super::backend::{Backend, Then, ok};
use super::setup::{cluster, listener, manager, nobody, proxy, to_one};

#[test]
fn a_refused_request_ends_the_connection_and_reaches_nobody() {
    let backend = Backend::echo();
    let proxy = to_one(backend.address, json!({}));
    for (status, wire) in [
        (
            400,
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
        (501, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n"),
        (400, "GET / HTTP/1.1\nHost: a\n\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        (400, "GET /admin%00 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    ] {
        let mut client = proxy.client();
        client.send(wire).send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
        let response = client.response();
        assert_eq!(response.status, status, "{wire:?}");
        assert_eq!(response.header("connection"), Some("close"), "{wire:?}");
        assert_eq!(client.rest(), "", "{wire:?}");
    }
    assert!(!backend.seen().iter().any(|head| head.contains("/next")), "{:?}", backend.seen());
}

#[test]
fn a_path_with_a_fragment_is_refused_as_a_request_of_its_route() {
    let backend = Backend::echo();
    let proxy = to_one(backend.address, json!({}));
    let mut client = proxy.client();
    let refused = client.get("/a#b", "");
    assert_eq!((refused.status, refused.header("connection")), (400, Some("close")));
    assert_eq!((client.rest(), backend.seen().len()), (String::new(), 0));
}

#[test]
fn a_body_that_was_not_read_is_never_a_request() {
    let backend = Backend::echo();
    let routes = json!([
        {"match": {"prefix": "/denied"}, "direct_response": {"status": 403}},
        {"match": {"prefix": "/"}, "route": {"cluster": "up"}}]);
    let proxy = proxy(json!([listener(manager(routes))]), json!([cluster("up", &[backend.address])]));
    let mut client = proxy.client();
    client.send("POST /denied HTTP/1.1\r\nHost: a\r\nContent-Length: 36\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n\r\n");
    assert_eq!(client.response().status, 403);
    assert_eq!(client.rest(), "");
    assert_eq!(backend.seen().len(), 0);
}

#[test]
fn a_body_that_came_while_the_upstream_was_tried_is_passed_over() {
    let proxy = to_one(nobody(), json!({}));
    let mut client = proxy.client();
    let inside = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for _ in 0..2 {
        let length = inside.len();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{inside}"));
        let failed = client.response();
        assert_eq!((failed.status, failed.header("connection")), (503, None));
    }
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf");
    assert_eq!(client.response().header("connection"), Some("close"));
    assert_eq!(client.rest(), "");
}

#[test]
fn answers_that_cannot_be_trusted_are_not_passed_on() {
    let backend = Backend::start(|head, _| {
        Then::AnswerAndClose(match head.split(' ').nth(1) {
            Some("/both") => {
                b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                    .to_vec()
            }
            Some("/garbage") => b"garbage\r\n\r\n".to_vec(),
            Some("/101") => b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n".to_vec(),
            Some("/nothing") => Vec::new(),
            _ => ok(b"fine"),
        })
    });
    let proxy = to_one(backend.address, json!({}));
    let mut client = proxy.client();
    for (path, status) in [("/both", 502), ("/garbage", 502), ("/101", 502), ("/nothing", 503), ("/", 200)] {
        assert_eq!(client.get(path, "").status, status, "{path}");
    }
}

#[test]
fn a_response_that_breaks_off_breaks_off_for_the_client() {
    let backend = Backend::start(|_, _| {
        Then::AnswerAndClose(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_vec())
    });
    let proxy = to_one(backend.address, json!({}));
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let rest = client.rest();
    assert!(rest.ends_with("\r\n\r\nhalf"), "{rest}");
}

#[test]
fn bytes_after_a_response_spoil_the_connection_and_nothing_else() {
    let backend = Backend::start(|_, _| {
        let mut twice = ok(b"one");
        twice.extend_from_slice(&ok(b"poison"));
        Then::Answer(twice)
    });
    let proxy = to_one(backend.address, json!({}));
    let mut client = proxy.client();
    for _ in 0..5 {
        assert_eq!(client.get("/", "").body, "one");
    }
    assert_eq!(backend.connections(), 5);
}
