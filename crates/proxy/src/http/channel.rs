//! What carries one request to an endpoint: a connection of its own, a
//! stream among others, or bytes as they are.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use routing::cluster::Protocol;
use routing::retry::Reset;
use routing::tls::Transport;

use crate::alarm::Alarm;
use crate::buffer::Buffer;
use crate::http::attempt::{Deadlines, TimeLimit};
use crate::http::connection::Version;
use crate::http::ends::{Departure, Downstream, Sink, Source};
use crate::http::exchange::{Exchange, Tunnel};
use crate::http2::client::{Connection, SendError, Stream, Turn, reset_of};
use crate::tls::certificate::TlsFacts;
use crate::tls::stream::TlsStream;
use crate::upstream::connect::{Announced, ConnectError, Purpose, Speaks};
use crate::upstream::host::{Host, Upstream};
use crate::upstream::{ClusterState, pool};
use crate::worker::Worker;

/// What carries one request to an endpoint.
#[derive(Debug)]
pub enum Channel {
    /// A connection of HTTP/1.
    Http1(Upstream),
    /// A stream of HTTP/2.
    Http2(Box<Stream>),
    /// A connection that carries what is inside a CONNECT.
    Bytes(Upstream),
}

/// Why there is none.
#[derive(Debug)]
pub enum Acquire {
    /// No connection came about.
    Failed(Rc<ConnectError>),
    /// The endpoint does not take the request.
    Refused(Reset),
    /// Time is up.
    TimedOut(TimeLimit),
    /// The client did not wait.
    Gone(Departure),
}

impl Channel {
    /// Our own address.
    pub fn local(&self) -> SocketAddr {
        match self {
            Channel::Http1(upstream) | Channel::Bytes(upstream) => upstream.local,
            Channel::Http2(stream) => stream.local(),
        }
    }

    /// The TLS around it.
    pub fn tls(&self) -> Option<Rc<TlsFacts>> {
        match self {
            Channel::Http1(upstream) | Channel::Bytes(upstream) => {
                upstream.stream.tls().map(|stream| stream.facts.clone())
            }
            Channel::Http2(stream) => stream.tls(),
        }
    }

    /// Why TLS failed on it, if it did.
    pub fn tls_failure(&self) -> Option<Rc<str>> {
        match self {
            Channel::Http1(upstream) | Channel::Bytes(upstream) => {
                upstream.stream.tls().and_then(TlsStream::failure)
            }
            Channel::Http2(stream) => stream.tls_failure(),
        }
    }

    /// Lends where requests go.
    pub fn with_sink<T>(&mut self, use_it: impl FnOnce(Sink<'_, '_>) -> T) -> T {
        match self {
            Channel::Http1(upstream) | Channel::Bytes(upstream) => {
                let (_, mut writer) = upstream.stream.split();
                use_it(Sink::Http1(&mut writer))
            }
            Channel::Http2(stream) => use_it(Sink::Http2(&mut stream.outgoing)),
        }
    }

    /// Lends where responses come from.
    pub fn with_source<T>(
        &mut self,
        input: &mut Option<Buffer>,
        use_it: impl FnOnce(Source<'_, '_>) -> T,
    ) -> T {
        match self {
            Channel::Http1(upstream) | Channel::Bytes(upstream) => {
                let (mut reader, _) = upstream.stream.split();
                use_it(Source::Http1 { reader: &mut reader, input })
            }
            Channel::Http2(stream) => use_it(Source::Http2(&mut stream.incoming)),
        }
    }
}

/// Which version the request is sent in.
pub fn version(exchange: &Exchange<'_>, cluster: &ClusterState) -> Version {
    match cluster.cluster.protocol {
        Protocol::Http1 => Version::Http1,
        Protocol::Http2 => Version::Http2,
        Protocol::Downstream => exchange.connection.version,
    }
}

/// An idle connection, or a new one; the second result tells whether it was
/// used before.
#[allow(clippy::too_many_arguments, reason = "each is borrowed apart from the others")]
pub async fn acquire(
    exchange: &Exchange<'_>,
    worker: &Worker,
    cluster: &ClusterState,
    host: &Rc<Host>,
    io: &mut Downstream<'_, '_>,
    alarm: &mut Alarm,
    deadlines: &Deadlines,
    fresh: bool,
) -> Result<(Channel, bool), Acquire> {
    let terminates = exchange.tunnel == Some(Tunnel::Terminated);
    if !terminates && version(exchange, cluster) == Version::Http2 {
        let getting = stream(exchange, worker, cluster, host, fresh);
        let (stream, used) = waiting(exchange, io, alarm, deadlines, getting).await?;
        return Ok((Channel::Http2(Box::new(stream)), used));
    }
    let purpose = purpose(exchange, cluster, if terminates { Speaks::Bytes } else { Speaks::Http1 });
    if !fresh && !terminates && cluster.cluster.proxy_protocol.is_none() {
        let alpn = purpose.alpn.filter(|_| matches!(host.transport, Transport::Tls(_)));
        let (idle, closed) = host.take_idle(alpn);
        cluster.stats.closed(closed);
        if let Some(upstream) = idle {
            return Ok((Channel::Http1(upstream), true));
        }
    }
    let connecting = async {
        let opened = match terminates || cluster.cluster.proxy_protocol.is_some() {
            true => dial(exchange, worker, cluster, host, &purpose).await.map(|upstream| (upstream, false)),
            false => pool::open(worker, cluster, host, exchange.priority, &purpose).await,
        };
        opened.map_err(|error| Acquire::Failed(Rc::new(error)))
    };
    let (upstream, used) = waiting(exchange, io, alarm, deadlines, connecting).await?;
    Ok((if terminates { Channel::Bytes(upstream) } else { Channel::Http1(upstream) }, used))
}

/// Waits for a connection as long as the request may take, and as long as
/// the client does.
async fn waiting<T>(
    exchange: &Exchange<'_>,
    io: &mut Downstream<'_, '_>,
    alarm: &mut Alarm,
    deadlines: &Deadlines,
    work: impl Future<Output = Result<T, Acquire>>,
) -> Result<T, Acquire> {
    let mut work = pin!(work);
    poll_fn(|context| {
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(done);
        }
        // A client of HTTP/1 is looked at when its request is sent.
        if io.is_http2()
            && let Poll::Ready(departure) = io.poll_gone(context)
        {
            return Poll::Ready(Err(Acquire::Gone(departure)));
        }
        let deadline = deadlines.response(exchange.request_done);
        alarm.poll(deadline, context).map(|()| Err(Acquire::TimedOut(TimeLimit::Response)))
    })
    .await
}

/// A stream with the request's head on it.
async fn stream(
    exchange: &Exchange<'_>,
    worker: &Worker,
    cluster: &ClusterState,
    host: &Rc<Host>,
    fresh: bool,
) -> Result<(Stream, bool), Acquire> {
    let mut fresh = fresh;
    loop {
        let (connection, mut used) = match cluster.cluster.proxy_protocol {
            None => shared(exchange, worker, cluster, host, fresh).await?,
            // Such a connection speaks for one client alone.
            Some(_) => {
                let made = start(exchange, worker, cluster, host).await;
                (made.map_err(|error| Acquire::Failed(Rc::new(error)))?, false)
            }
        };
        fresh = false;
        used &= connection.is_used();
        let is_all = exchange.body.is_done()
            && exchange.body.replay().is_none_or(<[u8]>::is_empty)
            && !exchange.is_tunnel();
        let max_requests = cluster.cluster.max_requests_per_connection;
        let max_requests = cluster.cluster.proxy_protocol.map_or(max_requests, |_| Some(1));
        match connection.send(&exchange.request, exchange.upgrade.as_deref(), is_all, max_requests).await {
            Ok(stream) => return Ok((stream, used)),
            // The server said good-bye in the meantime.
            Err(SendError::Closed(_)) if used => {}
            Err(SendError::Closed(error)) => return Err(Acquire::Refused(reset_of(&error))),
            Err(SendError::Head | SendError::NoExtendedConnect) => {
                return Err(Acquire::Refused(Reset::ProtocolError));
            }
        }
    }
}

/// A connection that many requests share; the second result tells whether it
/// was there already.
async fn shared(
    exchange: &Exchange<'_>,
    worker: &Worker,
    cluster: &ClusterState,
    host: &Rc<Host>,
    fresh: bool,
) -> Result<(Rc<Connection>, bool), Acquire> {
    let mut fresh = fresh;
    loop {
        let alpn = match &host.transport {
            Transport::Tls(_) => purpose(exchange, cluster, Speaks::Http2).alpn,
            Transport::Plain => None,
        };
        match host.http2.turn(fresh, cluster.cluster.max_requests_per_connection, alpn) {
            Turn::Ready(connection) => return Ok((connection, true)),
            Turn::Wait(connecting) => {
                if let Some(Err(error)) = connecting.wait().await {
                    return Err(Acquire::Failed(error));
                }
                fresh = false;
            }
            Turn::Connect(connecting) => {
                // When this request ends first, another one connects.
                let attempt = host.http2.attempt(connecting);
                let made = start(exchange, worker, cluster, host).await.map_err(Rc::new);
                attempt.made(made.clone());
                return made.map(|connection| (connection, false)).map_err(Acquire::Failed);
            }
        }
    }
}

async fn start(
    exchange: &Exchange<'_>,
    worker: &Worker,
    cluster: &ClusterState,
    host: &Host,
) -> Result<Rc<Connection>, ConnectError> {
    let purpose = purpose(exchange, cluster, Speaks::Http2);
    let upstream = dial(exchange, worker, cluster, host, &purpose).await?;
    let (options, stats) = (&cluster.cluster.http2, cluster.stats.clone());
    Connection::start(upstream, options, stats, &worker.buffers).await.map_err(|error| {
        cluster.stats.closed(1);
        ConnectError::Refused(std::io::Error::other(error.to_string()))
    })
}

/// A new connection, unless the cluster has as many as it may.
async fn dial(
    exchange: &Exchange<'_>,
    worker: &Worker,
    cluster: &ClusterState,
    host: &Host,
    purpose: &Purpose<'_>,
) -> Result<Upstream, ConnectError> {
    let slot = pool::slot(cluster, host, exchange.priority).ok_or(ConnectError::Overflow)?;
    pool::dial(worker, cluster, host, slot, purpose).await
}

/// What a connection for the request is for.
fn purpose<'p>(exchange: &'p Exchange<'_>, cluster: &ClusterState, speaks: Speaks) -> Purpose<'p> {
    let alpn = exchange.http.manager.filters.alpn.as_ref();
    Purpose {
        speaks,
        alpn: alpn.filter(|_| !cluster.cluster.keeps_alpn && speaks != Speaks::Bytes),
        announced: cluster.cluster.proxy_protocol.map(|version| Announced {
            version,
            source: exchange.remote,
            destination: exchange.connection.local,
        }),
    }
}
