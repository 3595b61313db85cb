//! The two halves of a connection, and the few things that are done with
//! them.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::ReadBuf;
use tokio::net::TcpStream;

use crate::buffer::{Buffer, Pool};
use crate::stream::{Reader, Stream, Writer};

/// Reads more into a buffer, which is taken from the pool when there is
/// something to read and none yet. Zero is the end of the stream.
///
/// A read that does not fill the buffer tells the runtime that the socket is
/// empty, so the next call does not ask the kernel in vain.
pub fn poll_fill(
    reader: &mut Reader<'_>,
    buffer: &mut Option<Buffer>,
    pool: &Pool,
    large: bool,
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut target = buffer.take().unwrap_or_else(|| if large { pool.take_large() } else { pool.take() });
    if target.spare().is_empty() {
        target.compact();
    }
    let mut room = ReadBuf::new(target.spare());
    let polled = reader.poll_read(&mut room, context);
    let count = room.filled().len();
    match polled {
        Poll::Ready(Ok(())) => {
            target.advance(count);
            *buffer = Some(target);
            Poll::Ready(Ok(count))
        }
        other => {
            if target.is_empty() {
                pool.give(target);
            } else {
                *buffer = Some(target);
            }
            other.map_ok(|()| 0)
        }
    }
}

/// Writes from a position on until everything is written and has gone to the
/// kernel; the position says how far it came.
pub fn poll_write_from(
    writer: &mut Writer<'_>,
    bytes: &[u8],
    written: &mut usize,
    context: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while *written < bytes.len() {
        match ready!(writer.poll_write(&bytes[*written..], context))? {
            0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            count => *written += count,
        }
    }
    writer.poll_flush(context)
}

/// Writes everything.
pub async fn write_all(writer: &mut Writer<'_>, bytes: &[u8]) -> io::Result<()> {
    let mut written = 0;
    poll_fn(|context| poll_write_from(writer, bytes, &mut written, context)).await
}

/// Ready when the peer has gone: it closed its side, or the connection
/// failed. Bytes that wait to be read say that it has not; then this stays
/// pending without looking again.
pub fn poll_gone(reader: &Reader<'_>, context: &mut Context<'_>) -> Poll<()> {
    let stream: &TcpStream = match reader {
        Reader::Plain(reader) => reader.as_ref(),
        Reader::Tls(stream) => return stream.poll_gone(context),
    };
    if stream.poll_read_ready(context).is_pending() {
        return Poll::Pending;
    }
    let mut byte = [0; 1];
    let mut room = ReadBuf::new(&mut byte);
    match stream.poll_peek(context, &mut room) {
        Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => Poll::Ready(()),
        Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
    }
}

/// Whether an idle connection is still of use: the peer neither closed it
/// nor sent anything. Asks the kernel only when there was an event.
pub fn is_quiet(stream: &Stream) -> bool {
    let stream = match stream {
        Stream::Plain(socket) => socket,
        Stream::Tls(stream) => return stream.is_quiet(),
    };
    let mut context = Context::from_waker(Waker::noop());
    match stream.poll_read_ready(&mut context) {
        Poll::Pending => true,
        Poll::Ready(Err(_)) => false,
        Poll::Ready(Ok(())) => {
            let refused = stream.try_read(&mut [0; 1]).err();
            refused.is_some_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        }
    }
}
