//! Connections to upstreams that carry many requests at once.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::{Future as _, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use http::Response;
use routing::http2::{Http2, Keepalive};
use routing::istio::AlpnOverride;
use routing::retry::Reset;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::buffer::Pool as Buffers;
use crate::http1::head::Head;
use crate::http2::head;
use crate::http2::keepalive::{self, Pings};
use crate::http2::stream::{Incoming, Outgoing};
use crate::http2::wire::{Turns, Wire, wire};
use crate::stats::ClusterStats;
use crate::tls::certificate::TlsFacts;
use crate::upstream::connect::ConnectError;
use crate::upstream::host::Upstream;
use crate::upstream::pool::Slot;
use crate::worker::Worker;

/// The largest head of a response, as with HTTP/1.
const LARGEST_HEAD: u32 = 60 << 10;
/// How much of a body waits in a connection to be written.
const SEND_BUFFER: usize = 256 << 10;

/// The connections to one host.
#[derive(Debug, Default)]
pub struct Pool {
    connections: RefCell<Vec<Rc<Connection>>>,
    connecting: RefCell<Option<Rc<Connecting>>>,
    retired: Cell<bool>,
}

/// A connection that is being made, and those who wait for it.
#[derive(Debug, Default)]
pub struct Connecting {
    alpn: Option<Arc<AlpnOverride>>,
    ready: Notify,
    result: OnceCell<Made>,
}

/// How connecting went.
type Made = Result<Rc<Connection>, Rc<ConnectError>>;

/// The duty to say how connecting went.
#[derive(Debug)]
pub struct Attempt<'p> {
    pool: &'p Pool,
    connecting: Rc<Connecting>,
}

/// A connection that carries requests.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Bytes>,
    /// Our own address.
    pub local: SocketAddr,
    tls: Option<Rc<TlsFacts>>,
    alpn: Option<Arc<AlpnOverride>>,
    /// Why the connection failed, when TLS says it.
    tls_failure: RefCell<Option<Rc<str>>>,
    most: u32,
    active: Cell<u32>,
    served: Cell<u32>,
    open: Cell<bool>,
    idle_since: Cell<Instant>,
    close: Notify,
    pings: Pings,
    keepalive: Option<Keepalive>,
    stats: Rc<ClusterStats>,
}

/// One request on a connection.
#[derive(Debug)]
pub struct Stream {
    connection: Rc<Connection>,
    /// The request's body.
    pub outgoing: Outgoing,
    /// The response's body, once its head has come.
    pub incoming: Incoming,
    response: Option<ResponseFuture>,
}

/// How to get a connection.
#[derive(Debug)]
pub enum Turn {
    /// Here is one.
    Ready(Rc<Connection>),
    /// Somebody is connecting: wait.
    Wait(Rc<Connecting>),
    /// Connect, and say how it went.
    Connect(Rc<Connecting>),
}

impl Pool {
    /// A connection with room, or how to come by one. `fresh` wants none
    /// that is there already.
    pub fn turn(&self, fresh: bool, max_requests: Option<u32>, alpn: Option<&Arc<AlpnOverride>>) -> Turn {
        let mut connections = self.connections.borrow_mut();
        connections.retain(|connection| connection.open.get());
        if let Some(found) = connections.iter().find(|connection| {
            !fresh && connection.alpn.as_ref() == alpn && connection.has_room(max_requests)
        }) {
            return Turn::Ready(found.clone());
        }
        let mut connecting = self.connecting.borrow_mut();
        if let Some(made) =
            connecting.as_ref().filter(|made| made.result.get().is_none() && made.alpn.as_ref() == alpn)
        {
            return Turn::Wait(made.clone());
        }
        let made = Rc::new(Connecting { alpn: alpn.cloned(), ..Connecting::default() });
        *connecting = Some(made.clone());
        Turn::Connect(made)
    }

    /// Takes over the duty to connect.
    pub fn attempt(&self, connecting: Rc<Connecting>) -> Attempt<'_> {
        Attempt { pool: self, connecting }
    }

    fn made(&self, connecting: &Connecting, result: Made) {
        if let Ok(connection) = &result
            && !self.retired.get()
        {
            self.connections.borrow_mut().push(connection.clone());
        }
        // Only the one who connects says how it went.
        let _ = connecting.result.set(result);
        connecting.ready.notify_waiters();
        self.connecting.borrow_mut().take_if(|current| std::ptr::eq(&**current, connecting));
    }

    fn given_up(&self, connecting: &Connecting) {
        if connecting.result.get().is_none() {
            self.connecting.borrow_mut().take_if(|current| std::ptr::eq(&**current, connecting));
            connecting.ready.notify_waiters();
        }
    }

    /// The host is no longer of the cluster: connections end when their
    /// requests have.
    pub fn retire(&self) {
        self.retired.set(true);
        for connection in self.connections.borrow_mut().drain(..) {
            connection.drain();
        }
    }

    /// Closes connections that were idle for too long.
    pub fn sweep(&self, now: Instant, limit: Duration) {
        self.connections.borrow_mut().retain(|connection| {
            let idle = now.saturating_duration_since(connection.idle_since.get());
            if connection.active.get() == 0 && idle >= limit {
                connection.drain();
            }
            connection.open.get()
        });
    }

    /// Whether there are connections.
    pub fn is_empty(&self) -> bool {
        self.connections.borrow().is_empty()
    }
}

impl Attempt<'_> {
    /// A connection was made, or not: those who wait learn it.
    pub fn made(self, result: Made) {
        self.pool.made(&self.connecting, result);
    }
}

impl Drop for Attempt<'_> {
    /// Nobody connects any more; who waits begins anew.
    fn drop(&mut self) {
        self.pool.given_up(&self.connecting);
    }
}

impl Connecting {
    /// Waits for the connection; `None` when nobody makes it any more.
    pub async fn wait(&self) -> Option<Made> {
        if self.result.get().is_none() {
            self.ready.notified().await;
        }
        self.result.get().cloned()
    }
}

impl Connection {
    /// Begins HTTP/2 on a connection. The server's preface is not waited for.
    pub async fn start(
        upstream: Upstream,
        options: &Http2,
        stats: Rc<ClusterStats>,
        buffers: &Rc<Buffers>,
    ) -> Result<Rc<Connection>, h2::Error> {
        let Upstream { stream, local, slot, alpn, .. } = upstream;
        let tls = stream.tls().map(|stream| stream.facts.clone());
        let mut builder = Builder::new();
        builder
            .initial_window_size(options.stream_window)
            .initial_connection_window_size(options.connection_window)
            .max_header_list_size(LARGEST_HEAD)
            .max_send_buffer_size(SEND_BUFFER)
            .initial_max_send_streams(usize::try_from(options.max_streams).unwrap_or(usize::MAX))
            .enable_push(false);
        if let Some(size) = options.header_table {
            builder.header_table_size(size);
        }
        let (wire, turns) = wire(stream, None, buffers.clone());
        let (sender, mut driver) = builder.handshake(wire).await?;
        let connection = Rc::new(Connection {
            sender,
            local,
            tls,
            alpn,
            tls_failure: RefCell::default(),
            most: options.max_streams,
            active: Cell::new(0),
            served: Cell::new(0),
            open: Cell::new(true),
            idle_since: Cell::new(Instant::now()),
            close: Notify::new(),
            pings: RefCell::new(driver.ping_pong()),
            keepalive: options.keepalive,
            stats,
        });
        tokio::task::spawn_local(drive(connection.clone(), driver, turns, slot));
        Ok(connection)
    }

    fn has_room(&self, max_requests: Option<u32>) -> bool {
        let allowed = u32::try_from(self.sender.current_max_send_streams()).unwrap_or(u32::MAX);
        self.open.get()
            && self.active.get() < self.most.min(allowed)
            && max_requests.is_none_or(|max| self.served.get() < max)
    }

    /// No further request is sent here; when none is left, it closes.
    fn drain(&self) {
        self.open.set(false);
        if self.active.get() == 0 {
            self.close.notify_one();
        }
    }

    /// Whether the server takes upgrades. Its settings come before its answer
    /// to a ping.
    async fn accepts_upgrades(&self) -> bool {
        if !self.sender.is_extended_connect_protocol_enabled() {
            // A connection that is gone accepts nothing.
            let _ = keepalive::answered(&self.pings).await;
        }
        self.sender.is_extended_connect_protocol_enabled()
    }

    /// Whether it has carried a request before.
    pub fn is_used(&self) -> bool {
        self.served.get() > 0
    }

    /// Sends a request's head.
    pub async fn send(
        self: &Rc<Self>,
        request: &Head,
        upgrade: Option<&str>,
        is_all: bool,
        max_requests: Option<u32>,
    ) -> Result<Stream, SendError> {
        if upgrade.is_some() && !self.accepts_upgrades().await {
            return Err(SendError::NoExtendedConnect);
        }
        let request = head::request(request, upgrade).ok_or(SendError::Head)?;
        let (response, outgoing) = self.sender.clone().send_request(request, is_all).map_err(|error| {
            self.drain();
            SendError::Closed(error)
        })?;
        self.active.set(self.active.get() + 1);
        self.served.set(self.served.get() + 1);
        if max_requests.is_some_and(|max| self.served.get() >= max) {
            self.open.set(false);
        }
        Ok(Stream {
            connection: self.clone(),
            outgoing: Outgoing::request(outgoing, is_all),
            incoming: Incoming::absent(),
            response: Some(response),
        })
    }
}

/// Why a request could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The head is none that HTTP/2 can carry.
    #[error("the head cannot be carried")]
    Head,
    /// The server does not do upgrades over HTTP/2.
    #[error("the server does not accept extended CONNECT")]
    NoExtendedConnect,
    /// The connection takes no more requests.
    #[error("the connection takes no more requests")]
    Closed(#[source] h2::Error),
}

/// Moves frames until the connection ends, and keeps its place among those
/// of the cluster so long.
async fn drive(
    connection: Rc<Connection>,
    mut driver: h2::client::Connection<Wire, Bytes>,
    turns: Turns,
    slot: Option<Slot>,
) {
    let moving = poll_fn(|context| {
        turns.begin();
        if let Poll::Ready(ended) = Pin::new(&mut driver).poll(context) {
            return Poll::Ready(ended.map_err(Broken::Protocol));
        }
        match turns.poll_end(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(Broken::Write(error))),
            _ => Poll::Pending,
        }
    });
    tokio::select! {
        ended = moving => {
            if let Err(error) = ended {
                tracing::debug!("HTTP/2 connection to an upstream: {error}");
                if connection.tls.is_some()
                    && let Some(reason) = error.tls_reason()
                {
                    connection.tls_failure.replace(Some(reason));
                }
            }
        }
        () = connection.close.notified() => {}
        () = keepalive::lost(&connection.pings, connection.keepalive) => {
            tracing::debug!("HTTP/2 connection to an upstream: a ping was not answered");
        }
    }
    connection.open.set(false);
    connection.stats.closed(1);
    drop(slot);
}

/// How a connection ended before its time.
#[derive(Debug, thiserror::Error)]
enum Broken {
    /// What came was wrong, or nothing more came.
    #[error(transparent)]
    Protocol(h2::Error),
    /// What was to go did not.
    #[error("write: {0}")]
    Write(io::Error),
}

impl Broken {
    /// What TLS says about an error of its own.
    fn tls_reason(&self) -> Option<Rc<str>> {
        let error = match self {
            Broken::Protocol(error) => error.get_io()?,
            Broken::Write(error) => error,
        };
        let is_ours = matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof);
        is_ours.then(|| error.to_string().into())
    }
}

impl Stream {
    /// The TLS around it.
    pub fn tls(&self) -> Option<Rc<TlsFacts>> {
        self.connection.tls.clone()
    }

    /// Why TLS failed, if it did.
    pub fn tls_failure(&self) -> Option<Rc<str>> {
        self.connection.tls_failure.borrow().clone()
    }

    /// Our own address.
    pub fn local(&self) -> SocketAddr {
        self.connection.local
    }

    /// The response's head, or an interim one.
    pub fn poll_answer(
        &mut self,
        worker: &Worker,
        context: &mut Context<'_>,
    ) -> Poll<Result<Head, h2::Error>> {
        let Some(response) = &mut self.response else { return Poll::Pending };
        match response.poll_informational(context) {
            Poll::Ready(Some(interim)) => {
                return Poll::Ready(interim.map(|interim| head::of_response(&interim, worker)));
            }
            Poll::Ready(None) | Poll::Pending => {}
        }
        let answer: Response<h2::RecvStream> = ready!(Pin::new(response).poll(context))?;
        let head = head::of_response(&answer, worker);
        self.incoming = Incoming::new(answer.into_body());
        self.response = None;
        Poll::Ready(Ok(head))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let connection = &self.connection;
        connection.active.set(connection.active.get().saturating_sub(1));
        if connection.active.get() == 0 {
            connection.idle_since.set(Instant::now());
            if !connection.open.get() {
                connection.close.notify_one();
            }
        }
    }
}

/// What the retry policy is told about an error.
pub fn reset_of(error: &h2::Error) -> Reset {
    if error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM)) {
        Reset::RemoteRefused
    } else if error.is_remote() {
        Reset::RemoteReset
    } else if error.is_library() {
        Reset::ProtocolError
    } else {
        Reset::ConnectionTermination { request_started: true }
    }
}

/// Whether the peer surely did nothing with the request (RFC 9113, 8.7).
pub fn is_unprocessed(error: &h2::Error) -> bool {
    matches!(reset_of(error), Reset::RemoteRefused)
}
