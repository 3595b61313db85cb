//! Moving a body from one connection to another.
//!
//! One loop for both directions: it writes what is staged, stages what was
//! read, and reads only when nothing is left to write, so the slower side
//! sets the pace. Between two connections of HTTP/1 bytes go from the
//! buffer they were read into straight to the other socket; every other
//! combination pulls pieces (`pulled`).

mod pulled;

use std::io;
use std::task::{Context, Poll, ready};

use crate::buffer::{Buffer, NORMAL, Pool};
use crate::http::body::{Body, RelayError};
use crate::http::ends::{Sink, Source};
use crate::http1::chunk::{LAST_CHUNK, write_chunk};
use crate::io::{poll_fill, poll_write_from};
use crate::stream::{Reader, Writer};
use pulled::Pulled;

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As it is: a length was announced, or the connection ends it.
    Plain,
    /// In chunks; trailers are passed on or dropped.
    Chunked {
        /// Pass them on.
        trailers: bool,
    },
    /// In frames of HTTP/2; trailers are passed on or dropped.
    Frames {
        /// Pass them on.
        trailers: bool,
    },
}

/// What goes out.
#[derive(Debug)]
pub struct Relay {
    encoding: Encoding,
    /// What is written next: a head, chunks, small data.
    out: Vec<u8>,
    written: usize,
    /// So many bytes at the front of the input are written as they are.
    direct: usize,
    ended: bool,
    begun: bool,
    pulled: Pulled,
}

impl Relay {
    /// Begins with a head, which is written together with the first data.
    pub fn new(head: Vec<u8>, encoding: Encoding) -> Relay {
        Relay {
            encoding,
            out: head,
            written: 0,
            direct: 0,
            ended: false,
            begun: false,
            pulled: Pulled::default(),
        }
    }

    /// The head has gone in a frame of its own; with a body that is empty
    /// everything has.
    pub fn after_head(encoding: Encoding, body_is_empty: bool) -> Relay {
        Relay { ended: body_is_empty, begun: true, ..Relay::new(Vec::new(), encoding) }
    }

    /// Stages data that an earlier attempt has read already.
    pub fn stage_replay(&mut self, data: &[u8]) {
        match self.encoding {
            Encoding::Plain => self.out.extend_from_slice(data),
            Encoding::Chunked { .. } => write_chunk(data, &mut self.out),
            Encoding::Frames { .. } => self.pulled.stage(data),
        }
    }

    /// Whether everything was written.
    pub fn is_finished(&self) -> bool {
        self.ended && self.written == self.out.len() && self.direct == 0 && self.pulled.is_empty()
    }

    /// Whether anything was written.
    pub fn has_begun(&self) -> bool {
        self.begun || self.written > 0
    }

    /// Gives the output's memory back.
    pub fn into_output(self) -> Vec<u8> {
        self.out
    }

    /// Moves as much as possible; ready when the body has been written to
    /// its end.
    pub fn poll(
        &mut self,
        body: &mut Body,
        mut source: Source<'_, '_>,
        mut sink: Sink<'_, '_>,
        pool: &Pool,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), RelayError>> {
        match (&mut source, &mut sink) {
            (Source::Http1 { reader, input }, Sink::Http1(writer)) => {
                self.poll_direct(body, reader, input, writer, pool, context)
            }
            _ => self.poll_pulled(body, &mut source, &mut sink, pool, context),
        }
    }

    /// The same between two connections of HTTP/1, or two that carry bytes
    /// as they are.
    pub fn poll_direct(
        &mut self,
        body: &mut Body,
        reader: &mut Reader<'_>,
        input: &mut Option<Buffer>,
        writer: &mut Writer<'_>,
        pool: &Pool,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), RelayError>> {
        loop {
            self.stage(body, input)?;
            ready!(self.poll_flush(input, writer, context)).map_err(RelayError::Write)?;
            if let Some(empty) = input.take_if(|input| input.is_empty()) {
                pool.give(empty);
            }
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            if body.is_done() {
                continue;
            }
            let filled = poll_fill(reader, input, pool, body.is_large(), context);
            if ready!(filled).map_err(RelayError::Read)? == 0 {
                body.end_of_source()?;
            }
        }
    }

    /// Moves what was read to what is written.
    fn stage(&mut self, body: &mut Body, input: &mut Option<Buffer>) -> Result<(), RelayError> {
        while self.direct == 0 && !body.is_done() && self.out.len() < 2 * NORMAL {
            let Some(buffer) = input.as_mut().filter(|buffer| !buffer.is_empty()) else { break };
            let Some(length) = body.next(buffer)? else { continue };
            match self.encoding {
                Encoding::Plain if self.out.is_empty() => self.direct = length,
                Encoding::Plain => {
                    self.out.extend_from_slice(&buffer.filled()[..length]);
                    buffer.consume(length);
                }
                // Frames go through `poll_pulled`.
                Encoding::Chunked { .. } | Encoding::Frames { .. } => {
                    write_chunk(&buffer.filled()[..length], &mut self.out);
                    buffer.consume(length);
                }
            }
        }
        if body.is_done() && !self.ended && self.direct == 0 {
            self.ended = true;
            if let Encoding::Chunked { trailers } = self.encoding {
                match body.trailer_lines() {
                    lines if trailers && !lines.is_empty() => {
                        self.out.extend_from_slice(b"0\r\n");
                        self.out.extend_from_slice(lines);
                        self.out.extend_from_slice(b"\r\n");
                    }
                    _ => self.out.extend_from_slice(LAST_CHUNK),
                }
            }
        }
        Ok(())
    }

    fn poll_flush(
        &mut self,
        input: &mut Option<Buffer>,
        writer: &mut Writer<'_>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(poll_write_from(writer, &self.out, &mut self.written, context))?;
        self.begun |= self.written > 0;
        self.out.clear();
        self.written = 0;
        while self.direct > 0 {
            let Some(buffer) = input.as_mut() else { break };
            let mut written = 0;
            let polled = poll_write_from(writer, &buffer.filled()[..self.direct], &mut written, context);
            buffer.consume(written);
            self.direct -= written;
            ready!(polled)?;
        }
        Poll::Ready(Ok(()))
    }
}
