//! Moving a body when one of the sides speaks HTTP/2: pieces are pulled from
//! the source one at a time, and its credit is returned when the sink has
//! taken what came.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::{Encoding, Relay};
use crate::buffer::{NORMAL, Pool};
use crate::http::body::{Body, Piece, RelayError};
use crate::http::ends::{Sink, Source};
use crate::http1::chunk::{LAST_CHUNK, write_chunk, write_size};
use crate::http1::head::Head;
use crate::io::poll_write_from;

/// Data of this size is copied behind what else is written; more is written
/// from where it lies.
const COPIED: usize = 4 << 10;

/// What was pulled and has not gone yet.
#[derive(Debug, Default)]
pub(super) struct Pulled {
    data: Bytes,
    /// What is written behind the data.
    after: &'static [u8],
    /// How much credit the source gets once all of it has gone.
    owed: usize,
    end: Option<End>,
}

#[derive(Debug)]
enum End {
    Plain,
    Trailers(Rc<Head>),
}

impl Pulled {
    /// Data that an earlier attempt has read.
    pub(super) fn stage(&mut self, data: &[u8]) {
        self.data = Bytes::copy_from_slice(data);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.data.is_empty() && self.after.is_empty() && self.end.is_none()
    }
}

impl Relay {
    pub(super) fn poll_pulled(
        &mut self,
        body: &mut Body,
        source: &mut Source<'_, '_>,
        sink: &mut Sink<'_, '_>,
        pool: &Pool,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), RelayError>> {
        loop {
            // A head that waits goes together with the first data, and small
            // pieces go together.
            let mut starves = false;
            while !starves && !self.ended && self.pulled.is_empty() && self.out.len() < NORMAL {
                match source.poll_piece(body, pool, context) {
                    Poll::Ready(piece) => self.take(piece?, body),
                    Poll::Pending => starves = true,
                }
            }
            ready!(self.poll_hand_over(sink, context))?;
            let owed = std::mem::take(&mut self.pulled.owed);
            if owed > 0 {
                source.took(owed);
            }
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            if starves {
                return Poll::Pending;
            }
        }
    }

    fn take(&mut self, piece: Piece, body: &mut Body) {
        match piece {
            Piece::Data(data) => {
                self.pulled.owed += data.len();
                self.take_data(data);
                // A stream whose last frame has come ends with it.
                if body.is_done() && body.trailer_lines().is_empty() {
                    self.pulled.end = Some(End::Plain);
                }
            }
            Piece::Trailers(head) => {
                let head = Rc::new(head);
                body.trailers = Some(head.clone());
                self.pulled.end = Some(End::Trailers(head));
            }
            Piece::End => self.pulled.end = Some(End::Plain),
        }
    }

    fn take_data(&mut self, data: Bytes) {
        match self.encoding {
            Encoding::Frames { .. } => self.pulled.data = data,
            Encoding::Plain if data.len() <= COPIED => self.out.extend_from_slice(&data),
            Encoding::Plain => self.pulled.data = data,
            Encoding::Chunked { .. } if data.len() <= COPIED => write_chunk(&data, &mut self.out),
            Encoding::Chunked { .. } => {
                write_size(data.len(), &mut self.out);
                self.pulled.data = data;
                self.pulled.after = b"\r\n";
            }
        }
    }

    /// Ready when nothing is left that was taken.
    fn poll_hand_over(
        &mut self,
        sink: &mut Sink<'_, '_>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), RelayError>> {
        match sink {
            Sink::Http1(writer) => loop {
                ready!(poll_write_from(writer, &self.out, &mut self.written, context))
                    .map_err(RelayError::Write)?;
                self.begun |= self.written > 0;
                self.out.clear();
                self.written = 0;
                let data = &mut self.pulled.data;
                while !data.is_empty() {
                    let mut written = 0;
                    let polled = poll_write_from(writer, data, &mut written, context);
                    bytes::Buf::advance(data, written);
                    ready!(polled).map_err(RelayError::Write)?;
                }
                self.out.extend_from_slice(std::mem::take(&mut self.pulled.after));
                if let Some(end) = self.pulled.end.take() {
                    self.ended = true;
                    self.write_end(&end);
                }
                if self.out.is_empty() {
                    return Poll::Ready(Ok(()));
                }
            },
            Sink::Http2(outgoing) => {
                let ends = matches!(self.pulled.end, Some(End::Plain));
                let sent = outgoing.poll_data(&mut self.pulled.data, ends, context);
                ready!(sent).map_err(RelayError::Write)?;
                match self.pulled.end.take() {
                    None => {}
                    Some(End::Plain) => {
                        outgoing.end().map_err(RelayError::Write)?;
                        self.ended = true;
                    }
                    Some(End::Trailers(head)) => {
                        let passes = matches!(self.encoding, Encoding::Frames { trailers: true });
                        outgoing.end_with(passes.then_some(&*head)).map_err(RelayError::Write)?;
                        self.ended = true;
                    }
                }
                Poll::Ready(Ok(()))
            }
        }
    }

    fn write_end(&mut self, end: &End) {
        let Encoding::Chunked { trailers } = self.encoding else { return };
        match end {
            End::Trailers(head) if trailers => {
                self.out.extend_from_slice(b"0\r\n");
                head.write_fields(&mut self.out);
                self.out.extend_from_slice(b"\r\n");
            }
            _ => self.out.extend_from_slice(LAST_CHUNK),
        }
    }
}
