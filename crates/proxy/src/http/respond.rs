//! Bringing the upstream's answer to the client.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use routing::decision::Decision;
use tokio::time::Instant;

use crate::alarm::{Alarm, earlier};
use crate::buffer::{Buffer, Pool};
use crate::flags::Flag;
use crate::http::attempt::{Answer, Sending, TimeLimits};
use crate::http::body::{Body, RelayError};
use crate::http::channel::Channel;
use crate::http::connection::Next;
use crate::http::ends::{Departure, Downstream, Sink, Source};
use crate::http::exchange::Exchange;
use crate::http::local_reply;
use crate::http::relay::{Encoding, Relay};
use crate::http::response_head;
use crate::http1::framing::Framing;
use crate::http1::head::Head;
use crate::http1::known::Known;
use crate::http1::parse;
use crate::upstream::ClusterState;

/// An answer that goes to the client.
#[derive(Debug)]
pub struct Accepted<'a> {
    /// The cluster that it comes from.
    pub cluster: &'a ClusterState,
    /// What it may take.
    pub limits: &'a TimeLimits,
    /// Its beginning.
    pub answer: Answer,
    /// How its body ends.
    pub framing: Framing,
}

/// How the answer's way to the client ended.
enum Event {
    Done,
    Gone(Departure),
    UpstreamBroke(RelayError),
    TimedOut,
}

/// Sends the answer to the client while what is left of the request still
/// goes upstream.
pub async fn respond(
    exchange: &mut Exchange<'_>,
    decision: &Decision<'_>,
    io: &mut Downstream<'_, '_>,
    alarm: &mut Alarm,
    accepted: Accepted<'_>,
) -> Next {
    let Accepted { cluster, limits, answer, framing } = accepted;
    let Answer { mut channel, mut input, mut head, mut sending } = answer;
    let worker = exchange.connection.worker.clone();
    let is_switch = exchange.is_tunnel()
        && (head.status == 101 || exchange.tunnel.is_some())
        && framing == Framing::UntilClose;
    let reusable = !head.is_http_10 && !head.lists(Known::Connection, "close") && !is_switch;
    let close = prepare_head(exchange, decision, &mut head, framing, is_switch, io.is_http2());
    let mut body = Body::new(framing);
    if exchange.grpc_status.is_some() {
        body.count_messages();
    }
    let Some(mut relay) = begin(exchange, io, &mut head, framing, is_switch) else {
        exchange.response = Some(head);
        drop_channel(cluster, &channel);
        exchange.client_left(Departure::Connection);
        return Next::Abort;
    };
    exchange.response = Some(head);
    if is_switch {
        tunnel(exchange, io, &mut channel, &mut input, &mut relay, &mut body).await;
        exchange.sent = body.data;
        drop_channel(cluster, &channel);
        return if io.is_http2() { Next::KeepAlive } else { Next::Abort };
    }
    let event = relay_both(
        exchange,
        io,
        alarm,
        limits,
        &mut channel,
        &mut input,
        &mut sending,
        &mut relay,
        &mut body,
    )
    .await;
    exchange.sent = body.data;
    exchange.response_messages = body.messages();
    exchange.response_trailers = trailers_of(&body);
    if exchange.grpc_status.is_some()
        && let Some(status) = body.trailers.as_deref().and_then(grpc_status)
    {
        exchange.grpc_status = Some(status);
    }
    worker.buffers.give_output(relay.into_output());
    worker.buffers.give_output(sending.relay.into_output());
    let left_over = input.take();
    let clean = left_over.is_none() && sending.done && reusable && matches!(event, Event::Done);
    if let Some(buffer) = left_over {
        worker.buffers.give(buffer);
    }
    keep_or_close(exchange, cluster, channel, clean && framing != Framing::UntilClose);
    match event {
        Event::Done if close => Next::Close,
        Event::Done if !exchange.body.is_done() => Next::Close,
        Event::Done => Next::KeepAlive,
        Event::Gone(departure) => {
            exchange.client_left(departure);
            Next::Abort
        }
        Event::UpstreamBroke(error) => {
            broke(exchange, &error);
            Next::Abort
        }
        Event::TimedOut => {
            exchange.flags.set(Flag::UpstreamTimeout);
            exchange.details = "response_timeout".into();
            Next::Abort
        }
    }
}

/// Trailers, however they came; a body in chunks has been relayed with its own
/// still as bytes.
fn trailers_of(body: &Body) -> Option<Rc<Head>> {
    let in_lines = || match body.trailer_lines() {
        [] => None,
        lines => parse::trailers(lines).ok().flatten().map(Rc::new),
    };
    body.trailers.clone().or_else(in_lines)
}

fn broke(exchange: &mut Exchange<'_>, error: &RelayError) {
    let (flag, reason) = match error {
        RelayError::Read(_) => (Flag::UpstreamConnectionTermination, "connection_termination"),
        RelayError::Reset(error) if error.is_io() => {
            (Flag::UpstreamConnectionTermination, "connection_termination")
        }
        RelayError::Reset(error) if error.is_remote() => (Flag::UpstreamRemoteReset, "remote_reset"),
        RelayError::Reset(_) | RelayError::Ended | RelayError::Malformed(_) | RelayError::Write(_) => {
            (Flag::UpstreamProtocolError, "protocol_error")
        }
    };
    exchange.flags.set(flag);
    exchange.details = format!("upstream_reset_after_response_started{{{reason}}}").into();
}

/// Makes the head what the client shall see. True when the connection ends
/// with the response.
fn prepare_head(
    exchange: &mut Exchange<'_>,
    decision: &Decision<'_>,
    head: &mut Head,
    framing: Framing,
    is_switch: bool,
    is_http2: bool,
) -> bool {
    let upgraded_to =
        (is_switch && head.status == 101).then(|| head.get(Known::Upgrade).unwrap_or_default().to_vec());
    for hop in
        [Known::Connection, Known::Upgrade, Known::KeepAlive, Known::ProxyConnection, Known::TransferEncoding]
    {
        head.remove(hop);
    }
    discover_peer(exchange, head);
    exchange.details = "via_upstream".into();
    let now = Instant::now();
    exchange.first_byte = Some(now);
    if !exchange.http.manager.filters.router.unwrap_or_default().suppress_envoy_headers {
        let since = now.duration_since(exchange.request_done.unwrap_or(exchange.started));
        let mut digits = itoa::Buffer::new();
        let milliseconds = digits.format(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        head.set_known(Known::XEnvoyUpstreamServiceTime, milliseconds.as_bytes());
    }
    if exchange.virtual_host.is_some_and(|host| host.include_attempt_count_in_response) {
        head.set_known(Known::XEnvoyAttemptCount, exchange.attempts.to_string().as_bytes());
    }
    if exchange.grpc_status.is_some() {
        let status = grpc_status(head).unwrap_or_else(|| local_reply::grpc_status(head.status));
        exchange.grpc_status = Some(status);
    }
    response_head::change(exchange, decision, head);
    response_head::finish(exchange, Some(decision), head);
    if is_http2 {
        return false;
    }
    if let Some(protocol) = upgraded_to {
        head.set_known(Known::Connection, b"Upgrade");
        head.set_known(Known::Upgrade, &protocol);
        return true;
    }
    if is_switch {
        return true;
    }
    // An upgrade that was not accepted: what the client sent in the belief
    // that it would be must not be taken for a request.
    let was_refused = exchange.is_tunnel();
    let ends_with_close = framing == Framing::UntilClose && exchange.request.is_http_10;
    let close = exchange.must_close() || was_refused || ends_with_close;
    if close {
        head.set_known(Known::Connection, b"close");
    } else if exchange.request.is_http_10 {
        head.set_known(Known::Connection, b"keep-alive");
    }
    close
}

/// The status of gRPC in a head or in trailers.
fn grpc_status(head: &Head) -> Option<u32> {
    std::str::from_utf8(head.get(Known::GrpcStatus)?).ok()?.parse().ok()
}

/// Sends the head, or puts it where the first data goes, too. `None` when
/// the client has gone.
fn begin(
    exchange: &mut Exchange<'_>,
    io: &mut Downstream<'_, '_>,
    head: &mut Head,
    framing: Framing,
    is_switch: bool,
) -> Option<Relay> {
    match io {
        Downstream::Http1(io) => {
            let encoding = encoding(exchange, head, framing, is_switch);
            let mut out = exchange.connection.worker.buffers.take_output();
            out.append(&mut io.owed);
            head.write_response(&mut out);
            out.extend_from_slice(b"\r\n");
            exchange.response_head_size = out.len() as u64;
            Some(Relay::new(out, encoding))
        }
        Downstream::Http2(stream) => {
            exchange.response_head_size = head.byte_size() as u64;
            let is_all = framing.is_empty();
            stream.outgoing.respond(head, is_all).ok()?;
            Some(Relay::after_head(Encoding::Frames { trailers: true }, is_all))
        }
    }
}

fn discover_peer(exchange: &mut Exchange<'_>, head: &mut Head) {
    let Some(config) = &exchange.http.manager.filters.peer_metadata else { return };
    if !config.discover_upstream {
        return;
    }
    let id = head.get(Known::XEnvoyPeerMetadataId);
    let metadata = head.get(Known::XEnvoyPeerMetadata);
    if let Some(peer) = exchange.connection.worker.identities.told(id, metadata) {
        exchange.peer = peer;
    }
    head.remove(Known::XEnvoyPeerMetadataId);
    head.remove(Known::XEnvoyPeerMetadata);
}

/// The head of an answer to HEAD says how a body would come, as Envoy does:
/// in chunks, when nobody knows its length.
pub fn promise_chunks(exchange: &Exchange<'_>, head: &mut Head) {
    let has_no_body = head.status < 200 || matches!(head.status, 204 | 304);
    let is_known = head.has(Known::ContentLength) || has_no_body;
    if exchange.is_head_request() && !is_known && !exchange.request.is_http_10 {
        head.set_known(Known::TransferEncoding, b"chunked");
    }
}

/// How the body is written; old clients know no chunks.
fn encoding(exchange: &Exchange<'_>, head: &mut Head, framing: Framing, is_switch: bool) -> Encoding {
    match framing {
        Framing::Chunked | Framing::UntilClose if !exchange.request.is_http_10 && !is_switch => {
            head.set_known(Known::TransferEncoding, b"chunked");
            Encoding::Chunked { trailers: exchange.http.manager.http1.trailers }
        }
        _ => {
            promise_chunks(exchange, head);
            // A stream may end with its head, which says nothing here.
            let never_has_body = head.status < 200 || matches!(head.status, 204 | 304);
            let ends_unsaid = framing == Framing::None && !head.has(Known::ContentLength);
            if ends_unsaid && !never_has_body && !exchange.is_head_request() && !is_switch {
                head.set_known(Known::ContentLength, b"0");
            }
            Encoding::Plain
        }
    }
}

#[allow(clippy::too_many_arguments, reason = "each is borrowed apart from the others")]
async fn relay_both(
    exchange: &mut Exchange<'_>,
    io: &mut Downstream<'_, '_>,
    alarm: &mut Alarm,
    limits: &TimeLimits,
    channel: &mut Channel,
    input: &mut Option<Buffer>,
    sending: &mut Sending,
    relay: &mut Relay,
    body: &mut Body,
) -> Event {
    let worker = exchange.connection.worker.clone();
    let mut moved = exchange.first_byte.unwrap_or(exchange.started);
    poll_fn(|context| {
        let before = (exchange.body.wire, body.wire);
        let sent = channel
            .with_source(input, |source| relay.poll(body, source, io.sink(), &worker.buffers, context));
        match sent {
            Poll::Ready(Ok(())) => return Poll::Ready(Event::Done),
            Poll::Ready(Err(RelayError::Write(_))) => {
                return Poll::Ready(Event::Gone(match io.poll_gone(context) {
                    Poll::Ready(departure) => departure,
                    Poll::Pending => Departure::Connection,
                }));
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Event::UpstreamBroke(error)),
            Poll::Pending => {}
        }
        if !sending.done && !sending.failed {
            let relay = &mut sending.relay;
            let sent = channel.with_sink(|sink| {
                relay.poll(&mut exchange.body, io.source(), sink, &worker.buffers, context)
            });
            match sent {
                Poll::Ready(Ok(())) => sending.done = true,
                Poll::Ready(Err(RelayError::Write(_) | RelayError::Malformed(_))) => sending.failed = true,
                Poll::Ready(Err(error)) => return Poll::Ready(Event::Gone(Departure::of(&error))),
                Poll::Pending => {}
            }
        } else if let Poll::Ready(departure) = io.poll_gone(context) {
            return Poll::Ready(Event::Gone(departure));
        }
        if limits.idle.is_some() && before != (exchange.body.wire, body.wire) {
            moved = Instant::now();
        }
        let response = limits.response.and_then(|limit| Some(exchange.request_done? + limit));
        let idle = limits.idle.map(|limit| moved + limit);
        alarm
            .poll([response, idle, limits.end].into_iter().fold(None, earlier), context)
            .map(|()| Event::TimedOut)
    })
    .await
}

/// The connection goes back to the pool, or is closed.
fn keep_or_close(exchange: &Exchange<'_>, cluster: &ClusterState, channel: Channel, clean: bool) {
    // A stream that has not ended is reset when it is dropped.
    let Channel::Http1(mut upstream) = channel else { return drop_channel(cluster, &channel) };
    upstream.served += 1;
    let is_worn = cluster.is_worn(&upstream);
    let kept = clean
        && !is_worn
        && cluster.cluster.proxy_protocol.is_none()
        && exchange
            .host
            .as_ref()
            .is_some_and(|host| host.keep(upstream, exchange.first_byte.unwrap_or(exchange.started)));
    if !kept {
        cluster.stats.closed(1);
    }
}

/// A connection that carried this request alone is closed with it.
fn drop_channel(cluster: &ClusterState, channel: &Channel) {
    if !matches!(channel, Channel::Http2(_)) {
        cluster.stats.closed(1);
    }
}

/// Bytes in both directions until both sides are done.
async fn tunnel(
    exchange: &mut Exchange<'_>,
    io: &mut Downstream<'_, '_>,
    channel: &mut Channel,
    input: &mut Option<Buffer>,
    down: &mut Relay,
    down_body: &mut Body,
) {
    let worker = exchange.connection.worker.clone();
    let pool = &worker.buffers;
    let frames = Encoding::Frames { trailers: false };
    let mut up = match channel {
        Channel::Http1(_) | Channel::Bytes(_) => Relay::new(pool.take_output(), Encoding::Plain),
        Channel::Http2(_) => Relay::after_head(frames, false),
    };
    let mut up_body = Body::new(Framing::UntilClose);
    let mut down_done = false;
    let mut up_done = false;
    poll_fn(|context| {
        if !down_done {
            down_done = channel
                .with_source(input, |source| one_way(down, down_body, source, io.sink(), pool, context))?;
        }
        if !up_done {
            let (relay, body) = (&mut up, &mut up_body);
            up_done = channel.with_sink(|sink| one_way(relay, body, io.source(), sink, pool, context))?;
        }
        if down_done && up_done { Poll::Ready(Ok::<(), RelayError>(())) } else { Poll::Pending }
    })
    .await
    // Either side may simply go: that is how tunnels end.
    .ok();
    exchange.body = up_body;
    pool.give_output(up.into_output());
}

/// True when one direction has ended and the other side was told.
fn one_way(
    relay: &mut Relay,
    body: &mut Body,
    source: Source<'_, '_>,
    mut sink: Sink<'_, '_>,
    pool: &Pool,
    context: &mut Context<'_>,
) -> Result<bool, RelayError> {
    let ended = || {
        ready!(relay.poll(body, source, sink.lend(), pool, context))?;
        sink.poll_shutdown(context).map_err(RelayError::Write)
    };
    match ended() {
        Poll::Ready(Ok(())) => Ok(true),
        Poll::Ready(Err(error)) => Err(error),
        Poll::Pending => Ok(false),
    }
}
