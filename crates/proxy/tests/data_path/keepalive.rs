//! Pings of HTTP/2 that find out whether the peer is still there.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use serde_json::json;

use super::http2::http2_cluster;
use super::peers::{Client, Server};
use super::setup::{Proxy, listener, manager, proxy};

/// Nothing that happens at all takes longer.
const PATIENCE: Duration = Duration::from_secs(30);
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const PING: u8 = 6;

fn pings(timeout: &str) -> serde_json::Value {
    json!({"connection_keepalive": {"interval": "0.02s", "timeout": timeout}})
}

/// Reads frames until the other side closes, or until so many of its pings
/// have come and been answered; how many there were.
fn frames(stream: &mut TcpStream, answered: usize) -> usize {
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let mut pings = 0;
    let mut head = [0; 9];
    while stream.read_exact(&mut head).is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut content = vec![0; usize::try_from(length).expect("short")];
        if stream.read_exact(&mut content).is_err() {
            break;
        }
        if head[3] != PING || head[4] != 0 {
            continue;
        }
        pings += 1;
        if answered > 0 {
            head[4] = 1;
            stream.write_all(&[&head[..], &content].concat()).expect("it is open");
            if pings == answered {
                break;
            }
        }
    }
    pings
}

/// A client that shakes hands and then asks for nothing.
fn idle_client(address: SocketAddr, answered: usize) -> usize {
    let mut stream = TcpStream::connect(address).expect("the proxy listens");
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("the proxy reads");
    stream.write_all(&SETTINGS).expect("the proxy reads");
    frames(&mut stream, answered)
}

fn with_pings(server: SocketAddr, timeout: &str) -> Proxy {
    let mut http = manager(json!([{"match": {"prefix": "/"}, "route": {"cluster": "up"}}]));
    http["http2_protocol_options"] = pings(timeout);
    proxy(json!([listener(http)]), json!([http2_cluster("up", server, json!({}))]))
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_gone() {
    let server = Server::echo().await;
    let proxy = with_pings(server.address, "0.05s");
    let address = proxy.address;
    let pings = tokio::task::spawn_blocking(move || idle_client(address, 0)).await;
    assert_eq!(pings.expect("it went well"), 1, "and then it is closed");
}

#[tokio::test]
async fn a_client_that_answers_pings_stays() {
    let server = Server::echo().await;
    let proxy = with_pings(server.address, "30s");
    let address = proxy.address;
    let pings = tokio::task::spawn_blocking(move || idle_client(address, 5)).await;
    assert_eq!(pings.expect("it went well"), 5);
    assert_eq!(Client::connect(address).await.get("/").await.status, 200);
}

#[tokio::test]
async fn an_upstream_that_answers_no_ping_is_gone() {
    let upstream = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = upstream.local_addr().expect("it is bound");
    // Takes requests and says nothing more.
    let silent = std::thread::spawn(move || {
        let (mut stream, _) = upstream.accept().expect("the proxy connects");
        stream.read_exact(&mut [0; 24]).expect("the preface");
        stream.write_all(&SETTINGS).expect("the proxy reads");
        frames(&mut stream, 0)
    });
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster": "up", "timeout": "0s"}}]);
    let clusters = json!([http2_cluster("up", address, pings("0.05s"))]);
    let proxy = proxy(json!([listener(manager(routes))]), clusters);
    let reply = tokio::time::timeout(PATIENCE, Client::connect(proxy.address).await.get("/")).await;
    let reply = reply.expect("it does not wait for ever");
    assert_eq!(reply.status, 503);
    assert!(reply.text().ends_with("reset reason: connection termination"), "{}", reply.text());
    assert_eq!(silent.join().expect("it went well"), 1);
}
