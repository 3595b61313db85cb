//! Clients of HTTP/2 that mean no good: their connection is closed, or costs
//! little, and others go on.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;

use super::backend::Backend;
use super::overload::{Speaks, apart};
use super::peers::Client;
use super::setup::{Proxy, to_one};

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
/// A connection that resets streams gets no more than this.
const MOST_STREAMS: u64 = 1100;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
/// `:method GET`, `:scheme http`, `:path /`, `:authority a`, all of them from
/// the static table but the last.
const REQUEST: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'a'];
const POST: &[u8] = &[0x83, 0x86, 0x84, 0x41, 1, b'a'];

pub fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(content.len()).expect("short").to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(content);
    frame
}

/// How an attack ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The proxy closed the connection after so many steps.
    Closed(u32),
    /// The proxy took everything.
    Open,
    /// The proxy read no more.
    Stalled,
}

/// Sends what `step` makes, step by step, until the proxy closes.
fn attack(address: SocketAddr, steps: u32, step: impl Fn(u32) -> Vec<u8>) -> End {
    let mut stream = TcpStream::connect(address).expect("the proxy listens");
    stream.set_write_timeout(Some(Duration::from_secs(2))).expect("a limit");
    stream.set_read_timeout(Some(Duration::from_millis(500))).expect("a limit");
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).expect("the proxy reads");
    let mut reader = stream.try_clone().expect("a second handle");
    let closed = std::thread::spawn(move || {
        let mut scratch = [0; 65536];
        loop {
            match reader.read(&mut scratch) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
                Err(_) => return true,
            }
        }
    });
    for number in 0..steps {
        match stream.write_all(&step(number)) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return End::Stalled,
            Err(_) => return End::Closed(number),
        }
        if closed.is_finished() {
            break;
        }
    }
    if closed.join().expect("it only reads") { End::Closed(steps) } else { End::Open }
}

fn ids(number: u32) -> u32 {
    2 * number + 1
}

/// Another client is served within its time.
async fn still_serves(proxy: &Proxy) {
    let began = Instant::now();
    assert_eq!(Client::connect(proxy.address).await.get("/").await.status, 200);
    assert!(began.elapsed() < Duration::from_secs(5));
}

/// The connection is closed; how many requests it had.
async fn closes(name: &str, steps: u32, step: impl Fn(u32) -> Vec<u8> + Send + 'static) -> u64 {
    let backend = Backend::echo();
    let proxy = to_one(backend.address, json!({}));
    let address = proxy.address;
    let end = tokio::task::spawn_blocking(move || attack(address, steps, step)).await.expect("it went well");
    assert!(matches!(end, End::Closed(_)), "{name}: {end:?}");
    let text = proxy.handle().stats_text();
    let line = text.lines().find(|line| line.starts_with("envoy_http_downstream_rq_total{"));
    let requests = line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).expect("a counter");
    still_serves(&proxy).await;
    requests
}

#[tokio::test]
async fn streams_that_are_reset_at_once() {
    let requests = closes("rapid reset", 20_000, |number| {
        let id = ids(number);
        let open = frame(HEADERS, END_HEADERS | END_STREAM, id, REQUEST);
        [open, frame(RST_STREAM, 0, id, &8_u32.to_be_bytes())].concat()
    })
    .await;
    assert!(requests <= MOST_STREAMS, "{requests}");
}

#[tokio::test]
async fn streams_that_make_us_reset_them() {
    let requests = closes("window updates of zero", 20_000, |number| {
        let id = ids(number);
        let open = frame(HEADERS, END_HEADERS | END_STREAM, id, REQUEST);
        [open, frame(WINDOW_UPDATE, 0, id, &0_u32.to_be_bytes())].concat()
    })
    .await;
    assert!(requests <= MOST_STREAMS, "{requests}");
}

#[tokio::test]
async fn heads_without_end() {
    closes("continuation", 20_000, |number| match number {
        0 => frame(HEADERS, END_STREAM, 1, REQUEST),
        _ => {
            let mut field = vec![0x40, 4];
            field.extend_from_slice(format!("{number:04}").get(..4).unwrap_or("name").as_bytes());
            field.extend_from_slice(&[0x7f, 0x81, 0x07]);
            field.extend_from_slice(&[b'x'; 1024]);
            frame(CONTINUATION, 0, 1, &field)
        }
    })
    .await;
    closes("empty continuation", 100_000, |number| match number {
        0 => frame(HEADERS, END_STREAM, 1, REQUEST),
        _ => frame(CONTINUATION, 0, 1, &[]),
    })
    .await;
}

#[tokio::test]
async fn data_without_content() {
    closes("empty data", 200_000, |number| match number {
        0 => frame(HEADERS, END_HEADERS, 1, POST),
        _ => frame(DATA, 0, 1, &[]),
    })
    .await;
}

#[tokio::test]
async fn frames_that_cost_an_answer_cost_little() {
    for kind in [SETTINGS, PING, WINDOW_UPDATE] {
        let backend = Backend::echo();
        let proxy = to_one(backend.address, json!({}));
        let address = proxy.address;
        let work = tokio::task::spawn_blocking(move || {
            attack(address, 50_000, |_| match kind {
                SETTINGS => frame(SETTINGS, 0, 0, &[]),
                PING => frame(PING, 0, 0, &[0; 8]),
                _ => frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()),
            })
        });
        // Whether it is closed or not: it ends, and others are served.
        let end = work.await.expect("it went well");
        assert!(matches!(end, End::Closed(_) | End::Open), "{kind}: {end:?}");
        still_serves(&proxy).await;
    }
}

#[tokio::test]
async fn small_pieces_of_a_body_are_no_attack() {
    let backend = Backend::start(|_, body| super::backend::Then::Answer(super::backend::ok(body)));
    let proxy = to_one(backend.address, json!({}));
    let address = proxy.address;
    let work = tokio::task::spawn_blocking(move || {
        attack(address, 20_000, |number| match number {
            0 => frame(HEADERS, END_HEADERS, 1, POST),
            _ => frame(DATA, 0, 1, b"x"),
        })
    });
    assert_eq!(work.await.expect("it went well"), End::Open);
}

#[tokio::test]
async fn no_more_streams_at_once_than_are_allowed() {
    let backend = Backend::start(|_, _| super::backend::Then::Hang);
    let proxy = to_one(backend.address, json!({"timeout": "0s"}));
    let address = proxy.address;
    let work = tokio::task::spawn_blocking(move || {
        attack(address, 1500, |number| frame(HEADERS, END_HEADERS | END_STREAM, ids(number), REQUEST))
    });
    work.await.expect("it went well");
    assert!(backend.connections() <= 1024, "{}", backend.connections());
}

/// So much more memory a proxy may take for one that means no good.
pub const MORE_MEMORY: u64 = 16 << 20;

/// A header of 4 KB that enters the table, and 12,000 mentions of it. The name
/// is as it is written there.
pub fn bomb(start: &[u8], name: &[u8]) -> Vec<u8> {
    let mut block = [start, name, &[0x7f, 0xa1, 0x1e]].concat();
    block.extend_from_slice(&[b'v'; 4000]);
    block.extend_from_slice(&[0xbe; 12_000]);
    block
}

/// A name that is nowhere yet.
pub const OWN_NAME: &[u8] = &[0x40, 3, b'x', b'-', b'b'];
/// A cookie, of which there may be many.
const COOKIE: &[u8] = &[0x60];

#[tokio::test]
async fn heads_that_are_small_only_on_the_wire() {
    let backend = Backend::echo();
    let proxy = apart(1024, backend.address, Speaks::Http1);
    let address = proxy.address;
    assert_eq!(Client::connect(address).await.get("/").await.status, 200);
    let before = proxy.resident();
    for name in [OWN_NAME, COOKIE] {
        let block = bomb(REQUEST, name);
        let work = tokio::task::spawn_blocking(move || {
            attack(address, 100, move |number| frame(HEADERS, END_HEADERS | END_STREAM, ids(number), &block))
        });
        work.await.expect("it went well");
    }
    let grown = proxy.resident().saturating_sub(before);
    assert!(grown < MORE_MEMORY, "{grown} bytes more");
    assert_eq!(backend.seen().len(), 1, "none of them is passed on");
    assert_eq!(Client::connect(address).await.get("/").await.status, 200);
}
