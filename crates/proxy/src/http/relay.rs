//! Moving a body from one connection to another.
//!
//! One loop for both directions: it writes what is staged, stages what was
//! read, and reads only when nothing is left to write, so the slower side
//! sets the pace.

use std::io;
use std::task::{Context, Poll, ready};

use tokio::net::tcp::{ReadHalf, WriteHalf};

use crate::buffer::{Buffer, NORMAL, Pool};
use crate::http1::chunk::{ChunkReader, LAST_CHUNK, Step, write_chunk};
use crate::http1::framing::Framing;
use crate::http1::parse::Refusal;
use crate::io::{poll_fill, poll_write_from};

/// A body that is being read.
#[derive(Debug)]
pub struct Body {
    framing: Framing,
    left: u64,
    chunks: ChunkReader,
    done: bool,
    /// How many bytes of data came.
    pub data: u64,
    /// How many bytes came, syntax included.
    pub wire: u64,
    kept: Kept,
}

/// The data so far, for another attempt.
#[derive(Debug)]
enum Kept {
    /// Nobody asked.
    No,
    /// All of it.
    All { data: Vec<u8>, limit: usize },
    /// It was too much.
    TooMuch,
}

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
}

/// Why a body does not arrive.
#[derive(Debug)]
pub enum RelayError {
    /// The source failed.
    Read(io::Error),
    /// The source ended too early.
    Ended,
    /// The source is malformed.
    Malformed(Refusal),
    /// The target failed.
    Write(io::Error),
}

/// Where a body comes from.
#[derive(Debug)]
pub struct Source<'s, 'h> {
    /// The connection.
    pub reader: &'s mut ReadHalf<'h>,
    /// What was read already.
    pub input: &'s mut Option<Buffer>,
}

impl Body {
    /// A body with this framing, nothing of it read.
    pub fn new(framing: Framing) -> Body {
        Body {
            left: match framing {
                Framing::Length(length) => length,
                _ => 0,
            },
            done: framing.is_empty(),
            framing,
            chunks: ChunkReader::default(),
            data: 0,
            wire: 0,
            kept: Kept::No,
        }
    }

    /// Whether it was read to its end.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// How it ends.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// From now on data is kept for another attempt, up to a limit.
    pub fn keep(&mut self, limit: usize) {
        if !self.framing.is_empty() {
            self.kept = Kept::All { data: Vec::new(), limit };
        }
    }

    /// The data so far, if another attempt can send it; `None`: too much
    /// was read to be kept.
    pub fn replay(&self) -> Option<&[u8]> {
        match &self.kept {
            Kept::All { data, .. } => Some(data),
            Kept::No if self.data == 0 => Some(&[]),
            Kept::No | Kept::TooMuch => None,
        }
    }

    fn remember(&mut self, bytes: &[u8]) {
        if let Kept::All { data, limit } = &mut self.kept {
            if data.len() + bytes.len() > *limit {
                self.kept = Kept::TooMuch;
            } else {
                data.extend_from_slice(bytes);
            }
        }
    }

    fn is_large(&self) -> bool {
        match self.framing {
            Framing::Length(length) => length > NORMAL as u64,
            _ => self.data > 4 * NORMAL as u64,
        }
    }

    /// The source has ended. Only a body that lasts as long as its
    /// connection may end so.
    fn end_of_source(&mut self) -> Result<(), RelayError> {
        match self.framing {
            Framing::UntilClose => {
                self.done = true;
                Ok(())
            }
            _ => Err(RelayError::Ended),
        }
    }

    /// How many bytes of data stand at the front of the input, syntax before
    /// them consumed; `None`: more has to be read, or the body is done.
    fn next(&mut self, input: &mut Buffer) -> Result<Option<usize>, RelayError> {
        let length = match self.framing {
            Framing::None => 0,
            Framing::Length(_) => {
                usize::try_from(self.left).map_or(input.len(), |left| left.min(input.len()))
            }
            Framing::UntilClose => input.len(),
            Framing::Chunked => return self.next_chunk(input),
        };
        if matches!(self.framing, Framing::Length(_)) {
            self.left -= length as u64;
            self.done = self.left == 0;
        }
        self.count(&input.filled()[..length]);
        Ok((length > 0).then_some(length))
    }

    fn next_chunk(&mut self, input: &mut Buffer) -> Result<Option<usize>, RelayError> {
        let (skip, data) = match self.chunks.step(input.filled()).map_err(RelayError::Malformed)? {
            Step::More { skip } => (skip, None),
            Step::Data { skip, length } => (skip, Some(length)),
            Step::End { skip } => {
                self.done = true;
                (skip, None)
            }
        };
        self.wire += skip as u64;
        input.consume(skip);
        if let Some(length) = data {
            self.count(&input.filled()[..length]);
        }
        Ok(data)
    }

    fn count(&mut self, data: &[u8]) {
        self.data += data.len() as u64;
        self.wire += data.len() as u64;
        if !matches!(self.kept, Kept::No) {
            self.remember(data);
        }
    }
}

impl Relay {
    /// Begins with a head, which is written together with the first data.
    pub fn new(head: Vec<u8>, encoding: Encoding) -> Relay {
        Relay { encoding, out: head, written: 0, direct: 0, ended: false, begun: false }
    }

    /// Stages data that an earlier attempt has read already.
    pub fn stage_replay(&mut self, data: &[u8]) {
        match self.encoding {
            Encoding::Plain => self.out.extend_from_slice(data),
            Encoding::Chunked { .. } => write_chunk(data, &mut self.out),
        }
    }

    /// Whether everything was written.
    pub fn is_finished(&self) -> bool {
        self.ended && self.written == self.out.len() && self.direct == 0
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
        source: &mut Source<'_, '_>,
        writer: &mut WriteHalf<'_>,
        pool: &Pool,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), RelayError>> {
        loop {
            self.stage(body, source.input)?;
            ready!(self.poll_flush(source.input, writer, context)).map_err(RelayError::Write)?;
            if let Some(empty) = source.input.take_if(|input| input.is_empty()) {
                pool.give(empty);
            }
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            if body.done {
                continue;
            }
            let filled = poll_fill(source.reader, source.input, pool, body.is_large(), context);
            if ready!(filled).map_err(RelayError::Read)? == 0 {
                body.end_of_source()?;
            }
        }
    }

    /// Moves what was read to what is written.
    fn stage(&mut self, body: &mut Body, input: &mut Option<Buffer>) -> Result<(), RelayError> {
        while self.direct == 0 && !body.done && self.out.len() < 2 * NORMAL {
            let Some(buffer) = input.as_mut().filter(|buffer| !buffer.is_empty()) else { break };
            let Some(length) = body.next(buffer)? else { continue };
            match self.encoding {
                Encoding::Plain if self.out.is_empty() => self.direct = length,
                Encoding::Plain => {
                    self.out.extend_from_slice(&buffer.filled()[..length]);
                    buffer.consume(length);
                }
                Encoding::Chunked { .. } => {
                    write_chunk(&buffer.filled()[..length], &mut self.out);
                    buffer.consume(length);
                }
            }
        }
        if body.done && !self.ended && self.direct == 0 {
            self.ended = true;
            if let Encoding::Chunked { trailers } = self.encoding {
                match body.chunks.trailer_lines() {
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
        writer: &mut WriteHalf<'_>,
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
