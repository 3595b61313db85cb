//! The servers: beyond the proxies, and as the sidecar's own application.
//! They remember what reached them, and answer as the header `x-do` asks.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, TcpListener as StdListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::http2;
use super::world::Plane;

/// Ports of servers that speak HTTP.
pub const HTTP_PORTS: [u16; 6] = [8080, 8081, 8082, 8083, 8084, 8099];
/// Ports of servers that repeat what they are told.
pub const TCP_PORTS: [u16; 2] = [9000, 9001];
/// Where nobody listens.
pub const DEAD_PORT: u16 = 7999;

/// What reached the servers.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<Seen>>);

/// The attempts of each request.
type Seen = HashMap<(Plane, String), Vec<Value>>;

impl Memory {
    /// What a request came to at the servers, each attempt; it is forgotten.
    pub fn take(&self, plane: Plane, id: &str) -> Vec<Value> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.remove(&(plane, id.to_owned())).unwrap_or_default()
    }

    /// How much of a request reached the servers so far.
    pub fn count(&self, plane: Plane, id: &str) -> usize {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&(plane, id.to_owned())).map_or(0, Vec::len)
    }

    /// Remembers what arrived.
    pub fn add(&self, plane: Plane, id: &str, what: Value) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.entry((plane, id.to_owned())).or_default().push(what);
    }
}

/// Serves on all ports, in the current runtime.
pub fn start(
    plane: Plane,
    memory: &Memory,
    listen: impl Fn(u16) -> io::Result<StdListener>,
) -> io::Result<()> {
    for port in HTTP_PORTS {
        let listener = TcpListener::from_std(listen(port)?)?;
        tokio::spawn(accept(listener, plane, memory.clone(), Speaks::Http));
    }
    for port in TCP_PORTS {
        let listener = TcpListener::from_std(listen(port)?)?;
        tokio::spawn(accept(listener, plane, memory.clone(), Speaks::Bytes));
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Speaks {
    Http,
    Bytes,
}

async fn accept(listener: TcpListener, plane: Plane, memory: Memory, speaks: Speaks) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let memory = memory.clone();
        tokio::spawn(async move {
            // The proxy may end a connection at any time.
            let _ = match speaks {
                Speaks::Http if begins_http2(&stream).await => http2::serve(stream, plane, memory).await,
                Speaks::Http => http(stream, plane, &memory).await,
                Speaks::Bytes => repeat(stream).await,
            };
        });
    }
}

/// Whether the other side speaks HTTP/2 from the first byte on.
async fn begins_http2(stream: &TcpStream) -> bool {
    let mut first = [0; 3];
    loop {
        match stream.peek(&mut first).await {
            Ok(3) => return &first == b"PRI",
            Ok(0) | Err(_) => return false,
            Ok(_) => tokio::task::yield_now().await,
        }
    }
}

/// Who has said something and is silent for so long has said all.
const SILENCE: Duration = Duration::from_millis(250);

/// Says its address, repeats everything, and ends when the other side does.
async fn repeat(mut stream: TcpStream) -> io::Result<()> {
    let local = stream.local_addr()?;
    let mut text = Vec::new();
    while let Ok(length) = tokio::time::timeout(SILENCE, stream.read_buf(&mut text)).await {
        if length? == 0 {
            break;
        }
    }
    stream.write_all(format!("port {} got {}: ", local.port(), text.len()).as_bytes()).await?;
    stream.write_all(&text).await?;
    stream.shutdown().await
}

/// A request as it arrived.
struct Arrived {
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Arrived {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn json(&self, address: IpAddr, port: u16) -> Value {
        json!({
            "line": self.line,
            "headers": joined(&self.headers),
            "body": String::from_utf8_lossy(&self.body),
            "host": address.to_string(),
            "port": port,
        })
    }
}

/// Headers by their names; values of one name are one, with commas.
pub fn joined(headers: &[(String, String)]) -> Value {
    let mut found = json!({});
    for (name, value) in headers {
        found[name] = match found[name].as_str() {
            Some(before) if !before.is_empty() => json!(format!("{before},{value}")),
            _ => json!(value),
        };
    }
    found
}

async fn http(mut stream: TcpStream, plane: Plane, memory: &Memory) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    let mut buffer = Vec::new();
    while let Some(arrived) = read(&mut stream, &mut buffer).await? {
        let id = arrived.header("user-agent").unwrap_or_default().to_owned();
        memory.add(plane, &id, arrived.json(local.ip(), local.port()));
        if !answer(&mut stream, &arrived, local.port()).await? {
            break;
        }
    }
    stream.shutdown().await
}

/// Does what `x-do` asks; whether the connection is kept.
async fn answer(stream: &mut TcpStream, arrived: &Arrived, port: u16) -> io::Result<bool> {
    let mut status = 200;
    let (mut chunked, mut until_close) = (false, false);
    let mut headers =
        format!("x-from: {port}\r\nx-gone: yes\r\nx-kept: one\r\nx-kept: two\r\nServer: origin\r\n");
    for order in arrived.header("x-do").unwrap_or_default().split(',').map(str::trim) {
        match order.split_once('=').unwrap_or((order, "")) {
            ("status", code) => status = code.parse().unwrap_or(200),
            ("delay", time) => {
                tokio::time::sleep(Duration::from_millis(time.parse().unwrap_or(0))).await;
            }
            ("hangup", _) => return Ok(false),
            ("reset", _) => {
                let _ = socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
                return Ok(false);
            }
            ("half", _) => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nhalf").await?;
                return Ok(false);
            }
            ("garbage", _) => {
                stream.write_all(b"what is this\r\n\r\n").await?;
                return Ok(false);
            }
            ("hints", _) => {
                stream.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n").await?;
            }
            ("chunked", _) => chunked = true,
            ("until-close", _) => until_close = true,
            ("cookies", _) => headers.push_str("Set-Cookie: a=1\r\nset-cookie: b=2\r\n"),
            ("location", to) => headers.push_str(&format!("location: {to}\r\n")),
            ("grpc", code) => {
                headers.push_str(&format!("content-type: application/grpc\r\ngrpc-status: {code}\r\n"));
            }
            _ => {}
        }
    }
    let body = format!("from {port}");
    let is_empty = arrived.line.starts_with("HEAD ") || matches!(status, 204 | 304);
    let head = format!("HTTP/1.1 {status} Whatever\r\n{headers}");
    let text = match (is_empty, chunked, until_close) {
        (true, ..) => format!("{head}\r\n"),
        (_, true, _) => {
            format!("{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
        }
        (_, _, true) => format!("{head}connection: close\r\n\r\n{body}"),
        _ => format!("{head}content-length: {}\r\n\r\n{body}", body.len()),
    };
    stream.write_all(text.as_bytes()).await?;
    Ok(!until_close)
}

/// The next request; none when the other side ends.
async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Arrived>> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if buffer.len() > 100_000 || stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    buffer.drain(..end + 4);
    let mut lines = head.split("\r\n").map(str::to_owned);
    let line = lines.next().unwrap_or_default();
    let headers = lines
        .filter_map(|line| line.split_once(':').map(|(name, value)| (name.to_owned(), value.to_owned())))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut arrived = Arrived { line, headers, body: Vec::new() };
    let length = arrived.header("content-length").and_then(|text| text.parse::<usize>().ok());
    if arrived.header("transfer-encoding").is_some() {
        while !(buffer.ends_with(b"0\r\n\r\n")) {
            if stream.read_buf(buffer).await? == 0 {
                return Ok(None);
            }
        }
        arrived.body = unchunked(&std::mem::take(buffer));
    } else if let Some(length) = length {
        while buffer.len() < length {
            if stream.read_buf(buffer).await? == 0 {
                return Ok(None);
            }
        }
        arrived.body = buffer.drain(..length).collect();
    }
    Ok(Some(arrived))
}

/// How a proxy cuts a body is its own matter.
fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = String::from_utf8_lossy(&rest[..end]).into_owned();
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16).unwrap_or(0);
        rest = &rest[end + 2..];
        if size == 0 || rest.len() < size + 2 {
            break;
        }
        body.extend_from_slice(&rest[..size]);
        rest = &rest[size + 2..];
    }
    body
}
