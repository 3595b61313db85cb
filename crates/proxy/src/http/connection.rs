//! A client's connection: one request after the other.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use routing::hcm::{Codec, Underscores};
use routing::listener::Listener;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use crate::alarm::{Alarm, earlier};
use crate::buffer::Buffer;
use crate::chain::{Chain, HttpChain, Kind};
use crate::http::body::Body;
use crate::http::ends::Downstream;
use crate::http::exchange;
use crate::http::local_reply;
use crate::http1::framing::of_request;
use crate::http1::head::Head;
use crate::http1::parse::{self, Limits, Refusal};
use crate::http2;
use crate::io::poll_fill;
use crate::stream::{Reader, Stream, Writer};
use crate::tls::certificate::TlsFacts;
use crate::worker::Worker;

/// A client's connection and where it arrived.
#[derive(Debug)]
pub struct Connection {
    /// The thread that serves it.
    pub worker: Rc<Worker>,
    /// The listener as it was when the connection came.
    pub listener: Arc<Listener>,
    /// The filter chain.
    pub chain: Rc<Chain>,
    /// Who the peer is.
    pub peer: SocketAddr,
    /// Where it wanted to go.
    pub local: SocketAddr,
    /// The socket's own address.
    pub accepted_at: SocketAddr,
    /// What is spoken on it.
    pub version: Version,
    /// The TLS around it.
    pub tls: Option<Rc<TlsFacts>>,
}

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 1.1 or 1.0.
    Http1,
    /// 2.
    Http2,
}

/// Both halves of the client's connection, and what was read of it.
#[derive(Debug)]
pub struct Io<'h> {
    /// Towards us.
    pub reader: Reader<'h>,
    /// Towards the client.
    pub writer: Writer<'h>,
    /// What was read and not used.
    pub input: Option<Buffer>,
    /// What has to be written before anything else.
    pub owed: Vec<u8>,
}

/// What follows a request.
#[derive(Debug)]
pub enum Next {
    /// Another one.
    KeepAlive,
    /// The connection is closed once the client has read everything.
    Close,
    /// The connection is closed now: the response could not be completed.
    Abort,
}

/// Why there is no further request.
#[derive(Debug)]
enum NoRequest {
    /// The client is done.
    Closed,
    /// It took too long.
    IdleTimeout,
    /// A head began and did not come to its end in time.
    HeadTimeout,
    /// It cannot be accepted.
    Refused(Refusal),
}

impl Connection {
    /// The HTTP side of the chain.
    pub fn http(&self) -> Option<&HttpChain> {
        match &self.chain.kind {
            Kind::Http(http) => Some(http),
            _ => None,
        }
    }

    /// Whether the client should go elsewhere: the proxy is draining, or the
    /// configuration no longer has this chain.
    pub fn is_draining(&self) -> bool {
        !self.chain.current.get() || self.worker.shared.is_draining()
    }

    /// Where the client wanted to go, if something sent it here instead.
    pub fn original_destination(&self) -> Option<SocketAddr> {
        (self.local != self.accepted_at).then_some(self.local)
    }

    /// Ends when the client should go elsewhere.
    pub async fn asked_to_drain(&self) {
        let drained = self.worker.shared.drained.notified();
        let gone = self.chain.gone.notified();
        if !self.is_draining() {
            tokio::select! {
                () = drained => {}
                () = gone => {}
            }
        }
    }
}

/// Serves a connection to its end.
pub async fn serve(mut connection: Connection, mut stream: Stream, mut input: Option<Buffer>) {
    let Some(http) = connection.http() else { return };
    http.stats.cx_total.increment();
    http.stats.cx_active.add(1);
    let begins_http2 = match http.manager.codec {
        Codec::Auto if agreed(&connection).is_some() => agreed(&connection).map(|alpn| alpn == b"h2"),
        Codec::Auto => begins_http2(&connection, http, &mut stream, &mut input).await,
        Codec::Http1 => Some(false),
        Codec::Http2 => Some(true),
    };
    match begins_http2 {
        None => {}
        Some(false) => serve_http1(&connection, http, stream, input).await,
        Some(true) => {
            connection.version = Version::Http2;
            let connection = Rc::new(connection);
            http2::server::serve(connection.clone(), stream, input).await;
            count_closed(&connection);
            return;
        }
    }
    count_closed(&connection);
}

/// The application protocol that TLS agreed on.
fn agreed(connection: &Connection) -> Option<&[u8]> {
    connection.tls.as_ref()?.alpn.as_deref()
}

fn count_closed(connection: &Connection) {
    if let Some(http) = connection.http() {
        http.stats.cx_active.add(-1);
    }
}

/// Whether the client's first bytes are those of HTTP/2; `None` when it goes
/// away before it says so.
async fn begins_http2(
    connection: &Connection,
    http: &HttpChain,
    stream: &mut Stream,
    input: &mut Option<Buffer>,
) -> Option<bool> {
    let deadline = http.manager.timeouts.idle.map(|limit| Instant::now() + limit);
    let pool = &connection.worker.buffers;
    let mut alarm = Alarm::default();
    let (mut reader, _) = stream.split();
    poll_fn(|context| {
        loop {
            let bytes = input.as_ref().map_or(&[][..], Buffer::filled);
            if let Some(begins) = (!bytes.is_empty()).then(|| http2::server::begins(bytes)).flatten() {
                return Poll::Ready(Some(begins));
            }
            match poll_fill(&mut reader, input, pool, false, context) {
                // What has come is looked at as HTTP/1.
                Poll::Ready(Ok(0)) if input.as_ref().is_some_and(|input| !input.is_empty()) => {
                    return Poll::Ready(Some(false));
                }
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(None),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => return alarm.poll(deadline, context).map(|()| None),
            }
        }
    })
    .await
}

async fn serve_http1(connection: &Connection, http: &HttpChain, mut stream: Stream, input: Option<Buffer>) {
    let (reader, writer) = stream.split();
    let mut io = Io { reader, writer, input, owed: Vec::new() };
    let end = serve_requests(connection, http, &mut io).await;
    if let Some(buffer) = io.input.take() {
        connection.worker.buffers.give(buffer);
    }
    match end {
        Next::KeepAlive | Next::Abort => {}
        Next::Close => linger(&mut stream, http.manager.timeouts.delayed_close).await,
    }
}

async fn serve_requests(connection: &Connection, http: &HttpChain, io: &mut Io<'_>) -> Next {
    let timeouts = &http.manager.timeouts;
    let mut alarm = Alarm::default();
    let opened = Instant::now();
    let mut served = 0;
    loop {
        let now = if served == 0 { opened } else { Instant::now() };
        let whole = timeouts.max_connection_duration.map(|limit| opened + limit);
        let limits = HeadLimits {
            idle: earlier(timeouts.idle.map(|limit| now + limit), whole),
            head: timeouts.request_headers,
        };
        let head = match read_head(connection, http, io, &mut alarm, &limits).await {
            Ok(head) => head,
            Err(NoRequest::Closed | NoRequest::IdleTimeout) => return Next::KeepAlive,
            Err(NoRequest::HeadTimeout) => {
                const TIMEOUT: Refusal = Refusal { status: 408, details: "request_header_timeout" };
                return local_reply::refuse(connection, io, TIMEOUT).await;
            }
            Err(NoRequest::Refused(refusal)) => return local_reply::refuse(connection, io, refusal).await,
        };
        served += 1;
        let is_last = http.manager.http1.max_requests.is_some_and(|max| served >= max);
        let body = match of_request(&head, head.is_http_10) {
            Ok(framing) => Body::new(framing),
            Err(refusal) => return local_reply::refuse(connection, io, refusal).await,
        };
        let mut downstream = Downstream::Http1(io);
        match exchange::run(connection, http, &mut downstream, &mut alarm, head, body, is_last).await {
            Next::KeepAlive => {}
            other => return other,
        }
    }
}

struct HeadLimits {
    /// When a connection without requests is closed.
    idle: Option<Instant>,
    /// How long a head may take once it has begun.
    head: Option<Duration>,
}

async fn read_head(
    connection: &Connection,
    http: &HttpChain,
    io: &mut Io<'_>,
    alarm: &mut Alarm,
    limits: &HeadLimits,
) -> Result<Head, NoRequest> {
    let options = &http.manager.http1;
    let parse_limits = Limits {
        max_head: options.max_head,
        max_headers: options.max_headers,
        http_10: options.accept_http_10,
    };
    let mut reading = Reading { searched: 0, began: None };
    let mut head = poll_fn(|context| {
        let polled = reading.poll(connection, io, &parse_limits, context);
        if polled.is_ready() {
            return polled;
        }
        let (deadline, timeout) = match reading.began {
            Some(began) if limits.head.is_some() => {
                (limits.head.map(|limit| began + limit), NoRequest::HeadTimeout)
            }
            _ => (limits.idle, NoRequest::IdleTimeout),
        };
        alarm.poll(deadline, context).map(|()| Err(timeout))
    })
    .await?;
    if !are_names_fine(&mut head, options.underscores) {
        return Err(NoRequest::Refused(Refusal::bad("http1.unexpected_underscore")));
    }
    Ok(head)
}

/// Does with names that have underscores what is configured; false when the
/// request is refused for one.
pub fn are_names_fine(head: &mut Head, underscores: Underscores) -> bool {
    match underscores {
        Underscores::Allow => true,
        Underscores::Drop => {
            head.remove_where(|name| name.contains(&b'_'));
            true
        }
        Underscores::Reject => !head.iter().any(|(name, _)| name.contains(&b'_')),
    }
}

/// A head that is being read.
struct Reading {
    /// So much was searched for its end.
    searched: usize,
    began: Option<Instant>,
}

impl Reading {
    fn poll(
        &mut self,
        connection: &Connection,
        io: &mut Io<'_>,
        limits: &Limits,
        context: &mut Context<'_>,
    ) -> Poll<Result<Head, NoRequest>> {
        let pool = &connection.worker.buffers;
        loop {
            if let Some(head) = self.take(connection, io, limits).transpose() {
                return Poll::Ready(head.map_err(NoRequest::Refused));
            }
            if let Some(buffer) = &mut io.input {
                // The parser has refused what is larger than the limit.
                buffer.grow(limits.max_head.max(buffer.size()));
            }
            match poll_fill(&mut io.reader, &mut io.input, pool, false, context) {
                Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => return Poll::Ready(Err(NoRequest::Closed)),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// The head, if it has come whole.
    fn take(
        &mut self,
        connection: &Connection,
        io: &mut Io<'_>,
        limits: &Limits,
    ) -> Result<Option<Head>, Refusal> {
        let Some(buffer) = &mut io.input else { return Ok(None) };
        // Old clients send an empty line behind a body.
        while self.searched == 0 && buffer.filled().starts_with(b"\r\n") {
            buffer.consume(2);
        }
        if buffer.is_empty() || buffer.filled() == b"\r" {
            return Ok(None);
        }
        let is_first_look = self.began.is_none();
        if is_first_look {
            self.began = Some(Instant::now());
        } else if parse::head_end(buffer.filled(), self.searched).is_none() && buffer.len() < limits.max_head
        {
            self.searched = buffer.len();
            return Ok(None);
        }
        self.searched = buffer.len();
        let fields = connection.worker.take_fields();
        let Some((length, parts)) = parse::request(buffer.filled(), fields, limits)? else { return Ok(None) };
        let Some(mut buffer) = io.input.take() else { return Ok(None) };
        buffer.compact();
        let (block, used) = buffer.into_block();
        if used > length {
            io.input = Some(connection.worker.buffers.with_bytes(&block[length..used]));
        }
        Ok(Some(Head::new(block, length, parts)))
    }
}

/// Closes our side and reads what the client still sends, so that it gets
/// the response before a reset.
async fn linger(stream: &mut Stream, limit: Duration) {
    if stream.shutdown().await.is_err() || limit.is_zero() {
        return;
    }
    let drain = async {
        let mut scratch = [0; 1024];
        loop {
            match tokio::io::AsyncReadExt::read(stream, &mut scratch).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    };
    // What has not come until then does not matter.
    let _ = tokio::time::timeout(limit, drain).await;
}
