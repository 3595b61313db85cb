//! A request of the client, and what came back.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::http2;
use super::server::joined;
use super::world::{self, Plane};

/// Nobody waits longer for an answer.
const LIMIT: Duration = Duration::from_secs(3);

/// Between the bytes of a client that does not speak HTTP and their end.
const PAUSE: Duration = Duration::from_millis(20);

/// Bytes to an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The address that the client connects to.
    pub to: SocketAddr,
    /// What it says.
    pub says: Says,
}

/// What a client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// A request of HTTP.
    Http {
        /// How it is said.
        version: Version,
        /// Method.
        method: String,
        /// The target, as it stands on the line.
        target: String,
        /// Headers, in order; `host` among them.
        headers: Vec<(String, String)>,
        /// Body, as HTTP/1.1 has it.
        body: String,
    },
    /// Something else.
    Bytes(Vec<u8>),
}

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 1.1.
    Http1,
    /// 2, from the first byte on.
    Http2,
}

impl Request {
    /// For a connection to an address.
    pub fn new(to: (Ipv4Addr, u16), says: Says) -> Self {
        Self { to: to.into(), says }
    }

    /// The bytes, with the name by which servers remember the request.
    pub fn bytes(&self, id: &str) -> Vec<u8> {
        match &self.says {
            Says::Bytes(bytes) => bytes.clone(),
            Says::Http { method, target, headers, body, .. } => {
                let mut text = format!("{method} {target} HTTP/1.1\r\n");
                for (name, value) in headers {
                    text.push_str(&format!("{name}: {value}\r\n"));
                }
                text.push_str(&format!("user-agent: {id}\r\n\r\n{body}"));
                text.into_bytes()
            }
        }
    }

    /// As HTTP/2 has it, with its body; none where it is not said so.
    fn frames(&self, id: &str) -> Option<(http::Request<()>, Bytes)> {
        let Says::Http { version: Version::Http2, method, target, headers, body } = &self.says else {
            return None;
        };
        let is_chunked = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("transfer-encoding"));
        let body = if is_chunked { chunks(body.as_bytes()).0 } else { body.clone().into_bytes() };
        Some((http2::request(method, target, headers, id)?, body.into()))
    }

    /// Whether the answer has no body whatever its head says.
    pub fn is_head(&self) -> bool {
        matches!(&self.says, Says::Http { method, .. } if method == "HEAD")
    }

    /// For people, who may paste it.
    pub fn describe(&self) -> String {
        match &self.says {
            Says::Http { version, .. } => {
                let text = String::from_utf8_lossy(&self.bytes("test")).replace("\r\n", "\n");
                match version {
                    Version::Http1 => text,
                    Version::Http2 => text.replacen(" HTTP/1.1\n", " HTTP/2\n", 1),
                }
            }
            Says::Bytes(bytes) if bytes.len() > 1000 => format!("{} bytes", bytes.len()),
            Says::Bytes(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
        }
    }
}

/// What a client saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Heads with a status below 200 that came first.
    pub interim: Vec<u16>,
    /// The status; 0 when there was none.
    pub status: u16,
    /// The words after it.
    pub reason: String,
    /// Headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Headers after the body.
    pub trailers: Vec<(String, String)>,
    /// The body; everything that came, where it was no HTTP.
    pub body: Vec<u8>,
    /// How the answer ended.
    pub end: End,
    /// How long it took.
    pub took: Duration,
    /// The client's port.
    pub port: u16,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// Nobody listened.
    #[default]
    Refused,
    /// As its head said.
    Whole,
    /// The other side closed.
    Closed,
    /// The other side reset the connection.
    Reset,
    /// Not at all.
    Waiting,
}

impl Reply {
    /// As JSON, for the comparison.
    pub fn json(&self) -> Value {
        json!({
            "interim": self.interim,
            "status": self.status,
            "reason": self.reason,
            "headers": joined(&self.headers),
            "trailers": joined(&self.trailers),
            "body": String::from_utf8_lossy(&self.body),
            "end": format!("{:?}", self.end),
        })
    }
}

/// Sends a request through a data plane.
pub async fn send(plane: Plane, request: &Request, id: &str) -> Reply {
    let start = Instant::now();
    let mut reply = Reply::default();
    let read = async {
        let socket = world::client(plane)?;
        let mut stream = socket.connect(request.to).await?;
        reply.port = stream.local_addr()?.port();
        stream.set_nodelay(true)?;
        reply.end = End::Closed;
        if let Some((request, body)) = request.frames(id) {
            return http2::ask(stream, request, body, &mut reply).await;
        }
        stream.write_all(&request.bytes(id)).await?;
        let is_http = matches!(request.says, Says::Http { .. });
        if !is_http {
            // An end that comes with the bytes is a race inside of Envoy's inspectors.
            tokio::time::sleep(PAUSE).await;
            stream.shutdown().await?;
        }
        let mut received = Vec::with_capacity(1024);
        loop {
            if is_http && parse(&received, request.is_head(), &mut reply) {
                return Ok(());
            }
            let length = stream.read_buf(&mut received).await;
            if !is_http {
                reply.body.clone_from(&received);
            }
            if length? == 0 {
                if is_http {
                    reply.end = End::Closed;
                }
                return std::io::Result::Ok(());
            }
        }
    };
    let ended = tokio::time::timeout(LIMIT, read).await;
    match ended {
        Err(_) => reply.end = End::Waiting,
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionReset => reply.end = End::Reset,
        _ => {}
    }
    reply.took = start.elapsed();
    reply
}

/// Reads an answer from what came so far; whether it is whole.
fn parse(received: &[u8], is_head: bool, reply: &mut Reply) -> bool {
    let mut rest = received;
    reply.interim.clear();
    loop {
        let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = &rest[end + 4..];
        let mut lines = head.split("\r\n");
        let mut first = lines.next().unwrap_or_default().splitn(3, ' ');
        let status = first.nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        if (100..200).contains(&status) && status != 101 {
            reply.interim.push(status);
            continue;
        }
        reply.status = status;
        first.next().unwrap_or_default().clone_into(&mut reply.reason);
        reply.headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        break;
    }
    let header = |name: &str| reply.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    let whole = if is_head || matches!(reply.status, 101 | 204 | 304) {
        reply.body.clear();
        true
    } else if header("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        let (body, whole) = chunks(rest);
        reply.body = body;
        whole
    } else if let Some(length) = header("content-length").and_then(|value| value.parse::<usize>().ok()) {
        reply.body = rest[..rest.len().min(length)].to_vec();
        rest.len() >= length
    } else {
        reply.body = rest.to_vec();
        false
    };
    if whole {
        reply.end = End::Whole;
    }
    whole
}

fn chunks(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else { return (body, false) };
        let size = std::str::from_utf8(&rest[..end]).ok();
        let size = size.and_then(|text| usize::from_str_radix(text.split(';').next()?.trim(), 16).ok());
        let Some(size) = size else { return (body, false) };
        rest = &rest[end + 2..];
        if size == 0 {
            return (body, rest.ends_with(b"\r\n"));
        }
        body.extend_from_slice(&rest[..rest.len().min(size)]);
        if rest.len() < size + 2 {
            return (body, false);
        }
        rest = &rest[size + 2..];
    }
}
