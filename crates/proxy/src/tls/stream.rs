//! A socket with TLS on it.
//!
//! Both halves share one session; they belong to one task of one thread and
//! never overlap. A connection without traffic owns no buffer: the bytes
//! of the wire pass through memory of the worker's.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::buffer::Pool;
use crate::tls::certificate::TlsFacts;
use crate::tls::failure;
use crate::tls::session::{Continue, OVERHEAD, Outgoing, Progress, RECORD, Session};

/// A connection whose handshake is done.
#[derive(Debug)]
pub struct TlsStream {
    inner: RefCell<Inner>,
    pool: Rc<Pool>,
    /// What the handshake has shown.
    pub facts: Rc<TlsFacts>,
}

/// Everything that changes.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) socket: TcpStream,
    pub(super) session: Session,
    /// What came and is not a whole record, or had no room.
    pub(super) came: Vec<u8>,
    /// Text that had no room.
    pub(super) text: Vec<u8>,
    text_at: usize,
    pub(super) outgoing: Outgoing,
    /// The peer has said that nothing more will come.
    ended: bool,
    /// Why the connection is of no more use, in words.
    failed: Option<Rc<str>>,
    closing: Closing,
}

/// How far we are with telling the peer that nothing more will come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    Open,
    /// It is said inside TLS.
    Said,
    /// The socket knows, too.
    Closed,
}

impl Inner {
    pub(super) fn new(socket: TcpStream, session: Session) -> Inner {
        Inner {
            socket,
            session,
            came: Vec::new(),
            text: Vec::new(),
            text_at: 0,
            outgoing: Outgoing::default(),
            ended: false,
            failed: None,
            closing: Closing::Open,
        }
    }

    /// Writes to the socket what must go.
    pub(super) fn poll_flush(&mut self, pool: &Pool, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.filled().is_empty() {
            let polled = Pin::new(&mut self.socket).poll_write(context, self.outgoing.filled());
            match ready!(polled) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => self.outgoing.consume(count, pool),
                Err(error) => {
                    self.outgoing.release(pool);
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn fail(&mut self, error: &rustls::Error, pool: &Pool) -> io::Error {
        let mut came = std::mem::take(&mut self.came);
        self.fail_after(error, &mut came, pool)
    }

    fn fail_after(&mut self, error: &rustls::Error, came: &mut [u8], pool: &Pool) -> io::Error {
        let reason: Rc<str> = failure::words(error).into();
        self.failed = Some(reason.clone());
        self.session.tell_error(came, &mut self.outgoing, pool);
        // The peer may be gone; then it needs no telling.
        let _ = self.poll_flush(pool, &mut Context::from_waker(Waker::noop()));
        io::Error::new(io::ErrorKind::InvalidData, reason.to_string())
    }

    fn failure(&self) -> Option<io::Error> {
        let reason = self.failed.as_ref()?;
        Some(io::Error::new(io::ErrorKind::InvalidData, reason.to_string()))
    }

    fn poll_read(
        &mut self,
        room: &mut ReadBuf<'_>,
        pool: &Pool,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.text_at < self.text.len() {
            let waiting = &self.text[self.text_at..];
            let count = waiting.len().min(room.remaining());
            room.put_slice(&waiting[..count]);
            self.text_at += count;
            if self.text_at == self.text.len() {
                self.text = Vec::new();
                self.text_at = 0;
            }
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = self.failure() {
            return Poll::Ready(Err(error));
        }
        if self.ended || room.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let mut scratch = pool.take_scratch();
        let polled = self.poll_decrypt(room, &mut scratch, pool, context);
        pool.give_scratch(scratch);
        polled
    }

    /// Reads from the socket and decrypts into the room. What comes at once
    /// is hardly more than fits there.
    fn poll_decrypt(
        &mut self,
        room: &mut ReadBuf<'_>,
        scratch: &mut Vec<u8>,
        pool: &Pool,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let size = room.remaining().max(RECORD) + OVERHEAD + self.came.len();
        if scratch.len() < size {
            scratch.resize(size, 0);
        }
        let mut have = self.came.len();
        scratch[..have].copy_from_slice(&self.came);
        self.came = Vec::new();
        let before = room.filled().len();
        loop {
            if have > 0 {
                let spilled = &mut self.text;
                let (used, progress) =
                    self.session.take_in(&mut scratch[..have], &mut self.outgoing, pool, |text| {
                        let fits = text.len().min(room.remaining());
                        room.put_slice(&text[..fits]);
                        spilled.extend_from_slice(&text[fits..]);
                        if room.remaining() == 0 { Continue::No } else { Continue::Yes }
                    });
                scratch.copy_within(used..have, 0);
                have -= used;
                match progress {
                    Ok(Progress::Starves) => {}
                    Ok(Progress::Ended) => self.ended = true,
                    Err(error) => {
                        let error = self.fail_after(&error, &mut scratch[..have], pool);
                        if room.filled().len() == before {
                            return Poll::Ready(Err(error));
                        }
                    }
                }
                if !self.outgoing.filled().is_empty() {
                    // What does not go now goes with what is written next.
                    let _ = self.poll_flush(pool, context);
                }
                if room.filled().len() > before || self.ended {
                    self.came.extend_from_slice(&scratch[..have]);
                    return Poll::Ready(Ok(()));
                }
            }
            let mut more = ReadBuf::new(&mut scratch[have..]);
            match Pin::new(&mut self.socket).poll_read(context, &mut more) {
                Poll::Ready(Ok(())) if more.filled().is_empty() => {
                    self.failed = Some(failure::TRUNCATED.into());
                    let error = io::Error::new(io::ErrorKind::UnexpectedEof, failure::TRUNCATED);
                    return Poll::Ready(Err(error));
                }
                Poll::Ready(Ok(())) => have += more.filled().len(),
                other => {
                    self.came.extend_from_slice(&scratch[..have]);
                    return other;
                }
            }
        }
    }

    /// Ready when the peer has gone. Text that comes meanwhile is kept, and
    /// then nobody looks again.
    fn poll_gone(&mut self, pool: &Pool, context: &mut Context<'_>) -> Poll<()> {
        if self.text_at < self.text.len() {
            return Poll::Pending;
        }
        let mut byte = [0; 1];
        let mut room = ReadBuf::new(&mut byte);
        match self.poll_read(&mut room, pool, context) {
            Poll::Ready(Ok(())) if room.filled().is_empty() => Poll::Ready(()),
            Poll::Ready(Ok(())) => {
                self.text.insert(0, byte[0]);
                Poll::Pending
            }
            Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_write(
        &mut self,
        bytes: &[u8],
        pool: &Pool,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if let Some(error) = self.failure() {
            return Poll::Ready(Err(error));
        }
        ready!(self.poll_flush(pool, context))?;
        let spilled = &mut self.text;
        let (used, written) = self.session.encrypt(&mut self.came, bytes, &mut self.outgoing, pool, |text| {
            spilled.extend_from_slice(text);
            Continue::Yes
        });
        self.came.drain(..used);
        let written = match written {
            Ok(written) => written,
            Err(error) => return Poll::Ready(Err(self.fail(&error, pool))),
        };
        match self.poll_flush(pool, context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(written)),
        }
    }

    fn poll_shutdown(&mut self, pool: &Pool, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closing == Closing::Open {
            self.closing = Closing::Said;
            if self.failed.is_none() {
                let spilled = &mut self.text;
                let (used, said) = self.session.close(&mut self.came, &mut self.outgoing, pool, |text| {
                    spilled.extend_from_slice(text);
                    Continue::Yes
                });
                self.came.drain(..used);
                if let Err(error) = said {
                    return Poll::Ready(Err(self.fail(&error, pool)));
                }
            }
        }
        if self.closing == Closing::Said {
            ready!(self.poll_flush(pool, context))?;
            ready!(Pin::new(&mut self.socket).poll_shutdown(context))?;
            self.closing = Closing::Closed;
        }
        Poll::Ready(Ok(()))
    }
}

impl TlsStream {
    pub(super) fn new(inner: Inner, pool: Rc<Pool>, facts: TlsFacts) -> TlsStream {
        TlsStream { inner: RefCell::new(inner), pool, facts: Rc::new(facts) }
    }

    /// Reads what there is.
    pub fn poll_read(&self, room: &mut ReadBuf<'_>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.borrow_mut().poll_read(room, &self.pool, context)
    }

    /// Writes some of the bytes: what is told as written may still wait for
    /// the socket.
    pub fn poll_write(&self, bytes: &[u8], context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.inner.borrow_mut().poll_write(bytes, &self.pool, context)
    }

    /// The same; small parts become one record.
    pub fn poll_write_vectored(
        &self,
        parts: &[io::IoSlice<'_>],
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Some(first) = parts.iter().find(|part| !part.is_empty()) else { return Poll::Ready(Ok(0)) };
        let is_all = parts.iter().map(|part| part.len()).sum::<usize>() == first.len();
        if is_all || first.len() >= RECORD {
            return self.poll_write(first, context);
        }
        let mut gathered = self.pool.take();
        for part in parts {
            let room = gathered.spare();
            let count = part.len().min(room.len());
            room[..count].copy_from_slice(&part[..count]);
            gathered.advance(count);
        }
        let polled = self.poll_write(gathered.filled(), context);
        self.pool.give(gathered);
        polled
    }

    /// Ready when everything that was written has gone to the kernel.
    pub fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.borrow_mut().poll_flush(&self.pool, context)
    }

    /// Says that nothing more will come, inside TLS and to the socket.
    pub fn poll_shutdown(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.borrow_mut().poll_shutdown(&self.pool, context)
    }

    /// Ready when the peer has gone: it closed its side, or the connection
    /// failed. Text that waits to be read says that it has not.
    pub fn poll_gone(&self, context: &mut Context<'_>) -> Poll<()> {
        self.inner.borrow_mut().poll_gone(&self.pool, context)
    }

    /// Whether an idle connection is still of use.
    pub fn is_quiet(&self) -> bool {
        let mut inner = self.inner.borrow_mut();
        let gone = inner.poll_gone(&self.pool, &mut Context::from_waker(Waker::noop()));
        gone.is_pending() && inner.text_at == inner.text.len()
    }

    /// Why the connection failed, in words: an alert of the peer's, say.
    pub fn failure(&self) -> Option<Rc<str>> {
        self.inner.borrow().failed.clone()
    }
}

impl Drop for TlsStream {
    fn drop(&mut self) {
        let inner = self.inner.get_mut();
        let mut context = Context::from_waker(Waker::noop());
        // A peer that reads on learns that this is the end; nobody waits for it.
        let _ = inner.poll_shutdown(&self.pool, &mut context);
        inner.outgoing.release(&self.pool);
    }
}
