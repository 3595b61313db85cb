//! What clients ask, drawn with an eye on the rules.

use std::net::Ipv4Addr;

use fastrand::Rng;
use serde_json::Value;

use super::words::{HEADERS, METHODS, ODD_PATHS, ORIGINS, PATHS, QUERIES, VALUES};
use super::{chance, one};
use crate::differential::http2;
use crate::differential::request::{Request, Says, Version};
use crate::differential::world::{GATEWAY, SIDECAR};

/// Draws a request.
pub(super) fn draw(rng: &mut Rng, objects: &[Value]) -> Request {
    let to = target(rng, objects);
    let speaks_tcp = matches!(to.1, 9000 | 9100 | 443 | 9443);
    if speaks_tcp != chance(rng, 4) {
        return Request::new(to, Says::Bytes(opaque(rng, objects)));
    }
    if !speaks_tcp && chance(rng, 7) {
        return Request::new(to, grpc(rng, objects, to));
    }
    let mut says = http(rng, objects, to);
    if !speaks_tcp && chance(rng, 25) {
        in_frames(&mut says);
    }
    Request::new(to, says)
}

/// Says it in HTTP/2, where that is possible.
fn in_frames(says: &mut Says) {
    let Says::Http { version, method, target, headers, .. } = says else { return };
    if http2::request(method, target, headers, "test").is_some() {
        *version = Version::Http2;
    }
}

/// A call with one message.
fn grpc(rng: &mut Rng, objects: &[Value], to: (Ipv4Addr, u16)) -> Says {
    let orders = [
        "grpc=0",
        "grpc=5",
        "grpc-only=14",
        "status=503",
        "status=404",
        "hangup",
        "half",
        "delay=400",
        "status=200",
    ];
    let mut headers = vec![
        ("host".to_owned(), authority(rng, objects, to)),
        ("content-type".to_owned(), one(rng, &["application/grpc", "application/grpc+proto"]).to_owned()),
        ("te".to_owned(), "trailers".to_owned()),
        ("x-do".to_owned(), one(rng, &orders).to_owned()),
    ];
    if chance(rng, 20) {
        headers.push(("grpc-timeout".to_owned(), one(rng, &["1S", "150m", "0n"]).to_owned()));
    }
    let body = "\0\0\0\0\u{5}hello".to_owned();
    headers.push(("Content-Length".to_owned(), body.len().to_string()));
    let target = one(rng, &["/shop.Cart/Add", "/a", "/api/v1/items"]).to_owned();
    let mut says = Says::Http { version: Version::Http1, method: "POST".to_owned(), target, headers, body };
    if chance(rng, 85) {
        in_frames(&mut says);
    }
    says
}

fn target(rng: &mut Rng, objects: &[Value]) -> (Ipv4Addr, u16) {
    let service = |last: u8| Ipv4Addr::new(10, 96, 0, last);
    let gateways: Vec<u16> = objects
        .iter()
        .filter(|object| object["kind"] == "Gateway")
        .flat_map(|object| object["spec"]["servers"].as_array().into_iter().flatten())
        .filter_map(|server| u16::try_from(server["port"]["number"].as_u64()?).ok())
        .collect();
    if !gateways.is_empty() && chance(rng, 45) {
        return (GATEWAY, gateways[rng.usize(0..gateways.len())]);
    }
    match rng.u32(0..100) {
        0..40 => (service(1), [80, 80, 80, 8081, 7000, 9000, 9443, 8083, 8084, 8085][rng.usize(0..10)]),
        40..50 => (service(2), 80),
        50..57 => (service(3), 80),
        57..62 => (service(4), 80),
        62..65 => (service(5), [80, 9000][rng.usize(0..2)]),
        65..68 => (service(6), [80, 9000][rng.usize(0..2)]),
        68..72 => (Ipv4Addr::new(10, 44, 2, 7), [8080, 9000][rng.usize(0..2)]),
        72..80 => (Ipv4Addr::new(10, 97, 0, rng.u8(1..=2)), [80, 8081, 9000, 443, 81][rng.usize(0..5)]),
        80..85 => (Ipv4Addr::new(10, 99, 0, 9), [8080, 8081, 9000, 80][rng.usize(0..4)]),
        _ => (SIDECAR, [8080, 8080, 8082, 9000, 8099, 9001, 8083][rng.usize(0..7)]),
    }
}

fn opaque(rng: &mut Rng, objects: &[Value]) -> Vec<u8> {
    if chance(rng, 35) {
        return client_hello(&host(rng, objects));
    }
    match rng.u32(0..4) {
        0 => Vec::new(),
        1 => b"\x00\x01\x02binary\xff".to_vec(),
        2 => vec![0; 20_000],
        _ => b"hello\r\n".to_vec(),
    }
}

/// The first message of TLS, with a server name.
fn client_hello(name: &str) -> Vec<u8> {
    let length = |length: usize| u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    let mut names = vec![0];
    names.extend(length(name.len()));
    names.extend(name.as_bytes());
    let mut extension = vec![0, 0];
    extension.extend(length(names.len() + 2));
    extension.extend(length(names.len()));
    extension.extend(names);
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    body.extend(length(extension.len()));
    body.extend(extension);
    let mut message = vec![1, 0];
    message.extend(length(body.len()));
    message.extend(body);
    let mut record = vec![22, 3, 1];
    record.extend(length(message.len()));
    record.extend(message);
    record
}

fn http(rng: &mut Rng, objects: &[Value], to: (Ipv4Addr, u16)) -> Says {
    let method = if chance(rng, 60) { "GET" } else { one(rng, &METHODS) };
    let mut headers = vec![("host".to_owned(), authority(rng, objects, to))];
    let mut target = if chance(rng, 65) { one(rng, &PATHS) } else { one(rng, &ODD_PATHS) }.to_owned();
    if chance(rng, 30) {
        target = format!("{target}?{}", one(rng, &QUERIES));
    }
    for _ in 0..rng.usize(0..3) {
        let name = one(rng, &HEADERS);
        headers.push((spelled(rng, name), one(rng, &VALUES).to_owned()));
    }
    if method == "OPTIONS" || chance(rng, 12) {
        headers.push(("Origin".to_owned(), one(rng, &ORIGINS).to_owned()));
        if chance(rng, 70) {
            headers.push(("Access-Control-Request-Method".to_owned(), "GET".to_owned()));
        }
    }
    if chance(rng, 35) {
        headers.push(("x-do".to_owned(), order(rng)));
    }
    extras(rng, &mut headers);
    let body = match method {
        "POST" | "PUT" | "PATCH" => body(rng, &mut headers),
        _ => String::new(),
    };
    Says::Http { version: Version::Http1, method: method.to_owned(), target, headers, body }
}

fn body(rng: &mut Rng, headers: &mut Vec<(String, String)>) -> String {
    let text = "field=value";
    if chance(rng, 40) {
        headers.push(("Transfer-Encoding".to_owned(), "chunked".to_owned()));
        return format!("{:x}\r\n{text}\r\n0\r\n\r\n", text.len());
    }
    let text = if chance(rng, 20) { "" } else { text };
    headers.push(("Content-Length".to_owned(), text.len().to_string()));
    text.to_owned()
}

/// Headers that proxies have opinions on.
fn extras(rng: &mut Rng, headers: &mut Vec<(String, String)>) {
    let known = [
        ("Connection", "close"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-request-id", "11111111-2222-4333-8444-555555555555"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("x-envoy-expected-rq-timeout-ms", "9"),
        ("x-envoy-upstream-rq-timeout-ms", "150"),
        ("x-envoy-max-retries", "1"),
        ("x-envoy-retry-on", "5xx"),
        ("x-envoy-original-path", "/forged"),
        ("x-envoy-decorator-operation", "forged"),
        ("x-envoy-internal", "true"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "forged.test"),
        ("forwarded", "for=1.2.3.4"),
        ("keep-alive", "timeout=5"),
        ("Connection", "keep-alive, x-tag"),
        ("proxy-connection", "keep-alive"),
        ("expect", "100-continue"),
        ("via", "1.1 other"),
        ("x-b3-sampled", "1"),
        ("authorization", "Bearer x"),
        ("accept-encoding", "gzip"),
        ("x-envoy-peer-metadata-id", "forged"),
        ("x-envoy-force-trace", "true"),
        ("x-envoy-external-address", "1.2.3.4"),
        ("x-forwarded-client-cert", "By=forged"),
    ];
    while chance(rng, 22) {
        let (name, value) = known[rng.usize(0..known.len())];
        headers.push((name.to_owned(), value.to_owned()));
    }
}

fn order(rng: &mut Rng) -> String {
    let orders = [
        "status=503",
        "status=500",
        "status=404",
        "status=409",
        "status=204",
        "status=304",
        "status=302,location=/x",
        "delay=400",
        "hangup",
        "reset",
        "half",
        "chunked",
        "until-close",
        "cookies",
        "grpc=0",
        "grpc=5",
        "hints",
        "status=502,chunked",
        "garbage",
        "status=429",
        "status=301,location=http://web/x",
    ];
    one(rng, &orders).to_owned()
}

fn authority(rng: &mut Rng, objects: &[Value], to: (Ipv4Addr, u16)) -> String {
    let name = host(rng, objects);
    match rng.u32(0..20) {
        0..3 => format!("{name}:{}", to.1),
        3 => name.to_uppercase(),
        4 => format!("{name}."),
        5 => to.0.to_string(),
        6 => format!("{}:{}", to.0, to.1),
        7 => format!("{name}:1234"),
        _ => name,
    }
}

/// Mostly a host that some object names.
fn host(rng: &mut Rng, objects: &[Value]) -> String {
    let named: Vec<&str> = objects
        .iter()
        .flat_map(|object| object["spec"]["hosts"].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .collect();
    if !named.is_empty() && chance(rng, 65) {
        let name = named[rng.usize(0..named.len())];
        return match name.strip_prefix('*') {
            Some("") => "anything.test".to_owned(),
            Some(rest) => format!("{}{rest}", one(rng, &["foo", "foo.bar", "shop"])),
            None => name.to_owned(),
        };
    }
    let others = [
        "web",
        "web.default",
        "web.default.svc",
        "web.default.svc.cluster.local",
        "api",
        "auto",
        "cart.shop",
        "cart",
        "dead",
        "empty",
        "unknown.test",
        "headless",
        "web-v1.headless",
    ];
    one(rng, &others).to_owned()
}

fn spelled(rng: &mut Rng, name: &str) -> String {
    match rng.u32(0..5) {
        0 => name.to_uppercase(),
        _ => name.to_owned(),
    }
}
