//! The two halves of a stream.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};

use crate::http::body::{Body, Piece, RelayError};
use crate::http::ends::Departure;
use crate::http1::head::Head;
use crate::http2::head;

/// What comes on a stream.
#[derive(Debug)]
pub struct Incoming {
    /// `None`: the head has not come.
    stream: Option<RecvStream>,
    data_done: bool,
}

impl Incoming {
    /// The receiving half.
    pub fn new(stream: RecvStream) -> Incoming {
        Incoming { stream: Some(stream), data_done: false }
    }

    /// Before the head of the message has come.
    pub fn absent() -> Incoming {
        Incoming { stream: None, data_done: false }
    }

    /// Nothing will come.
    pub fn is_end(&self) -> bool {
        self.stream.as_ref().is_some_and(RecvStream::is_end_stream)
    }

    /// The next piece of the body.
    pub fn poll_piece(
        &mut self,
        body: &mut Body,
        context: &mut Context<'_>,
    ) -> Poll<Result<Piece, RelayError>> {
        let Some(stream) = &mut self.stream else { return Poll::Pending };
        while !self.data_done {
            match ready!(stream.poll_data(context)) {
                Some(Ok(data)) => {
                    if stream.is_end_stream() {
                        body.finish();
                    }
                    if data.is_empty() {
                        continue;
                    }
                    body.count(&data);
                    return Poll::Ready(Ok(Piece::Data(data)));
                }
                Some(Err(error)) => return Poll::Ready(Err(RelayError::Reset(error))),
                None => self.data_done = true,
            }
        }
        let trailers = ready!(stream.poll_trailers(context)).map_err(RelayError::Reset)?;
        body.finish();
        Poll::Ready(Ok(match trailers {
            Some(map) => Piece::Trailers(head::trailers(&map)),
            None => Piece::End,
        }))
    }

    /// So many bytes have gone on: the peer may send as many more.
    pub fn took(&mut self, count: usize) {
        // A stream that is gone needs no credit.
        if let Some(stream) = &mut self.stream {
            let _ = stream.flow_control().release_capacity(count);
        }
    }
}

/// What goes out on a stream.
#[derive(Debug)]
pub struct Outgoing {
    state: State,
    ended: bool,
}

#[derive(Debug)]
enum State {
    /// The response's head has not gone.
    Head(h2::server::SendResponse<Bytes>),
    /// The head has gone.
    Body(SendStream<Bytes>),
}

fn failed(error: h2::Error) -> io::Error {
    io::Error::other(error)
}

fn closed() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

impl Outgoing {
    /// For a response.
    pub fn response(stream: h2::server::SendResponse<Bytes>) -> Outgoing {
        Outgoing { state: State::Head(stream), ended: false }
    }

    /// For a request whose head has gone.
    pub fn request(stream: SendStream<Bytes>, ended: bool) -> Outgoing {
        Outgoing { state: State::Body(stream), ended }
    }

    /// Sends an interim response.
    pub fn inform(&mut self, head: &Head) -> io::Result<()> {
        let State::Head(stream) = &mut self.state else { return Err(closed()) };
        stream.send_informational(head::response(head)).map_err(failed)
    }

    /// Sends the response's head.
    pub fn respond(&mut self, head: &Head, is_all: bool) -> io::Result<()> {
        let State::Head(stream) = &mut self.state else { return Err(closed()) };
        let body = stream.send_response(head::response(head), is_all).map_err(failed)?;
        self.state = State::Body(body);
        self.ended = is_all;
        Ok(())
    }

    /// Hands data over as the peer gives credit; ready when all of it has
    /// gone. With the last of it, the stream ends.
    pub fn poll_data(
        &mut self,
        data: &mut Bytes,
        ends: bool,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !data.is_empty() {
            let State::Body(stream) = &mut self.state else { return Poll::Ready(Err(closed())) };
            stream.reserve_capacity(data.len());
            let mut capacity = stream.capacity();
            if capacity == 0 {
                capacity = match ready!(stream.poll_capacity(context)) {
                    Some(granted) => granted.map_err(failed)?,
                    None => return Poll::Ready(Err(closed())),
                };
            }
            let part = data.split_to(capacity.min(data.len()));
            let last = ends && data.is_empty();
            stream.send_data(part, last).map_err(failed)?;
            self.ended = last;
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the stream, if it has not ended with its data.
    pub fn end(&mut self) -> io::Result<()> {
        if self.ended {
            return Ok(());
        }
        let State::Body(stream) = &mut self.state else { return Err(closed()) };
        stream.send_data(Bytes::new(), true).map_err(failed)?;
        self.ended = true;
        Ok(())
    }

    /// Ends the stream with trailers, if there are any.
    pub fn end_with(&mut self, trailers: Option<&Head>) -> io::Result<()> {
        let Some(trailers) = trailers else { return self.end() };
        let State::Body(stream) = &mut self.state else { return Err(closed()) };
        stream.send_trailers(head::fields(trailers)).map_err(failed)?;
        self.ended = true;
        Ok(())
    }

    /// Gives the stream up.
    pub fn reset(&mut self, reason: Reason) {
        match &mut self.state {
            State::Head(stream) => stream.send_reset(reason),
            State::Body(stream) => stream.send_reset(reason),
        }
    }

    /// Whether everything has been handed over.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Ready when the peer has reset the stream or gone away.
    pub fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<Departure> {
        let polled = match &mut self.state {
            State::Head(stream) => stream.poll_reset(context),
            State::Body(stream) => stream.poll_reset(context),
        };
        polled.map(|reset| match reset {
            Ok(reason) => Departure::by(Some(reason)),
            Err(_) => Departure::Connection,
        })
    }
}
