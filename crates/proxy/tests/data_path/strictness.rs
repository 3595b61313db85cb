//! Messages that two servers could read differently, and connections that
//! must not be used again.

use serde_json::json;

use super::backend::{Backend, Then, ok};
use super::setup::{cluster, listener, manager, nobody, proxy, to_one};

/// What must be refused: the statuses that may answer it, and its bytes.
/// Two servers could read each of them differently.
const REFUSED: &[(&[u16], &str)] = &[
    // Two lengths.
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    // Lengths that are no number.
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5,6\r\n\r\nhello"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 5\r\n\r\nhello"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5_\r\n\r\nhello"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551621\r\n\r\nhello"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello"),
    // Codings that are not exactly `chunked`.
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked,\r\n\r\n0\r\n\r\n"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\x0b\r\n\r\n0\r\n\r\n"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    (
        BAD,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        BAD,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
    ),
    (&[400, 426], "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    // Chunks.
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5_\r\nhello\r\n0\r\n\r\n"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n 5\r\nhello\r\n0\r\n\r\n"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;\nhello\r\n0\r\n\r\n"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n0\r\n\r\n"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r;a\r\nhello\r\n0\r\n\r\n"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\rhello\r\n0\r\n\r\n"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n"),
    (
        BAD,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n00000000000000005\r\nhello\r\n0\r\n\r\n",
    ),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno colon\r\n\r\n"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx: y\n\r\n"),
    (BAD, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx : y\r\n\r\n"),
    // Line ends and the shape of header lines.
    (BAD, "GET / HTTP/1.1\nHost: a\n\n"),
    (BAD, "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"),
    (BAD, "GET / HTTP/1.1\r\nHost: a\r\nX: y\rZ: w\r\n\r\n"),
    (BAD, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    (BAD, "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n"),
    (BAD, "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n"),
    (BAD, "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n"),
    (BAD, "GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n"),
    // Bytes that have no place where they stand.
    (BAD, "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"),
    (BAD, "GET / HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n"),
    (BAD, "GET / HTTP/1.1\r\nHost: a\r\nX\u{85}: v\r\n\r\n"),
    (BAD, "GET / HTTP/1.1\r\nHost: a\r\nX[]: v\r\n\r\n"),
    (BAD, "GET /admin%00 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    (BAD, "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n"),
    (BAD, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    (BAD, "GET /#fragment HTTP/1.1\r\nHost: a\r\n\r\n"),
    (BAD, "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    (BAD, "GET a HTTP/1.1\r\nHost: a\r\n\r\n"),
    (BAD, "G\u{e9}T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (BAD, "UNKNOWN / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (&[400, 505], "GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
    (&[400, 505], "GET / HTTP/9.9\r\nHost: a\r\n\r\n"),
    // Hosts.
    (BAD, "GET / HTTP/1.1\r\nX: y\r\n\r\n"),
    (BAD, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    (BAD, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    (BAD, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    (BAD, "GET / HTTP/1.1\r\nHost: user@h\r\n\r\n"),
    (BAD, "GET / HTTP/1.1\r\nHost: h/p\r\n\r\n"),
    (BAD, "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"),
    (BAD, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    (BAD, "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"),
    (BAD, "GET http://user@h/ HTTP/1.1\r\nHost: h\r\n\r\n"),
];

const BAD: &[u16] = &[400, 501];

#[test]
fn a_refused_request_ends_the_connection_and_reaches_nobody() {
    let backend = Backend::echo();
    let proxy = to_one(backend.address, json!({}));
    let mut wrong = Vec::new();
    for (statuses, wire) in REFUSED {
        let mut client = proxy.client();
        client.send(wire).send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
        let said = client.rest();
        let refuses = statuses.iter().any(|status| said.starts_with(&format!("HTTP/1.1 {status} ")));
        let closes = said.to_ascii_lowercase().contains("connection: close\r\n");
        if !refuses || !closes || said.matches("HTTP/1.1 ").count() != 1 {
            wrong.push((wire, said));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(!backend.seen().iter().any(|head| head.contains("/next")), "{:?}", backend.seen());
}

#[test]
fn the_host_of_the_target_wins_and_is_the_only_one_that_is_passed_on() {
    let backend = Backend::echo();
    let proxy = to_one(backend.address, json!({}));
    let mut client = proxy.client();
    client.send("GET http://one/x HTTP/1.1\r\nHost: two\r\n\r\n");
    let body = client.response().body;
    assert!(body.starts_with("GET /x HTTP/1.1\r\nhost: one\r\n") && !body.contains("two"), "{body}");
}

#[test]
fn an_early_refusal_of_an_expected_body_leaves_no_dirty_connection() {
    let backend = Backend::start(|head, body| match head.split(' ').nth(1) {
        Some("/refused") => Then::Answer(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n".to_vec()),
        _ => Then::Answer(ok(body)),
    });
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster": "up"}}]);
    let mut http = manager(routes);
    http["proxy_100_continue"] = json!(true);
    let proxy = proxy(json!([listener(http)]), json!([cluster("up", &[backend.address])]));
    let mut client = proxy.client();
    client.send("POST /refused HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_eq!(client.response().status, 417);
    let mut client = proxy.client();
    assert_eq!(client.get("/", "").status, 200);
    assert!(
        backend.seen()[0].contains("expect: 100-continue\r\n")
            || backend.seen()[0].contains("Expect: 100-continue\r\n")
    );
}

#[test]
fn clients_of_http_10_get_no_interim_response() {
    let backend = Backend::start(|_, _| {
        Then::Answer([b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\n".to_vec(), ok(b"fine")].concat())
    });
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster": "up"}}]);
    let mut http = manager(routes);
    http["http_protocol_options"] = json!({"accept_http_10": true});
    let proxy = proxy(json!([listener(http)]), json!([cluster("up", &[backend.address])]));
    let mut client = proxy.client();
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    let said = client.rest();
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.ends_with("fine"), "{said}");
    assert_eq!(said.matches("HTTP/1.1").count(), 1, "{said}");
}

#[test]
fn names_with_underscores_are_refused_or_dropped_where_configured() {
    let backend = Backend::echo();
    for (action, status) in [("REJECT_REQUEST", 400), ("DROP_HEADER", 200), ("ALLOW", 200)] {
        let mut http = manager(json!([{"match": {"prefix": "/"}, "route": {"cluster": "up"}}]));
        http["common_http_protocol_options"] = json!({"headers_with_underscores_action": action});
        let proxy = proxy(json!([listener(http)]), json!([cluster("up", &[backend.address])]));
        let response = proxy.client().get("/", "x_forwarded_client_cert: evil\r\n");
        assert_eq!(response.status, status, "{action}");
        assert_eq!(response.body.contains("x_forwarded_client_cert"), action == "ALLOW", "{action}");
        assert!(!response.body.contains("x-forwarded-client-cert"), "{action}");
    }
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
