//! A message's body while it is being read, in either version of HTTP.

use std::io;
use std::rc::Rc;

use bytes::Bytes;

use crate::buffer::{Buffer, NORMAL};
use crate::http::grpc_frames::Frames;
use crate::http1::chunk::{ChunkReader, Step};
use crate::http1::framing::Framing;
use crate::http1::head::Head;
use crate::http1::parse::Refusal;

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
    /// What followed the data.
    pub trailers: Option<Rc<Head>>,
    kept: Kept,
    frames: Option<Box<Frames>>,
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

/// What a body yields.
#[derive(Debug)]
pub enum Piece {
    /// Some of its data.
    Data(Bytes),
    /// Headers behind the data; nothing follows.
    Trailers(Head),
    /// Nothing follows.
    End,
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
    /// The source's stream was reset.
    Reset(h2::Error),
    /// The target failed.
    Write(io::Error),
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
            trailers: None,
            kept: Kept::No,
            frames: None,
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

    /// Whether large reads pay.
    pub fn is_large(&self) -> bool {
        match self.framing {
            Framing::Length(length) => length > NORMAL as u64,
            _ => self.data > 4 * NORMAL as u64,
        }
    }

    /// The source has ended. Only a body that lasts as long as its
    /// connection may end so.
    pub fn end_of_source(&mut self) -> Result<(), RelayError> {
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
    pub fn next(&mut self, input: &mut Buffer) -> Result<Option<usize>, RelayError> {
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

    /// The trailer lines of a chunked body that has come whole.
    pub fn trailer_lines(&self) -> &[u8] {
        self.chunks.trailer_lines()
    }

    /// A stream has ended, which is the end of any body.
    pub fn finish(&mut self) {
        self.done = true;
    }

    /// Data that came in a frame.
    pub fn count(&mut self, data: &[u8]) {
        self.data += data.len() as u64;
        self.wire += data.len() as u64;
        if !matches!(self.kept, Kept::No) {
            self.remember(data);
        }
        if let Some(frames) = &mut self.frames {
            frames.add(data);
        }
    }

    /// From now on messages of gRPC are counted.
    pub fn count_messages(&mut self) {
        self.frames = Some(Box::default());
    }

    /// How many messages of gRPC have begun.
    pub fn messages(&self) -> u64 {
        self.frames.as_ref().map_or(0, |frames| frames.messages)
    }
}
