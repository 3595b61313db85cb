//! Servers of HTTP/2 that mean no good: the request fails, memory stays
//! bounded, and others are served.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use super::abuse::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, MORE_MEMORY, OWN_NAME, PING, PREFACE, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, bomb, frame,
};
use super::http2::http2_cluster;
use super::overload::{Speaks, apart};
use super::peers::{Client, Server};
use super::setup::{listener, manager, proxy};

/// `:status 200`.
const OK: &[u8] = &[0x88];
const GOAWAY: u8 = 7;
const PUSH_PROMISE: u8 = 5;
/// A server sends no more than this.
const MOST: u64 = 64 << 20;

/// What a server does with the stream of a request.
type Trick = fn(stream: u32, step: u64) -> Option<Vec<u8>>;

struct Hostile {
    address: SocketAddr,
    /// Bytes that the proxy took.
    taken: Arc<AtomicU64>,
    connections: Arc<AtomicUsize>,
}

impl Hostile {
    fn start(trick: Trick) -> Hostile {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (taken, connections) = (Arc::<AtomicU64>::default(), Arc::<AtomicUsize>::default());
        let (counted, accepted) = (taken.clone(), connections.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                accepted.fetch_add(1, Ordering::SeqCst);
                let counted = counted.clone();
                std::thread::spawn(move || misbehave(stream, trick, &counted));
            }
        });
        Hostile { address, taken, connections }
    }
}

/// Answers the first request with the trick, as long as the proxy takes it.
fn misbehave(mut stream: TcpStream, trick: Trick, taken: &AtomicU64) {
    stream.set_write_timeout(Some(Duration::from_secs(2))).expect("a limit");
    let mut preface = [0; PREFACE.len()];
    if stream.read_exact(&mut preface).is_err() || stream.write_all(&frame(SETTINGS, 0, 0, &[])).is_err() {
        return;
    }
    let Some(id) = request(&mut stream) else { return };
    let mut reader = stream.try_clone().expect("a second handle");
    // What the proxy says is of no interest.
    std::thread::spawn(move || while matches!(reader.read(&mut [0; 65536]), Ok(1..)) {});
    let mut step = 0;
    while let Some(bytes) = trick(id, step) {
        if taken.fetch_add(bytes.len() as u64, Ordering::SeqCst) > MOST || stream.write_all(&bytes).is_err() {
            return;
        }
        step += 1;
    }
    // The proxy closes, not the server.
    std::thread::park_timeout(Duration::from_secs(60));
}

/// The stream of the first request.
fn request(stream: &mut TcpStream) -> Option<u32> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        stream.read_exact(&mut vec![0; usize::try_from(length).ok()?]).ok()?;
        if head[3] == HEADERS {
            return Some(u32::from_be_bytes([head[5], head[6], head[7], head[8]]));
        }
    }
}

fn field(number: u64) -> Vec<u8> {
    let mut field = vec![0x40, 6];
    field.extend_from_slice(format!("x{:05}", number % 100_000).as_bytes());
    field.extend_from_slice(&[0x7f, 0x81, 0x07]);
    field.extend_from_slice(&[b'x'; 1024]);
    field
}

const TRICKS: [(&str, Trick); 11] = [
    ("a head that is small only on the wire", |id, step| {
        (step < 100).then(|| frame(HEADERS, END_HEADERS, id, &bomb(OK, OWN_NAME)))
    }),
    ("a head without end", |id, step| {
        Some(match step {
            0 => frame(HEADERS, 0, id, OK),
            _ => frame(CONTINUATION, 0, id, &field(step)),
        })
    }),
    ("a head without end and content", |id, step| {
        (step < 200_000).then(|| match step {
            0 => frame(HEADERS, 0, id, OK),
            _ => frame(CONTINUATION, 0, id, &[]),
        })
    }),
    ("interim heads without end", |id, step| {
        (step < 100_000).then(|| frame(HEADERS, END_HEADERS, id, &[0x48, 3, b'1', b'0', b'3']))
    }),
    ("streams that nobody opened", |id, step| {
        (step < 50_000)
            .then(|| frame(RST_STREAM, 0, id + 2 * u32::try_from(step).unwrap_or(0), &[0, 0, 0, 8]))
    }),
    ("a good-bye to everybody, and no streams", |_, step| match step {
        0 => Some(frame(GOAWAY, 0, 0, &[0; 8])),
        1 => Some(frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 0])),
        _ => None,
    }),
    ("a good-bye that grows", |_, step| match step {
        0 => Some(frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0])),
        1 => Some(frame(GOAWAY, 0, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0])),
        _ => None,
    }),
    ("a push", |id, step| {
        (step == 0).then(|| frame(PUSH_PROMISE, END_HEADERS, id, &[0, 0, 0, 2, 0x82, 0x86, 0x84]))
    }),
    ("credit beyond measure", |id, step| {
        (step < 3).then(|| frame(WINDOW_UPDATE, 0, id, &0x7fff_ffff_u32.to_be_bytes()))
    }),
    ("data before the head", |id, step| (step < 10).then(|| frame(DATA, END_STREAM, id, b"x"))),
    ("questions without end", |_, step| {
        (step < 100_000).then(|| match step.is_multiple_of(2) {
            true => frame(PING, 0, 0, &[0; 8]),
            false => frame(SETTINGS, 0, 0, &[]),
        })
    }),
];

#[tokio::test]
async fn a_request_to_one_of_them_fails_and_others_do_not() {
    let good = Server::echo().await;
    for (name, trick) in TRICKS {
        let hostile = Hostile::start(trick);
        let routes = json!([
            {"match": {"prefix": "/good"}, "route": {"cluster": "good"}},
            {"match": {"prefix": "/"}, "route": {"cluster": "bad", "timeout": "2s"}}]);
        let clusters = json!([
            http2_cluster("good", good.address, json!({})),
            http2_cluster("bad", hostile.address, json!({}))
        ]);
        let proxy = proxy(json!([listener(manager(routes))]), clusters);
        let client = Client::connect(proxy.address).await;
        let (bad, other) = tokio::join!(client.get("/bad"), client.get("/good"));
        assert!(matches!(bad.status, 502..=504), "{name}: {bad:?}");
        assert_eq!(other.status, 200, "{name}");
        assert_eq!(client.get("/good").await.status, 200, "{name}");
        // Once more where the server said that it did nothing, and no more than that.
        assert!(hostile.connections.load(Ordering::SeqCst) <= 2, "{name}");
    }
}

#[tokio::test]
async fn memory_does_not_grow_with_what_they_send() {
    for (name, trick) in &TRICKS[..4] {
        let hostile = Hostile::start(*trick);
        let proxy = apart(1024, hostile.address, Speaks::Http2);
        let before = proxy.resident();
        for _ in 0..3 {
            let reply = Client::connect(proxy.address).await.get("/").await;
            assert!(matches!(reply.status, 502..=504), "{name}: {reply:?}");
        }
        let grown = proxy.resident().saturating_sub(before);
        assert!(grown < MORE_MEMORY, "{name}: {grown} bytes more");
        assert!(hostile.taken.load(Ordering::SeqCst) < MOST, "{name}: all of it was taken");
    }
}
