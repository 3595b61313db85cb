//! The two ends of a message's way, whichever version of HTTP they speak:
//! where bytes come from, where they go, and the client's side of a request.

use std::io;
use std::task::{Context, Poll, ready};

use crate::buffer::{Buffer, Pool};
use crate::http::body::{Body, Piece, RelayError};
use crate::http::connection::Io;
use crate::http1::parse;
use crate::http2::server;
use crate::http2::stream::{Incoming, Outgoing};
use crate::io::{poll_fill, poll_gone};
use crate::stream::{Reader, Writer};

/// Where a body comes from.
#[derive(Debug)]
pub enum Source<'s, 'h> {
    /// A connection of HTTP/1, or one that carries bytes as they are.
    Http1 {
        /// The connection.
        reader: &'s mut Reader<'h>,
        /// What was read already.
        input: &'s mut Option<Buffer>,
    },
    /// A stream of HTTP/2.
    Http2(&'s mut Incoming),
}

/// Where a body goes.
#[derive(Debug)]
pub enum Sink<'s, 'h> {
    /// A connection of HTTP/1, or one that carries bytes as they are.
    Http1(&'s mut Writer<'h>),
    /// A stream of HTTP/2.
    Http2(&'s mut Outgoing),
}

/// The client's side of one request.
#[derive(Debug)]
pub enum Downstream<'d, 'h> {
    /// The connection, which carries this request alone.
    Http1(&'d mut Io<'h>),
    /// A stream among others.
    Http2(&'d mut server::Stream),
}

/// How a client went away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// The connection ended.
    Connection,
    /// The client reset the stream.
    Stream,
    /// The client refused the stream.
    Refused,
}

impl Source<'_, '_> {
    /// The next piece of the body.
    pub fn poll_piece(
        &mut self,
        body: &mut Body,
        pool: &Pool,
        context: &mut Context<'_>,
    ) -> Poll<Result<Piece, RelayError>> {
        match self {
            Source::Http1 { reader, input } => poll_bytes(reader, input, body, pool, context),
            Source::Http2(incoming) => incoming.poll_piece(body, context),
        }
    }

    /// So many bytes are where they should go: more may come.
    pub fn took(&mut self, count: usize) {
        match self {
            Source::Http1 { .. } => {}
            Source::Http2(incoming) => incoming.took(count),
        }
    }
}

fn poll_bytes(
    reader: &mut Reader<'_>,
    input: &mut Option<Buffer>,
    body: &mut Body,
    pool: &Pool,
    context: &mut Context<'_>,
) -> Poll<Result<Piece, RelayError>> {
    loop {
        if let Some(buffer) = input.as_mut().filter(|input| !body.is_done() && !input.is_empty())
            && let Some(length) = body.next(buffer)?
        {
            let data = bytes::Bytes::copy_from_slice(&buffer.filled()[..length]);
            buffer.consume(length);
            if let Some(empty) = input.take_if(|input| input.is_empty()) {
                pool.give(empty);
            }
            return Poll::Ready(Ok(Piece::Data(data)));
        }
        if let Some(empty) = input.take_if(|input| input.is_empty()) {
            pool.give(empty);
        }
        if body.is_done() {
            let trailers = parse::trailers(body.trailer_lines()).map_err(RelayError::Malformed)?;
            return Poll::Ready(Ok(trailers.map_or(Piece::End, Piece::Trailers)));
        }
        let filled = poll_fill(reader, input, pool, body.is_large(), context);
        if ready!(filled).map_err(RelayError::Read)? == 0 {
            body.end_of_source()?;
        }
    }
}

impl<'h> Sink<'_, 'h> {
    /// The same for a shorter time.
    pub fn lend(&mut self) -> Sink<'_, 'h> {
        match self {
            Sink::Http1(writer) => Sink::Http1(writer),
            Sink::Http2(outgoing) => Sink::Http2(outgoing),
        }
    }

    /// Says that nothing more will come, where the body's own end does not
    /// say it.
    pub fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Sink::Http1(writer) => writer.poll_shutdown(context),
            Sink::Http2(_) => Poll::Ready(Ok(())),
        }
    }
}

impl<'h> Downstream<'_, 'h> {
    /// Whether the client speaks HTTP/2.
    pub fn is_http2(&self) -> bool {
        matches!(self, Downstream::Http2(_))
    }

    /// Where its body comes from.
    pub fn source(&mut self) -> Source<'_, 'h> {
        match self {
            Downstream::Http1(io) => Source::Http1 { reader: &mut io.reader, input: &mut io.input },
            Downstream::Http2(stream) => Source::Http2(&mut stream.incoming),
        }
    }

    /// Where its response goes.
    pub fn sink(&mut self) -> Sink<'_, 'h> {
        match self {
            Downstream::Http1(io) => Sink::Http1(&mut io.writer),
            Downstream::Http2(stream) => Sink::Http2(&mut stream.outgoing),
        }
    }

    /// Ready when the client has gone.
    pub fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<Departure> {
        match self {
            Downstream::Http1(io) if io.input.is_none() => {
                poll_gone(&io.reader, context).map(|()| Departure::Connection)
            }
            Downstream::Http1(_) => Poll::Pending,
            Downstream::Http2(stream) => stream.outgoing.poll_gone(context),
        }
    }

    /// Whether bytes of the request's body have come already.
    pub fn has_input(&self) -> bool {
        match self {
            Downstream::Http1(io) => io.input.is_some(),
            Downstream::Http2(_) => false,
        }
    }
}

impl Departure {
    /// By the reason of a reset.
    pub fn by(reason: Option<h2::Reason>) -> Departure {
        match reason {
            Some(h2::Reason::REFUSED_STREAM) => Departure::Refused,
            _ => Departure::Stream,
        }
    }

    /// What reading the client's body says about it.
    pub fn of(error: &RelayError) -> Departure {
        match error {
            RelayError::Reset(error) if error.is_reset() => Departure::by(error.reason()),
            _ => Departure::Connection,
        }
    }
}
