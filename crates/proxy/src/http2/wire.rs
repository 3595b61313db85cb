//! A connection beneath the `h2` crate, used in turns.
//!
//! What is written within a turn goes out together at its end: the crate
//! flushes after every frame of data, which would be a system call for each
//! message of each stream. What is read within a turn is a portion: between
//! two of them the streams take what came.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::buffer::{Buffer, Pool};
use crate::stream::Stream;

/// Small frames cost more memory than their bytes say, and the `h2` crate
/// closes a connection on which too many of them wait. A portion holds fewer.
const PORTION: usize = 64 << 10;
/// A piece of this size is copied behind what else goes out at the end of the
/// turn; a larger one is written from where it lies, with what waits.
const COPIED: usize = 8 << 10;
/// With more than this waiting, the turn's end is not waited for.
const FULL: usize = 48 << 10;

/// The connection as the `h2` crate uses it.
#[derive(Debug)]
pub struct Wire {
    socket: Rc<RefCell<Socket>>,
    /// What was read before it was known what the connection is.
    input: Option<Buffer>,
}

/// The turns of a connection, for whoever drives it.
#[derive(Debug)]
pub struct Turns(Rc<RefCell<Socket>>);

#[derive(Debug)]
struct Socket {
    stream: Stream,
    pool: Rc<Pool>,
    /// What goes out at the end of the turn, and how much of it has gone.
    out: Vec<u8>,
    gone: usize,
    /// How much may still be read in this turn.
    portion: usize,
}

/// Makes both ends of a connection of which `input` was read before.
pub fn wire(stream: Stream, input: Option<Buffer>, pool: Rc<Pool>) -> (Wire, Turns) {
    let socket = Socket { stream, pool, out: Vec::new(), gone: 0, portion: PORTION };
    let socket = Rc::new(RefCell::new(socket));
    (Wire { socket: socket.clone(), input }, Turns(socket))
}

impl Turns {
    /// A new turn begins.
    pub fn begin(&self) {
        self.0.borrow_mut().portion = PORTION;
    }

    /// The turn ends: ready when everything has gone to the kernel.
    pub fn poll_end(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_flush(context)
    }
}

impl Socket {
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.gone < self.out.len() {
            let polled = Pin::new(&mut self.stream).poll_write(context, &self.out[self.gone..]);
            match ready!(polled)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.gone += count,
            }
        }
        self.release();
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Everything has gone; an idle connection owns no buffer.
    fn release(&mut self) {
        self.gone = 0;
        if self.out.capacity() > 0 {
            self.pool.give_output(std::mem::take(&mut self.out));
        }
    }

    fn poll_write(&mut self, parts: &[IoSlice<'_>], context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if length > COPIED {
            return self.poll_write_through(parts, context);
        }
        if self.out.len() + length > FULL {
            ready!(self.poll_flush(context))?;
        }
        if self.out.capacity() == 0 {
            self.out = self.pool.take_output();
        }
        parts.iter().for_each(|part| self.out.extend_from_slice(part));
        Poll::Ready(Ok(length))
    }

    /// Writes what waits and then some of the parts, by as few calls as it takes.
    fn poll_write_through(
        &mut self,
        parts: &[IoSlice<'_>],
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        while self.gone < self.out.len() {
            let waiting = &self.out[self.gone..];
            let length = waiting.len();
            let all: SmallVec<[IoSlice<'_>; 8]> =
                std::iter::once(IoSlice::new(waiting)).chain(parts.iter().copied()).collect();
            let count = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, &all))?;
            drop(all);
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.gone += count.min(length);
            if count > length {
                self.release();
                return Poll::Ready(Ok(count - length));
            }
        }
        self.release();
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn poll_read(&mut self, room: &mut ReadBuf<'_>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.portion == 0 {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = room.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, room);
        self.portion = self.portion.saturating_sub(room.filled().len() - before);
        polled
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(mut buffer) = self.input.take() {
            let count = buffer.len().min(room.remaining());
            room.put_slice(&buffer.filled()[..count]);
            buffer.consume(count);
            if buffer.is_empty() {
                self.socket.borrow().pool.give(buffer);
            } else {
                self.input = Some(buffer);
            }
            if count > 0 {
                return Poll::Ready(Ok(()));
            }
        }
        self.socket.borrow_mut().poll_read(room, context)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.socket.borrow_mut().poll_write(&[IoSlice::new(bytes)], context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.socket.borrow_mut().poll_write(parts, context)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// What waits goes at the end of the turn.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut socket = self.socket.borrow_mut();
        ready!(socket.poll_flush(context))?;
        Pin::new(&mut socket.stream).poll_shutdown(context)
    }
}
