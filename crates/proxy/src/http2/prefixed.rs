//! A connection of which some bytes were read before it was known what it
//! is, and that is read in portions: between two of them the streams take
//! what came.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::buffer::Buffer;
use crate::stream::Stream;
use crate::worker::Worker;

/// Reads what was read before, then the connection.
#[derive(Debug)]
pub struct Prefixed {
    stream: Stream,
    input: Option<Buffer>,
    /// Whose buffer it is.
    worker: Rc<Worker>,
    portion: Portion,
}

/// How much may still be read before others get their turn.
#[derive(Debug, Clone, Default)]
pub struct Portion(Rc<Cell<usize>>);

/// Small frames cost more memory than their bytes say, and the `h2` crate
/// closes a connection on which too many of them wait. A portion holds fewer.
const PORTION: usize = 64 << 10;

impl Portion {
    /// A new turn begins.
    pub fn renew(&self) {
        self.0.set(PORTION);
    }
}

impl Prefixed {
    /// With these bytes in front.
    pub fn new(stream: Stream, input: Option<Buffer>, worker: Rc<Worker>, portion: Portion) -> Prefixed {
        Prefixed { stream, input, worker, portion }
    }
}

impl AsyncRead for Prefixed {
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
                self.worker.buffers.give(buffer);
            } else {
                self.input = Some(buffer);
            }
            if count > 0 {
                return Poll::Ready(Ok(()));
            }
        }
        let left = self.portion.0.get();
        if left == 0 {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = room.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, room);
        self.portion.0.set(left.saturating_sub(room.filled().len() - before));
        polled
    }
}

impl AsyncWrite for Prefixed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
