//! A client's connection with many requests at once: each is a task of its
//! own on the worker's thread.

use std::cell::{Cell, RefCell};
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::alarm::{Alarm, earlier};
use crate::buffer::Buffer;
use crate::chain::HttpChain;
use crate::http::body::Body;
use crate::http::connection::{self, Connection, Next};
use crate::http::ends::Downstream;
use crate::http::exchange;
use crate::http1::framing::Framing;
use crate::http1::head::Head;
use crate::http1::parse::Refusal;
use crate::http2::head;
use crate::http2::keepalive;
use crate::http2::stream::{Incoming, Outgoing};
use crate::http2::wire::{Turns, Wire, wire};
use crate::stream::Stream as ByteStream;

/// Envoy's word for a head with more headers than allowed.
pub const TOO_MANY: &str = "http2.too_many_headers";

type Frames = h2::server::Connection<Wire, Bytes>;

/// How much of a response waits in a connection to be written.
const SEND_BUFFER: usize = 256 << 10;
/// Envoy's: a connection on which so many streams have ended is closed when
/// the client itself ended more than half of them early.
const JUDGED_STREAMS: u32 = 500;
/// A stream that the client reset before this was opened for nothing.
const EARLY: Duration = Duration::from_secs(1);

/// One request of a client.
#[derive(Debug)]
pub struct Stream {
    /// Its body.
    pub incoming: Incoming,
    /// The response.
    pub outgoing: Outgoing,
}

/// What is known about the streams of a connection.
#[derive(Debug)]
struct Streams {
    active: Cell<u32>,
    ended: Cell<u32>,
    /// Of them, reset by the client early on.
    reset_early: Cell<u32>,
    quiet_since: Cell<Instant>,
    /// Something of interest to the connection has happened.
    changed: Notify,
}

/// What the connection's task wakes up for.
enum Event {
    Request(Box<Request<RecvStream>>, SendResponse<Bytes>),
    Closed,
    Changed,
    Drain,
    TimedOut,
    /// A ping was not answered.
    Lost,
}

/// Serves a connection to its end.
pub async fn serve(connection: Rc<Connection>, stream: ByteStream, input: Option<Buffer>) {
    let Some(http) = connection.http() else { return };
    let (wire, turns) = wire(stream, input, connection.worker.buffers.clone());
    let handshake = builder(http).handshake(wire);
    let limit = http.manager.timeouts.idle.unwrap_or(Duration::MAX);
    match tokio::time::timeout(limit, handshake).await {
        Ok(Ok(frames)) => serve_streams(&connection, http, frames, turns).await,
        Ok(Err(error)) => tracing::debug!("HTTP/2 connection of a client: {error}"),
        Err(_) => {}
    }
}

fn builder(http: &HttpChain) -> Builder {
    let manager = &http.manager;
    let options = &manager.http2;
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(options.max_streams)
        .initial_window_size(options.stream_window)
        .initial_connection_window_size(options.connection_window)
        .max_header_list_size(u32::try_from(manager.http1.max_head).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER);
    if let Some(size) = options.header_table {
        builder.header_table_size(size);
    }
    if options.allow_connect {
        builder.enable_connect_protocol();
    }
    builder
}

async fn serve_streams(connection: &Rc<Connection>, http: &HttpChain, mut frames: Frames, turns: Turns) {
    let timeouts = &http.manager.timeouts;
    let opened = Instant::now();
    let whole = timeouts.max_connection_duration.map(|limit| opened + limit);
    let streams = Rc::new(Streams {
        active: Cell::new(0),
        ended: Cell::new(0),
        reset_early: Cell::new(0),
        quiet_since: Cell::new(opened),
        changed: Notify::new(),
    });
    let keepalive = http.manager.http2.keepalive;
    let pings = RefCell::new(keepalive.and_then(|_| frames.ping_pong()));
    // Only listeners that ask for it pay for it.
    let mut lost = keepalive.map(|_| Box::pin(keepalive::lost(&pings, keepalive)));
    let mut alarm = Alarm::default();
    let mut served = 0;
    let mut closing: Option<Instant> = connection.is_draining().then_some(opened);
    if closing.is_some() {
        frames.graceful_shutdown();
    }
    loop {
        let is_quiet = streams.active.get() == 0;
        let quiet_since = streams.quiet_since.get();
        let deadline = match closing {
            // Who does not close a connection that has ended is not waited for.
            Some(since) if is_quiet => Some(quiet_since.max(since) + timeouts.delayed_close.max(EARLY)),
            Some(_) => None,
            None => earlier(timeouts.idle.filter(|_| is_quiet).map(|limit| quiet_since + limit), whole),
        };
        let next = next(connection, &streams, &mut frames, &turns, &mut alarm, deadline, closing.is_some());
        let event = match &mut lost {
            None => next.await,
            Some(lost) => tokio::select! {
                event = next => event,
                () = lost => Event::Lost,
            },
        };
        match event {
            Event::Request(request, respond) => {
                streams.active.set(streams.active.get() + 1);
                served += 1;
                let task = run(connection.clone(), streams.clone(), *request, respond);
                tokio::task::spawn_local(task);
                if closing.is_none() && http.manager.http1.max_requests.is_some_and(|max| served >= max) {
                    closing = Some(Instant::now());
                    frames.graceful_shutdown();
                }
            }
            Event::Changed if streams.are_abusive() => {
                tracing::debug!("HTTP/2 connection of {}: too many streams reset early", connection.peer);
                frames.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                // What is left to write is tried once.
                poll_fn(|context| {
                    let _ = frames.poll_closed(context);
                    let _ = turns.poll_end(context);
                    Poll::Ready(())
                })
                .await;
                return;
            }
            Event::Changed => {}
            Event::Closed => return,
            Event::Lost => {
                tracing::debug!("HTTP/2 connection of {}: a ping was not answered", connection.peer);
                return;
            }
            Event::TimedOut if closing.is_some() => return,
            Event::Drain | Event::TimedOut => {
                closing = Some(Instant::now());
                frames.graceful_shutdown();
            }
        }
    }
}

/// Moves frames until something has to be done.
async fn next(
    connection: &Connection,
    streams: &Streams,
    frames: &mut Frames,
    turns: &Turns,
    alarm: &mut Alarm,
    deadline: Option<Instant>,
    is_closing: bool,
) -> Event {
    let mut changed = pin!(streams.changed.notified());
    let mut drained = pin!(connection.asked_to_drain());
    poll_fn(|context| {
        turns.begin();
        match frames.poll_accept(context) {
            Poll::Ready(Some(Ok((request, respond)))) => {
                return Poll::Ready(Event::Request(Box::new(request), respond));
            }
            Poll::Ready(Some(Err(error))) => {
                tracing::debug!("HTTP/2 connection of a client: {error}");
                return Poll::Ready(Event::Closed);
            }
            Poll::Ready(None) => return Poll::Ready(Event::Closed),
            Poll::Pending => {}
        }
        if let Poll::Ready(Err(error)) = turns.poll_end(context) {
            tracing::debug!("HTTP/2 connection of a client: {error}");
            return Poll::Ready(Event::Closed);
        }
        if changed.as_mut().poll(context).is_ready() {
            return Poll::Ready(Event::Changed);
        }
        if !is_closing && drained.as_mut().poll(context).is_ready() {
            return Poll::Ready(Event::Drain);
        }
        alarm.poll(deadline, context).map(|()| Event::TimedOut)
    })
    .await
}

impl Streams {
    fn are_abusive(&self) -> bool {
        self.ended.get() >= JUDGED_STREAMS && self.reset_early.get() > self.ended.get() / 2
    }

    fn end(&self, was_reset_early: bool) {
        self.active.set(self.active.get().saturating_sub(1));
        self.ended.set(self.ended.get().saturating_add(1));
        if was_reset_early {
            self.reset_early.set(self.reset_early.get().saturating_add(1));
        }
        if self.active.get() == 0 {
            self.quiet_since.set(Instant::now());
        }
        if self.active.get() == 0 || self.are_abusive() {
            self.changed.notify_one();
        }
    }
}

/// Serves one request.
async fn run(
    connection: Rc<Connection>,
    streams: Rc<Streams>,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
) {
    let began = Instant::now();
    let (parts, incoming) = request.into_parts();
    let mut stream = Stream { incoming: Incoming::new(incoming), outgoing: Outgoing::response(respond) };
    let next = match read(&connection, &parts, &stream) {
        Ok((head, body)) => {
            let Some(http) = connection.http() else { return };
            let mut alarm = Alarm::default();
            exchange::run(
                &connection,
                http,
                &mut Downstream::Http2(&mut stream),
                &mut alarm,
                head,
                body,
                false,
            )
            .await
        }
        Err(refusal) => {
            crate::http::record::refused(&connection, refusal, None, 0);
            stream.outgoing.reset(match refusal.details {
                TOO_MANY => Reason::INTERNAL_ERROR,
                _ => Reason::PROTOCOL_ERROR,
            });
            Next::KeepAlive
        }
    };
    let was_reset = matches!(next, Next::Abort) && !stream.outgoing.has_ended();
    if was_reset {
        // A reset overtakes what waits in the connection; what the upstream
        // said before it broke off goes out first.
        tokio::task::yield_now().await;
        stream.outgoing.reset(Reason::INTERNAL_ERROR);
    }
    let reset_by_client = poll_fn(|context| Poll::Ready(stream.outgoing.poll_gone(context).is_ready())).await;
    streams.end(reset_by_client && was_reset && began.elapsed() < EARLY);
}

/// The request's head and how its body ends.
fn read(
    connection: &Connection,
    parts: &http::request::Parts,
    stream: &Stream,
) -> Result<(Head, Body), Refusal> {
    let Some(http) = connection.http() else { return Err(Refusal::bad("no_http")) };
    let worker = &connection.worker;
    if parts.headers.len() > http.manager.http1.max_headers {
        return Err(Refusal { status: 0, details: TOO_MANY });
    }
    let mut head = head::of_request(parts, worker)?;
    if !connection::are_names_fine(&mut head, http.manager.http1.underscores) {
        return Err(Refusal { status: 0, details: "http2.unexpected_underscore" });
    }
    let framing = head::framing(&head, stream.incoming.is_end())?;
    // What follows an upgrade belongs to the other protocol.
    let tunnels = parts.method == http::Method::CONNECT;
    Ok((head, Body::new(if tunnels { Framing::None } else { framing })))
}

/// Whether bytes begin HTTP/2; `None`: more are needed.
pub fn begins(bytes: &[u8]) -> Option<bool> {
    const PREFIX: &[u8] = b"PRI * HTTP/2";
    let length = bytes.len().min(PREFIX.len());
    match bytes[..length] == PREFIX[..length] {
        false => Some(false),
        true => (length == PREFIX.len()).then_some(true),
    }
}
