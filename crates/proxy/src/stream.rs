//! A connection, plain or inside TLS, and its two halves.
//!
//! There are only these two kinds, so which one it is costs a comparison
//! where the kernel is asked anyway; plain connections are what they were.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use crate::tls::stream::TlsStream;

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// Bytes as they are.
    Plain(TcpStream),
    /// Bytes inside TLS.
    Tls(Box<TlsStream>),
}

/// Where bytes of a connection come from.
#[derive(Debug)]
pub enum Reader<'s> {
    /// Bytes as they are.
    Plain(ReadHalf<'s>),
    /// Bytes inside TLS.
    Tls(&'s TlsStream),
}

/// Where bytes of a connection go.
#[derive(Debug)]
pub enum Writer<'s> {
    /// Bytes as they are.
    Plain(WriteHalf<'s>),
    /// Bytes inside TLS.
    Tls(&'s TlsStream),
}

impl Stream {
    /// Both halves.
    pub fn split(&mut self) -> (Reader<'_>, Writer<'_>) {
        match self {
            Stream::Plain(socket) => {
                let (reader, writer) = socket.split();
                (Reader::Plain(reader), Writer::Plain(writer))
            }
            Stream::Tls(stream) => (Reader::Tls(stream), Writer::Tls(stream)),
        }
    }

    /// The TLS around the bytes.
    pub fn tls(&self) -> Option<&TlsStream> {
        match self {
            Stream::Plain(_) => None,
            Stream::Tls(stream) => Some(stream),
        }
    }
}

impl Reader<'_> {
    /// Reads what there is.
    pub fn poll_read(&mut self, room: &mut ReadBuf<'_>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Reader::Plain(reader) => Pin::new(reader).poll_read(context, room),
            Reader::Tls(stream) => stream.poll_read(room, context),
        }
    }
}

impl Writer<'_> {
    /// Writes some of the bytes.
    pub fn poll_write(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match self {
            Writer::Plain(writer) => Pin::new(writer).poll_write(context, bytes),
            Writer::Tls(stream) => stream.poll_write(bytes, context),
        }
    }

    /// Ready when everything that was written has gone to the kernel.
    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Writer::Plain(_) => Poll::Ready(Ok(())),
            Writer::Tls(stream) => stream.poll_flush(context),
        }
    }

    /// Says that nothing more will come.
    pub fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Writer::Plain(writer) => Pin::new(writer).poll_shutdown(context),
            Writer::Tls(stream) => stream.poll_shutdown(context),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Stream::Plain(socket) => Pin::new(socket).poll_read(context, room),
            Stream::Tls(stream) => stream.poll_read(room, context),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Stream::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Stream::Tls(stream) => stream.poll_write(bytes, context),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Stream::Plain(socket) => Pin::new(socket).poll_write_vectored(context, parts),
            Stream::Tls(stream) => stream.poll_write_vectored(parts, context),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Stream::Plain(socket) => Pin::new(socket).poll_flush(context),
            Stream::Tls(stream) => stream.poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Stream::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Stream::Tls(stream) => stream.poll_shutdown(context),
        }
    }
}
