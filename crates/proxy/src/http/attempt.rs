//! One attempt: a connection, the request on it, and the head of the answer.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use routing::retry::Reset;
use tokio::time::Instant;

use crate::alarm::{Alarm, earlier};
use crate::buffer::Buffer;
use crate::http::body::RelayError;
use crate::http::channel::{self, Acquire, Channel};
use crate::http::ends::{Departure, Downstream};
use crate::http::exchange::Exchange;
use crate::http::interim;
use crate::http::relay::{Encoding, Relay};
use crate::http::upstream_head::empty_body_line;
use crate::http1::framing::Framing;
use crate::http1::head::Head;
use crate::http1::parse::{self, Limits, Refusal};
use crate::http2::client::{is_unprocessed, reset_of};
use crate::io::poll_fill;
use crate::stream::Reader;
use crate::upstream::ClusterState;
use crate::upstream::connect::ConnectError;
use crate::upstream::host::Host;
use crate::worker::Worker;

/// What an attempt may take.
#[derive(Debug, Clone, Copy, Default)]
pub struct TimeLimits {
    /// The answer as a whole, from the end of the request on.
    pub response: Option<Duration>,
    /// This attempt.
    pub per_try: Option<Duration>,
    /// Until something moves.
    pub idle: Option<Duration>,
    /// The request as a whole.
    pub end: Option<Instant>,
}

/// How an attempt went.
#[derive(Debug)]
pub enum Attempt {
    /// The answer begins.
    Answered(Box<Answer>),
    /// There is none.
    Failed(Failure),
    /// The client has gone.
    Gone(Departure),
    /// The client's body is malformed.
    Malformed(Refusal),
    /// Time is up.
    TimedOut(TimeLimit),
}

/// Which limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeLimit {
    /// The answer's.
    Response,
    /// The silence's.
    Idle,
    /// The whole request's.
    Whole,
}

/// The beginning of an answer.
#[derive(Debug)]
pub struct Answer {
    /// The connection.
    pub channel: Channel,
    /// What was read behind the head.
    pub input: Option<Buffer>,
    /// The head.
    pub head: Head,
    /// What is left of the request.
    pub sending: Sending,
}

/// A request that is being sent.
#[derive(Debug)]
pub struct Sending {
    /// Its bytes.
    pub relay: Relay,
    /// Everything was sent.
    pub done: bool,
    /// It could not be sent; the answer may come all the same.
    pub failed: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub struct Failure {
    /// What to tell the retry policy.
    pub reset: Reset,
    /// An idle connection was used that the peer had given up: nothing says
    /// that the endpoint is not well.
    pub stale: bool,
    /// Why no connection came about.
    pub connect: Option<Rc<ConnectError>>,
    /// What TLS said at the end of one.
    pub tls: Option<Rc<str>>,
}

/// The largest head and the most headers of a response.
const RESPONSE_LIMITS: Limits = Limits { max_head: 60 << 10, max_headers: 100, http_10: true };

/// What ends the wait for an answer.
enum Event {
    Head(Head),
    Closed,
    ProtocolError,
    Reset(h2::Error),
    Gone(Departure),
    Malformed(Refusal),
    TimedOut(TimeLimit),
    PerTryTimeout,
}

/// Makes an attempt with a host.
pub async fn run(
    exchange: &mut Exchange<'_>,
    cluster: &ClusterState,
    host: &Rc<Host>,
    io: &mut Downstream<'_, '_>,
    alarm: &mut Alarm,
    limits: &TimeLimits,
    fresh: bool,
) -> Attempt {
    let began = Instant::now();
    let worker = exchange.connection.worker.clone();
    let deadlines = Deadlines { began, limits: *limits };
    let acquired = channel::acquire(exchange, &worker, cluster, host, io, alarm, &deadlines, fresh).await;
    let (mut channel, reused) = match acquired {
        Ok(found) => found,
        Err(Acquire::Failed(error)) => {
            return Attempt::Failed(Failure {
                reset: Reset::ConnectFailure,
                stale: false,
                connect: Some(error),
                tls: None,
            });
        }
        Err(Acquire::Refused(reset)) => {
            return Attempt::Failed(Failure { reset, stale: false, connect: None, tls: None });
        }
        Err(Acquire::TimedOut(limit)) => return Attempt::TimedOut(limit),
        Err(Acquire::Gone(departure)) => return Attempt::Gone(departure),
    };
    exchange.upstream_local = Some(channel.local());
    exchange.upstream_tls = channel.tls();
    let mut sending = begin(exchange, &worker, &channel);
    let mut input = None;
    let event =
        exchange_heads(exchange, &worker, io, alarm, &mut channel, &mut input, &mut sending, &deadlines)
            .await;
    let is_http1 = matches!(channel, Channel::Http1(_));
    let was_idempotent = is_idempotent(&exchange.request);
    let mut unprocessed = false;
    let mut closed = false;
    let reset = match event {
        Event::Head(head) => {
            return Attempt::Answered(Box::new(Answer { channel, input, head, sending }));
        }
        Event::Closed => {
            closed = true;
            Reset::ConnectionTermination { request_started: sending.relay.has_begun() }
        }
        Event::Reset(error) => {
            unprocessed = is_unprocessed(&error);
            closed = error.is_io();
            reset_of(&error)
        }
        Event::ProtocolError => Reset::ProtocolError,
        Event::PerTryTimeout => Reset::PerTryTimeout,
        Event::Gone(departure) => {
            return dropped(&worker, cluster, input, sending, is_http1, Attempt::Gone(departure));
        }
        Event::Malformed(refusal) => {
            return dropped(&worker, cluster, input, sending, is_http1, Attempt::Malformed(refusal));
        }
        Event::TimedOut(limit) => {
            return dropped(&worker, cluster, input, sending, is_http1, Attempt::TimedOut(limit));
        }
    };
    // No byte of an answer came on a connection that had waited in the pool.
    let stale = reused && closed && input.is_none() && !exchange.informed;
    let unsent = sending.failed;
    let stale = unprocessed || (stale && (unsent || was_idempotent));
    let failure = Failure { reset, stale, connect: None, tls: channel.tls_failure() };
    dropped(&worker, cluster, input, sending, is_http1, Attempt::Failed(failure))
}

/// The connection is closed.
fn dropped(
    worker: &Worker,
    cluster: &ClusterState,
    input: Option<Buffer>,
    sending: Sending,
    is_http1: bool,
    how: Attempt,
) -> Attempt {
    if let Some(buffer) = input {
        worker.buffers.give(buffer);
    }
    worker.buffers.give_output(sending.relay.into_output());
    if is_http1 {
        cluster.stats.closed(1);
    }
    how
}

/// Doing it twice is as good as doing it once (RFC 9110, 9.2.2).
fn is_idempotent(request: &Head) -> bool {
    matches!(request.method(), "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}

/// The request's head, and what an earlier attempt has read of its body.
fn begin(exchange: &Exchange<'_>, worker: &Worker, channel: &Channel) -> Sending {
    let replay = exchange.body.replay().filter(|data| !data.is_empty());
    if let Channel::Http2(_) = channel {
        let encoding = Encoding::Frames { trailers: true };
        let is_all = exchange.body.is_done() && replay.is_none();
        let mut relay = Relay::after_head(encoding, is_all && !exchange.is_tunnel());
        if let Some(data) = replay {
            relay.stage_replay(data);
        }
        return Sending { relay, done: is_all, failed: false };
    }
    let mut out = worker.buffers.take_output();
    if let Channel::Bytes(_) = channel {
        return Sending { relay: Relay::new(out, Encoding::Plain), done: true, failed: false };
    }
    exchange.request.write_request(&mut out);
    out.extend_from_slice(empty_body_line(exchange));
    out.extend_from_slice(b"\r\n");
    let encoding = match exchange.body.framing() {
        Framing::Chunked => Encoding::Chunked { trailers: exchange.http.manager.http1.trailers },
        _ => Encoding::Plain,
    };
    let mut relay = Relay::new(out, encoding);
    if let Some(data) = replay {
        relay.stage_replay(data);
    }
    Sending { relay, done: false, failed: false }
}

/// Points in time at which waiting ends.
#[derive(Debug)]
pub struct Deadlines {
    began: Instant,
    limits: TimeLimits,
}

impl Deadlines {
    /// When the answer must have come.
    pub fn response(&self, request_done: Option<Instant>) -> Option<Instant> {
        let limit = self.limits.response.and_then(|limit| Some(request_done? + limit));
        earlier(limit, self.limits.end)
    }

    fn per_try(&self) -> Option<Instant> {
        self.limits.per_try.map(|limit| self.began + limit)
    }

    /// What ends the wait when nothing else does.
    fn poll(
        &self,
        request_done: Option<Instant>,
        moved: Instant,
        alarm: &mut Alarm,
        context: &mut Context<'_>,
    ) -> Poll<Event> {
        let response = self.limits.response.and_then(|limit| Some(request_done? + limit));
        let idle = self.limits.idle.map(|limit| moved + limit);
        let soonest = [response, self.per_try(), idle, self.limits.end].into_iter().fold(None, earlier);
        alarm.poll(soonest, context).map(|()| {
            if soonest == response {
                Event::TimedOut(TimeLimit::Response)
            } else if soonest == self.limits.end {
                Event::TimedOut(TimeLimit::Whole)
            } else if soonest == idle {
                Event::TimedOut(TimeLimit::Idle)
            } else {
                Event::PerTryTimeout
            }
        })
    }
}

/// Sends the request and waits for the head of the answer, both at once.
#[allow(clippy::too_many_arguments, reason = "each is borrowed apart from the others")]
async fn exchange_heads(
    exchange: &mut Exchange<'_>,
    worker: &Worker,
    io: &mut Downstream<'_, '_>,
    alarm: &mut Alarm,
    channel: &mut Channel,
    input: &mut Option<Buffer>,
    sending: &mut Sending,
    deadlines: &Deadlines,
) -> Event {
    if let Channel::Bytes(_) = channel {
        return Event::Head(worker.response(200));
    }
    if exchange.expects_continue && !exchange.body.is_done() && !io.has_input() {
        exchange.expects_continue = false;
        if interim::go_on(io).await.is_err() {
            return Event::Gone(Departure::Connection);
        }
    }
    let accepts_upgrade = exchange.upgrade.is_some();
    let mut moved = deadlines.began;
    poll_fn(|context| {
        if !sending.done && !sending.failed {
            let before = exchange.body.wire;
            let relay = &mut sending.relay;
            let moved_on = channel.with_sink(|sink| {
                relay.poll(&mut exchange.body, io.source(), sink, &worker.buffers, context)
            });
            match moved_on {
                Poll::Ready(Ok(())) => {
                    sending.done = true;
                    if exchange.request_done.is_none() {
                        exchange.request_done = Some(Instant::now());
                    }
                }
                Poll::Ready(Err(RelayError::Write(_))) => sending.failed = true,
                Poll::Ready(Err(RelayError::Malformed(refusal))) => {
                    return Poll::Ready(Event::Malformed(refusal));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Event::Gone(Departure::of(&error))),
                Poll::Pending => {}
            }
            if deadlines.limits.idle.is_some() && exchange.body.wire > before {
                moved = Instant::now();
            }
        }
        let is_sent = sending.done || sending.failed;
        if is_sent && let Poll::Ready(departure) = io.poll_gone(context) {
            return Poll::Ready(Event::Gone(departure));
        }
        while let Poll::Ready(event) = poll_event(channel, input, worker, accepts_upgrade, context) {
            match event {
                Event::Head(head) if interim::is_interim(&head) => {
                    interim::pass_on(exchange, io, worker, head, context);
                }
                event => return Poll::Ready(event),
            }
        }
        deadlines.poll(exchange.request_done, moved, alarm, context)
    })
    .await
}

fn poll_event(
    channel: &mut Channel,
    input: &mut Option<Buffer>,
    worker: &Worker,
    accepts_upgrade: bool,
    context: &mut Context<'_>,
) -> Poll<Event> {
    match channel {
        Channel::Http1(upstream) => {
            let (mut reader, _) = upstream.stream.split();
            poll_head(&mut reader, input, worker, accepts_upgrade, context)
        }
        Channel::Http2(stream) => stream.poll_answer(worker, context).map(|answer| match answer {
            Ok(head) => Event::Head(head),
            Err(error) => Event::Reset(error),
        }),
        Channel::Bytes(_) => Poll::Pending,
    }
}

/// Reads the head of the answer, or of an interim one.
fn poll_head(
    reader: &mut Reader<'_>,
    input: &mut Option<Buffer>,
    worker: &Worker,
    accepts_upgrade: bool,
    context: &mut Context<'_>,
) -> Poll<Event> {
    loop {
        if let Some(buffer) = input.as_mut().filter(|buffer| !buffer.is_empty()) {
            match parse::response(buffer.filled(), worker.take_fields(), &RESPONSE_LIMITS) {
                Err(_) => return Poll::Ready(Event::ProtocolError),
                Ok(Some((_, parts))) if parts.status == 101 && !accepts_upgrade => {
                    return Poll::Ready(Event::ProtocolError);
                }
                Ok(Some((length, parts))) if parts.status < 200 && parts.status != 101 => {
                    let bytes = buffer.filled()[..length].to_vec();
                    buffer.consume(length);
                    return Poll::Ready(Event::Head(Head::new(bytes, length, parts)));
                }
                Ok(Some((length, parts))) => {
                    let Some(mut buffer) = input.take() else { return Poll::Ready(Event::ProtocolError) };
                    buffer.compact();
                    let (block, used) = buffer.into_block();
                    if used > length {
                        *input = Some(worker.buffers.with_bytes(&block[length..used]));
                    }
                    return Poll::Ready(Event::Head(Head::new(block, length, parts)));
                }
                Ok(None) => {
                    buffer.grow(RESPONSE_LIMITS.max_head);
                }
            }
        }
        match poll_fill(reader, input, &worker.buffers, false, context) {
            Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => {
                if let Some(empty) = input.take_if(|input| input.is_empty()) {
                    worker.buffers.give(empty);
                }
                return Poll::Ready(Event::Closed);
            }
            Poll::Ready(Ok(_)) => {}
            Poll::Pending => return Poll::Pending,
        }
    }
}
