use super::*;
use crate::http1::framing::{Framing, of_request, of_response};

const LIMITS: Limits = Limits { max_head: 60 << 10, max_headers: 100, http_10: false };

fn parse(wire: &[u8], limits: &Limits) -> Result<Option<Head>, Refusal> {
    let parsed = request(wire, Vec::new(), limits)?;
    Ok(parsed.map(|(length, parts)| Head::new(wire.to_vec(), length, parts)))
}

/// The status that a request is refused with; zero when it is accepted.
fn refused(wire: &str) -> u16 {
    let refusal = match parse(wire.as_bytes(), &LIMITS) {
        Ok(Some(head)) => of_request(&head, head.is_http_10).err(),
        Ok(None) => panic!("{wire:?} is not whole"),
        Err(refusal) => Some(refusal),
    };
    refusal.map_or(0, |refusal| refusal.status)
}

#[test]
fn requests_are_accepted_and_refused_as_listed() {
    let with = |line: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n");
    let table = [
        (0, with("Content-Length: 5")),
        (0, with("Transfer-Encoding: chunked")),
        (0, with("Transfer-Encoding: Chunked")),
        // H1: both
        (400, with("Content-Length: 5\r\nTransfer-Encoding: chunked")),
        // H2: lengths
        (400, with("Content-Length:")),
        (400, with("Content-Length: +5")),
        (400, with("Content-Length: -5")),
        (400, with("Content-Length: 0x5")),
        (400, with("Content-Length: 5, 5")),
        (400, with("Content-Length: 5,6")),
        (400, with("Content-Length: 5 5")),
        (400, with("Content-Length: 12345678901234567890")),
        (400, with("Content-Length: 5\r\nContent-Length: 5")),
        (400, with("Content-Length: 5\r\nContent-Length: 6")),
        (400, with("Content-Length : 5")),
        // H3: codings
        (501, with("Transfer-Encoding: ,chunked")),
        (501, with("Transfer-Encoding: xchunked")),
        (501, with("Transfer-Encoding: chunked, gzip")),
        (501, with("Transfer-Encoding: gzip, chunked")),
        (501, with("Transfer-Encoding: identity")),
        (501, with("Transfer-Encoding:")),
        (400, with("Transfer-Encoding: chunked\x0b")),
        (400, with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked")),
        (426, "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned()),
        // H5: lines
        (400, "GET / HTTP/1.1\nHost: a\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: a\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: a\r\n\n".to_owned()),
        (400, "GET / HTTP/1.1\nHost: a\n\n".to_owned()),
        (400, with("X: a\rb")),
        (400, with(" X: a")),
        (400, with("X: a\r\n folded")),
        (400, with("X : a")),
        (400, with("X")),
        (400, with(": a")),
        (400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n".to_owned()),
        (400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n".to_owned()),
        (400, "GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned()),
        (400, "GET /\r\nHost: a\r\n\r\n".to_owned()),
        (400, " GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (400, "FOO / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (0, "M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (400, "G@T / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        // H6: bytes
        (400, with("X: a\0b")),
        (400, with("X: a\x1fb")),
        (400, with("X\u{85}: v")),
        (400, with("X(y): v")),
        (0, with("X: \u{e9}")),
        // H7: hosts
        (400, "GET / HTTP/1.1\r\nX: a\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost:\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: user@h\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: h/p\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: a:http\r\n\r\n".to_owned()),
        (0, "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n".to_owned()),
        (0, "GET / HTTP/1.1\r\nHost: a_b.c:80\r\n\r\n".to_owned()),
        // targets
        (400, "GET x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (400, "GET * HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (0, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (400, "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (400, "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (400, "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (400, "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (426, "GET / HTTP/1.0\r\nHost: a\r\n\r\n".to_owned()),
    ];
    for (status, wire) in &table {
        assert_eq!(refused(wire), *status, "{wire:?}");
    }
}

#[test]
fn the_target_in_absolute_form_names_the_host() {
    let head = parse(b"GET http://B.com:81/x?y HTTP/1.1\r\nHost: a\r\n\r\n", &LIMITS)
        .expect("accepted")
        .expect("whole");
    assert_eq!((head.authority(), head.path(), head.method()), ("B.com:81", "/x?y", "GET"));
    let mut out = Vec::new();
    head.write_request(&mut out);
    assert_eq!(out, b"GET /x?y HTTP/1.1\r\nhost: B.com:81\r\n");
}

#[test]
fn limits_hold() {
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "x: y\r\n".repeat(100));
    assert_eq!(refused(&many), 431);
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nx: {}\r\n\r\n", "y".repeat(60 << 10));
    assert_eq!(refused(&large), 431);
    let endless = format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(60 << 10));
    assert_eq!(refused(&endless), 431);
    assert!(parse(b"GET / HTTP/1.1\r\nHost: a\r\n", &LIMITS).expect("so far").is_none());
}

#[test]
fn the_end_of_a_head_is_found_however_it_is_written() {
    for (wire, end) in [
        (&b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody"[..], Some(27)),
        (b"GET / HTTP/1.1\nHost: a\n\nbody", Some(24)),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", None),
    ] {
        for from in 0..=wire.len().min(20) {
            assert_eq!(head_end(wire, from), end, "{wire:?} from {from}");
        }
    }
}

#[test]
fn bodies_of_responses_end_where_they_must() {
    let framing = |wire: &str, to_head: bool| {
        let (length, parts) = response(wire.as_bytes(), Vec::new(), &LIMITS)?.expect("whole");
        let head = Head::new(wire.as_bytes().to_vec(), length, parts);
        of_response(&head, head.status, to_head, head.is_http_10)
    };
    let table = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, Ok(Framing::Length(5))),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, Ok(Framing::None)),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, Ok(Framing::None)),
        ("HTTP/1.1 204 No Content\r\n\r\n", false, Ok(Framing::None)),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", false, Ok(Framing::Chunked)),
        ("HTTP/1.1 200 OK\r\n\r\n", false, Ok(Framing::UntilClose)),
        ("HTTP/1.0 200\r\n\r\n", false, Ok(Framing::UntilClose)),
    ];
    for (wire, to_head, expected) in table {
        assert_eq!(framing(wire, to_head), expected, "{wire:?}");
    }
    for wire in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 5\n\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n",
        "HTTP/1.1 099 Odd\r\n\r\n",
    ] {
        assert!(framing(wire, false).is_err(), "{wire:?}");
    }
}
