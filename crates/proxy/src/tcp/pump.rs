//! One direction of a connection.
//!
//! It begins by copying through a buffer, for most connections are short.
//! After 64 KB it opens a pipe and lets the kernel move the bytes
//! (splice), which touches them no more.

use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use crate::buffer::{Buffer, Pool};
use crate::http::body::{Body, RelayError};
use crate::http::relay::{Encoding, Relay};
use crate::http1::framing::Framing;
use crate::stream::{Reader, Writer};

/// After so many bytes the kernel takes over.
const SPLICE_AFTER: u64 = 64 << 10;
/// The size of a pipe; what an ordinary user may have at most.
const PIPE: usize = 1 << 20;

/// One direction.
#[derive(Debug)]
pub(super) struct Pump {
    relay: Relay,
    body: Body,
    input: Option<Buffer>,
    spliced: Option<Spliced>,
    /// No pipe can be had.
    no_pipe: bool,
    ended: bool,
    done: bool,
}

/// A pipe and what is in it.
#[derive(Debug)]
struct Spliced {
    read: OwnedFd,
    write: OwnedFd,
    held: usize,
    moved: u64,
    ended: bool,
}

impl Pump {
    /// Begins with what was read already.
    pub(super) fn new(input: Option<Buffer>) -> Pump {
        Pump {
            relay: Relay::new(Vec::new(), Encoding::Plain),
            body: Body::new(Framing::UntilClose),
            input,
            spliced: None,
            no_pipe: false,
            ended: false,
            done: false,
        }
    }

    /// How many bytes were moved.
    pub(super) fn moved(&self) -> u64 {
        self.body.data + self.spliced.as_ref().map_or(0, |spliced| spliced.moved)
    }

    /// Gives the memory back.
    pub(super) fn release(self, pool: &Pool) {
        if let Some(buffer) = self.input {
            pool.give(buffer);
        }
    }

    /// Moves as much as possible; ready when the source has ended and the
    /// target was told so.
    pub(super) fn poll(
        &mut self,
        reader: &mut Reader<'_>,
        writer: &mut Writer<'_>,
        pool: &Pool,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.done {
            return Poll::Ready(Ok(()));
        }
        if !self.ended {
            ready!(self.poll_move(reader, writer, pool, context))?;
            self.ended = true;
        }
        // The other side may be gone already.
        let _ = ready!(writer.poll_shutdown(context));
        self.done = true;
        Poll::Ready(Ok(()))
    }

    fn poll_move(
        &mut self,
        reader: &mut Reader<'_>,
        writer: &mut Writer<'_>,
        pool: &Pool,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.spliced.is_none() {
            let polled =
                self.relay.poll_direct(&mut self.body, reader, &mut self.input, writer, pool, context);
            if polled.is_ready() || self.no_pipe || self.body.data < SPLICE_AFTER || self.input.is_some() {
                return polled.map_err(|error| match error {
                    RelayError::Read(error) | RelayError::Write(error) => error,
                    RelayError::Ended | RelayError::Malformed(_) | RelayError::Reset(_) => {
                        io::ErrorKind::UnexpectedEof.into()
                    }
                });
            }
            let opened = match (&*reader, &*writer) {
                (Reader::Plain(_), Writer::Plain(_)) => Spliced::open().ok(),
                // What is inside TLS passes through us.
                _ => None,
            };
            match opened {
                Some(spliced) => self.spliced = Some(spliced),
                None => {
                    self.no_pipe = true;
                    return Poll::Pending;
                }
            }
        }
        match (&mut self.spliced, reader, writer) {
            (Some(spliced), Reader::Plain(reader), Writer::Plain(writer)) => {
                spliced.poll(reader, writer, context)
            }
            _ => Poll::Pending,
        }
    }
}

impl Spliced {
    fn open() -> io::Result<Spliced> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A smaller pipe does as well, only slower.
        let _ = fcntl_setpipe_size(&write, PIPE);
        Ok(Spliced { read, write, held: 0, moved: 0, ended: false })
    }

    fn poll(
        &mut self,
        reader: &mut ReadHalf<'_>,
        writer: &mut WriteHalf<'_>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.held == 0 && self.ended {
                return Poll::Ready(Ok(()));
            }
            // Both must be asked: each wakes us when it can go on.
            let filled = if self.ended { Poll::Pending } else { self.poll_fill(reader, context) };
            let emptied = if self.held > 0 { self.poll_empty(writer, context) } else { Poll::Pending };
            match (filled, emptied) {
                (Poll::Ready(Err(error)), _) | (_, Poll::Ready(Err(error))) => {
                    return Poll::Ready(Err(error));
                }
                (Poll::Pending, Poll::Pending) if !(self.ended && self.held == 0) => return Poll::Pending,
                _ => {}
            }
        }
    }

    /// From the socket into the pipe.
    fn poll_fill(&mut self, reader: &mut ReadHalf<'_>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.held >= PIPE / 2 {
            return Poll::Pending;
        }
        let stream = reader.as_ref();
        loop {
            ready!(stream.poll_read_ready(context))?;
            let moved = stream.try_io(Interest::READABLE, || {
                Ok(splice(stream, None, &self.write, None, PIPE, SpliceFlags::MOVE | SpliceFlags::NONBLOCK)?)
            });
            match moved {
                Ok(0) => {
                    self.ended = true;
                    return Poll::Ready(Ok(()));
                }
                Ok(count) => {
                    self.held += count;
                    self.moved += count as u64;
                    return Poll::Ready(Ok(()));
                }
                // The socket is empty, or the pipe is full: then it is
                // emptied first, and the socket asked again after that.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.held > 0 => {
                    return Poll::Pending;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// From the pipe into the socket.
    fn poll_empty(&mut self, writer: &mut WriteHalf<'_>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = writer.as_ref();
        loop {
            ready!(stream.poll_write_ready(context))?;
            let moved = stream.try_io(Interest::WRITABLE, || {
                Ok(splice(
                    &self.read,
                    None,
                    stream,
                    None,
                    self.held,
                    SpliceFlags::MOVE | SpliceFlags::NONBLOCK,
                )?)
            });
            match moved {
                Ok(count) => {
                    self.held -= count.min(self.held);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}
