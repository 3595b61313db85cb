//! Answers that the proxy gives itself.

use std::borrow::Cow;
use std::future::poll_fn;
use std::task::Poll;
use std::time::SystemTime;

use bytes::Bytes;
use routing::decision::Decision;
use tokio::time::Instant;

use crate::flags::Flag;
use crate::http::body::Piece;
use crate::http::connection::{Connection, Io, Next};
use crate::http::ends::{Departure, Downstream};
use crate::http::exchange::Exchange;
use crate::http::respond::promise_chunks;
use crate::http::{record, response_head};
use crate::http1::head::{Head, reason};
use crate::http1::known::Known;
use crate::http1::parse::Refusal;
use crate::http2::stream::{Incoming, Outgoing};
use crate::io::write_all;

/// An answer of our own.
#[derive(Debug, Clone)]
pub struct LocalReply {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
    /// Why it is given.
    pub details: Cow<'static, str>,
    /// The status of gRPC, where it is not the one that belongs to `status`.
    pub grpc_status: Option<u32>,
    headers: Vec<(&'static str, String)>,
}

impl LocalReply {
    /// Without a body.
    pub fn new(status: u16, details: impl Into<Cow<'static, str>>) -> LocalReply {
        LocalReply {
            status,
            body: Bytes::new(),
            details: details.into(),
            grpc_status: None,
            headers: Vec::new(),
        }
    }

    /// With a body.
    pub fn with_body(mut self, body: impl Into<Bytes>) -> LocalReply {
        self.body = body.into();
        self
    }

    /// With a header.
    pub fn with(mut self, name: &'static str, value: &str) -> LocalReply {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// Sends an answer of our own. The decision's header changes apply to it.
pub async fn send(
    exchange: &mut Exchange<'_>,
    io: &mut Downstream<'_, '_>,
    decision: Option<&Decision<'_>>,
    reply: LocalReply,
) -> Next {
    let worker = exchange.connection.worker.clone();
    let mut head = worker.response(reply.status);
    for (name, value) in &reply.headers {
        head.add(name.as_bytes(), value.as_bytes());
    }
    let status = exchange.grpc_status.map(|_| reply.grpc_status.unwrap_or_else(|| grpc_status(reply.status)));
    if status.is_some() {
        head.status = 200;
        exchange.grpc_status = status;
    }
    exchange.details = reply.details;
    exchange.answered_here = true;
    // Envoy takes every 400 of its own for a client that cannot be understood.
    exchange.keep_alive &= reply.status != 400;
    if let Some(decision) = decision {
        response_head::change(exchange, decision, &mut head);
    }
    let mut body = reply.body;
    match status {
        None => describe_body(&mut head, &body),
        Some(status) => {
            let words = std::mem::take(&mut body);
            describe_status(&mut head, status, if exchange.is_head_request() { b"" } else { &words });
        }
    }
    if body.is_empty() && !io.is_http2() && !matches!(head.status, 204 | 304) {
        head.set_known(Known::ContentLength, b"0");
    }
    response_head::finish(exchange, decision, &mut head);
    crate::http::reason::tell(exchange, &mut head);
    if let Downstream::Http2(stream) = io {
        if has_waited(exchange) {
            count_arrived(exchange, &mut stream.incoming).await;
        }
        return send_frames(exchange, &mut stream.outgoing, head, body).await;
    }
    let Downstream::Http1(io) = io else { return Next::Abort };
    pass_over_body(exchange, io);
    if exchange.is_head_request() && body.is_empty() {
        head.remove(Known::ContentLength);
        promise_chunks(exchange, &mut head);
    }
    let close = exchange.must_close();
    if close {
        head.set_known(Known::Connection, b"close");
    }
    let mut out = worker.buffers.take_output();
    out.append(&mut io.owed);
    head.write_response(&mut out);
    out.extend_from_slice(b"\r\n");
    exchange.response_head_size = out.len() as u64;
    if !exchange.is_head_request() {
        out.extend_from_slice(&body);
        exchange.sent = body.len() as u64;
    }
    exchange.status = head.status;
    exchange.response = Some(head);
    let written = write_all(&mut io.writer, &out).await;
    worker.buffers.give_output(out);
    match written {
        Ok(()) if close => Next::Close,
        Ok(()) => Next::KeepAlive,
        Err(_) => {
            exchange.flags.set(Flag::DownstreamConnectionTermination);
            Next::Abort
        }
    }
}

/// What an answer says about its body, whatever routes say about those of
/// servers.
fn describe_body(head: &mut Head, body: &[u8]) {
    if body.is_empty() {
        head.remove(Known::ContentLength);
        head.remove(Known::ContentType);
        return;
    }
    head.set_known(Known::ContentLength, body.len().to_string().as_bytes());
    if !head.has(Known::ContentType) {
        head.set_known(Known::ContentType, b"text/plain");
    }
}

/// An answer to gRPC is a head alone, which tells the status and the words.
fn describe_status(head: &mut Head, status: u32, words: &[u8]) {
    head.remove(Known::ContentLength);
    head.set_known(Known::ContentType, b"application/grpc");
    if !head.has(Known::GrpcStatus) {
        head.set_known(Known::GrpcStatus, status.to_string().as_bytes());
    }
    if !words.is_empty() {
        head.set(b"grpc-message", &percent_encoded(words));
    }
}

/// Something took time before this answer.
const WAITED: [Flag; 6] = [
    Flag::UpstreamConnectionFailure,
    Flag::UpstreamConnectionTermination,
    Flag::UpstreamProtocolError,
    Flag::UpstreamRemoteReset,
    Flag::UpstreamTimeout,
    Flag::DelayInjected,
];

fn has_waited(exchange: &Exchange<'_>) -> bool {
    WAITED.iter().any(|flag| exchange.flags.has(*flag))
}

/// A body that came while something else was waited for is passed over, so
/// that the connection can be kept. One that is still to come ends it, and an
/// answer that is given at once does not look at the body, as in Envoy.
fn pass_over_body(exchange: &mut Exchange<'_>, io: &mut Io<'_>) {
    if !has_waited(exchange) {
        return;
    }
    while !exchange.body.is_done()
        && let Some(input) = io.input.as_mut().filter(|input| !input.is_empty())
    {
        match exchange.body.next(input) {
            Ok(Some(length)) => input.consume(length),
            Ok(None) if exchange.body.is_done() => {}
            Ok(None) | Err(_) => break,
        }
    }
    if exchange.body.is_done() && exchange.request_done.is_none() {
        exchange.request_done = Some(Instant::now());
    }
    if let Some(empty) = io.input.take_if(|input| input.is_empty()) {
        exchange.connection.worker.buffers.give(empty);
    }
}

/// The same on a stream, which ends with its answer anyway: what came is
/// counted.
async fn count_arrived(exchange: &mut Exchange<'_>, incoming: &mut Incoming) {
    poll_fn(|context| {
        while !exchange.body.is_done()
            && let Poll::Ready(Ok(Piece::Data(_))) = incoming.poll_piece(&mut exchange.body, context)
        {
        }
        Poll::Ready(())
    })
    .await;
    if exchange.body.is_done() && exchange.request_done.is_none() {
        exchange.request_done = Some(Instant::now());
    }
}

async fn send_frames(
    exchange: &mut Exchange<'_>,
    outgoing: &mut Outgoing,
    head: Head,
    mut body: Bytes,
) -> Next {
    if exchange.is_head_request() {
        body = Bytes::new();
    }
    exchange.response_head_size = head.byte_size() as u64;
    exchange.sent = body.len() as u64;
    exchange.status = head.status;
    let sent = outgoing.respond(&head, body.is_empty());
    exchange.response = Some(head);
    let sent = match sent {
        Ok(()) => poll_fn(|context| outgoing.poll_data(&mut body, true, context)).await,
        failed => failed,
    };
    if sent.is_ok() {
        return Next::KeepAlive;
    }
    let departure = poll_fn(|context| Poll::Ready(outgoing.poll_gone(context))).await;
    exchange.client_left(match departure {
        Poll::Ready(departure) => departure,
        Poll::Pending => Departure::Connection,
    });
    Next::Abort
}

/// Refuses what is no request; nothing that follows on the connection can be
/// trusted.
pub async fn refuse(connection: &Connection, io: &mut Io<'_>, refusal: Refusal) -> Next {
    let words = reason(refusal.status);
    let body = match refusal.details {
        "missing_host_header" => "",
        _ => words,
    };
    let worker = &connection.worker;
    let mut head = worker.response(refusal.status);
    head.set_known(Known::ContentLength, body.len().to_string().as_bytes());
    if !body.is_empty() {
        head.add(b"content-type", b"text/plain");
    }
    if let Some(http) = connection.http() {
        worker.with_date(SystemTime::now(), |date| head.set_known(Known::Date, date.as_bytes()));
        head.set_known(Known::Server, http.manager.server_name.as_bytes());
    }
    head.set_known(Known::Connection, b"close");
    let mut out = worker.buffers.take_output();
    head.write_response(&mut out);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body.as_bytes());
    record::refused(connection, refusal, Some(head), body.len() as u64);
    // Whether the client reads it or not, the connection ends.
    let _ = write_all(&mut io.writer, &out).await;
    worker.buffers.give_output(out);
    Next::Close
}

/// The gRPC status that an HTTP status stands for.
pub fn grpc_status(status: u16) -> u32 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

/// gRPC's messages carry what is not plain ASCII percent-encoded.
fn percent_encoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b' '..=b'$' | b'&'..=b'~' => out.push(*byte),
            other => out.extend_from_slice(format!("%{other:02X}").as_bytes()),
        }
    }
    out
}
