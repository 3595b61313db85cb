//! HTTP/2 as the client and the servers of the world speak it.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::request::{End, Reply};
use super::server::{Memory, joined};
use super::world::Plane;

/// What belongs to one connection of HTTP/1.1 and has no place here.
const OF_CONNECTIONS: [&str; 7] = [
    "host",
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// A request as HTTP/2 has it; none where a target is not possible.
pub fn request(method: &str, target: &str, headers: &[(String, String)], id: &str) -> Option<Request<()>> {
    let host = headers.iter().find(|(name, _)| name == "host").map(|(_, value)| value.as_str())?;
    if target.contains(['#', '\\']) {
        return None;
    }
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://{host}{target}"))
        .version(http::Version::HTTP_2)
        .body(())
        .ok()?;
    for (name, value) in headers {
        if !OF_CONNECTIONS.contains(&name.to_ascii_lowercase().as_str()) {
            request.headers_mut().append(
                HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()).ok()?,
                HeaderValue::from_str(value).ok()?,
            );
        }
    }
    request.headers_mut().insert("user-agent", HeaderValue::from_str(id).ok()?);
    Some(request)
}

/// Asks on a connection of its own.
pub async fn ask<S>(stream: S, request: Request<()>, body: Bytes, reply: &mut Reply) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = h2::client::handshake(stream).await.map_err(of_connection)?;
    let driver = tokio::spawn(connection);
    let answered = exchange(sender, request, body, reply).await;
    driver.abort();
    match answered {
        Ok(()) => reply.end = End::Whole,
        Err(error) if error.is_reset() => reply.end = End::Reset,
        Err(error) => return Err(of_connection(error)),
    }
    Ok(())
}

async fn exchange(
    sender: h2::client::SendRequest<Bytes>,
    request: Request<()>,
    body: Bytes,
    reply: &mut Reply,
) -> Result<(), h2::Error> {
    let mut sender = sender.ready().await?;
    let (response, mut stream) = sender.send_request(request, body.is_empty())?;
    if !body.is_empty() {
        stream.send_data(body, true)?;
    }
    let (head, mut incoming) = response.await?.into_parts();
    reply.status = head.status.as_u16();
    reply.headers = texts(&head.headers);
    while let Some(data) = incoming.data().await {
        let data = data?;
        // Who cannot be given credit has nothing more to say.
        let _ = incoming.flow_control().release_capacity(data.len());
        reply.body.extend_from_slice(&data);
    }
    reply.trailers = incoming.trailers().await?.map(|trailers| texts(&trailers)).unwrap_or_default();
    Ok(())
}

fn of_connection(error: h2::Error) -> io::Error {
    error.into_io().unwrap_or_else(|| io::ErrorKind::ConnectionAborted.into())
}

fn texts(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

/// Serves a connection whose client begins with HTTP/2.
pub async fn serve(stream: TcpStream, plane: Plane, memory: Memory) -> io::Result<()> {
    let local = stream.local_addr()?;
    let mut connection = h2::server::handshake(stream).await.map_err(of_connection)?;
    while let Some(next) = connection.accept().await {
        let (request, respond) = next.map_err(of_connection)?;
        let memory = memory.clone();
        tokio::spawn(async move {
            // The proxy may give a stream up at any time.
            let _ = answer(request, respond, plane, &memory, local).await;
        });
    }
    Ok(())
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    plane: Plane,
    memory: &Memory,
    local: std::net::SocketAddr,
) -> Result<(), h2::Error> {
    let (head, mut incoming) = request.into_parts();
    let mut body = Vec::new();
    while let Some(data) = incoming.data().await {
        let data = data?;
        let _ = incoming.flow_control().release_capacity(data.len());
        body.extend_from_slice(&data);
    }
    let trailers = incoming.trailers().await?.map(|trailers| texts(&trailers)).unwrap_or_default();
    let headers = texts(&head.headers);
    let find = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let id = find("user-agent").unwrap_or_default();
    memory.add(plane, id, arrived(&head, &headers, &trailers, &body, local));
    let order = find("x-do").unwrap_or_default();
    let is_head = head.method == http::Method::HEAD;
    let Some(what) = Order::parse(order, local.port(), is_head).await else {
        respond.send_reset(Reason::INTERNAL_ERROR);
        return Ok(());
    };
    let is_last = what.body.is_empty() && what.trailers.is_none();
    let mut stream = respond.send_response(what.head, is_last)?;
    if !what.body.is_empty() {
        stream.send_data(what.body, what.trailers.is_none() && !what.breaks_off)?;
    }
    if what.breaks_off {
        stream.send_reset(Reason::INTERNAL_ERROR);
    } else if let Some(trailers) = what.trailers {
        stream.send_trailers(trailers)?;
    }
    Ok(())
}

fn arrived(
    head: &http::request::Parts,
    headers: &[(String, String)],
    trailers: &[(String, String)],
    body: &[u8],
    local: std::net::SocketAddr,
) -> Value {
    let mut headers = joined(headers);
    headers["host"] = json!(head.uri.authority().map(ToString::to_string));
    headers["scheme"] = json!(head.uri.scheme_str());
    let path = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    json!({
        "line": format!("{} {path} HTTP/2", head.method),
        "headers": headers,
        "trailers": joined(trailers),
        "body": String::from_utf8_lossy(body),
        "host": local.ip().to_string(),
        "port": local.port(),
    })
}

/// What `x-do` asks of a server of HTTP/2.
struct Order {
    head: Response<()>,
    body: Bytes,
    trailers: Option<HeaderMap>,
    breaks_off: bool,
}

impl Order {
    /// None when the stream shall be reset instead.
    async fn parse(text: &str, port: u16, is_head: bool) -> Option<Self> {
        let mut head = Response::new(());
        let mut answer = Self {
            head: Response::new(()),
            body: Bytes::from(format!("from {port}")),
            trailers: None,
            breaks_off: false,
        };
        let headers = head.headers_mut();
        let mut add = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.append(name, value);
            }
        };
        add("x-from", &port.to_string());
        for (name, value) in [("x-gone", "yes"), ("x-kept", "one"), ("x-kept", "two"), ("server", "origin")] {
            add(name, value);
        }
        let mut status = 200;
        for order in text.split(',').map(str::trim) {
            match order.split_once('=').unwrap_or((order, "")) {
                ("status", code) => status = code.parse().unwrap_or(200),
                ("delay", time) => {
                    tokio::time::sleep(Duration::from_millis(time.parse().unwrap_or(0))).await;
                }
                ("hangup" | "reset" | "garbage", _) => return None,
                ("half", _) => answer.breaks_off = true,
                ("cookies", _) => ["a=1", "b=2"].iter().for_each(|cookie| add("set-cookie", cookie)),
                ("location", to) => add("location", to),
                ("grpc", code) => {
                    add("content-type", "application/grpc");
                    let mut trailers = HeaderMap::new();
                    trailers.insert("grpc-status", HeaderValue::from_str(code).ok()?);
                    trailers.insert("x-trailer", HeaderValue::from_static("yes"));
                    answer.trailers = Some(trailers);
                }
                ("grpc-only", code) => {
                    add("content-type", "application/grpc");
                    add("grpc-status", code);
                    answer.body = Bytes::new();
                }
                _ => {}
            }
        }
        *head.status_mut() = http::StatusCode::from_u16(status).ok()?;
        if is_head || matches!(status, 204 | 304) {
            (answer.body, answer.trailers, answer.breaks_off) = (Bytes::new(), None, false);
        }
        answer.head = head;
        Some(answer)
    }
}
