//! The chunked coding, read strictly and without looking back.
//!
//! Sizes are hexadecimal digits and nothing else, lines end with CR LF,
//! extensions are checked and dropped, data is exactly as long as announced.

use crate::http1::parse::{Refusal, check_trailers};

/// So long may all extensions of one chunk be.
const MAX_EXTENSION: u32 = 4 << 10;
/// So long may the trailers be.
const MAX_TRAILERS: usize = 16 << 10;

/// Reads a chunked body.
#[derive(Debug)]
pub struct ChunkReader {
    state: State,
    /// Trailer lines so far.
    trailers: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the digits of a size; `digits` says how many there were.
    Size { size: u64, digits: u8 },
    /// After the `;` of an extension.
    Extension { size: u64, length: u32 },
    /// At the LF behind a size.
    SizeEnd { size: u64 },
    /// In data with so many bytes to come.
    Data { left: u64 },
    /// At the CR behind data.
    DataCr,
    /// At the LF behind data.
    DataLf,
    /// In the trailers, behind the last chunk.
    Trailers,
    /// Behind everything.
    Done,
}

/// What stands at the front of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many bytes of syntax, now consumed by the reader, and then more
    /// bytes are needed.
    More {
        /// How many bytes are done with.
        skip: usize,
    },
    /// Syntax, then data.
    Data {
        /// How many bytes of syntax come first.
        skip: usize,
        /// How many bytes of data follow.
        length: usize,
    },
    /// Syntax up to the end of the body.
    End {
        /// How many bytes are done with.
        skip: usize,
    },
}

const INVALID: Refusal = Refusal::bad("http1.codec_error");

impl Default for ChunkReader {
    fn default() -> ChunkReader {
        ChunkReader { state: State::Size { size: 0, digits: 0 }, trailers: Vec::new() }
    }
}

impl ChunkReader {
    /// Looks at the bytes that come next. After [`Step::Data`] the caller
    /// consumes both the syntax and the data before it calls again.
    pub fn step(&mut self, bytes: &[u8]) -> Result<Step, Refusal> {
        for (at, byte) in bytes.iter().enumerate() {
            match self.state {
                State::Data { left } => {
                    let here = bytes.len() - at;
                    let length = usize::try_from(left).map_or(here, |left| left.min(here));
                    let left = left - length as u64;
                    self.state = if left == 0 { State::DataCr } else { State::Data { left } };
                    return Ok(Step::Data { skip: at, length });
                }
                State::Trailers => return self.trailers(bytes, at),
                State::Done => return Ok(Step::End { skip: at }),
                syntax => self.state = next(syntax, *byte)?,
            }
        }
        match self.state {
            State::Done => Ok(Step::End { skip: bytes.len() }),
            _ => Ok(Step::More { skip: bytes.len() }),
        }
    }

    fn trailers(&mut self, bytes: &[u8], from: usize) -> Result<Step, Refusal> {
        for (at, byte) in bytes.iter().enumerate().skip(from) {
            self.trailers.push(*byte);
            if self.trailers == b"\r\n" || self.trailers.ends_with(b"\r\n\r\n") {
                check_trailers(&self.trailers)?;
                self.state = State::Done;
                return Ok(Step::End { skip: at + 1 });
            }
            let bare_line_end = *byte == b'\n' && !self.trailers.ends_with(b"\r\n");
            if bare_line_end || self.trailers.len() > MAX_TRAILERS {
                return Err(INVALID);
            }
        }
        Ok(Step::More { skip: bytes.len() })
    }

    /// The trailer lines with their line ends, without the empty one. Only
    /// of use after [`Step::End`].
    pub fn trailer_lines(&self) -> &[u8] {
        self.trailers.strip_suffix(b"\r\n").unwrap_or_default()
    }
}

/// The state behind one byte of syntax.
fn next(state: State, byte: u8) -> Result<State, Refusal> {
    match (state, byte) {
        (State::Size { digits: 16, .. }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => Err(INVALID),
        (State::Size { size, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
            let digit = char::from(byte).to_digit(16).unwrap_or_default();
            Ok(State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 })
        }
        (State::Size { digits: 0, .. }, _) => Err(INVALID),
        (State::Size { size, .. }, b'\r') => Ok(State::SizeEnd { size }),
        (State::Size { size, .. }, b';') => Ok(State::Extension { size, length: 0 }),
        (State::Extension { length: 0, .. }, b'\r') => Err(INVALID),
        (State::Extension { size, .. }, b'\r') => Ok(State::SizeEnd { size }),
        (State::Extension { size, length }, b'\t' | b' '..=b'~' | 0x80..) if length < MAX_EXTENSION => {
            Ok(State::Extension { size, length: length + 1 })
        }
        (State::SizeEnd { size: 0 }, b'\n') => Ok(State::Trailers),
        (State::SizeEnd { size }, b'\n') => Ok(State::Data { left: size }),
        (State::DataCr, b'\r') => Ok(State::DataLf),
        (State::DataLf, b'\n') => Ok(State::Size { size: 0, digits: 0 }),
        _ => Err(INVALID),
    }
}

/// Appends a chunk with this data.
pub fn write_chunk(data: &[u8], out: &mut Vec<u8>) {
    if data.is_empty() {
        return;
    }
    write_size(data.len(), out);
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// Appends the line that announces a chunk.
pub fn write_size(size: usize, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        out.push(HEX[(size >> (place * 4)) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

/// What ends a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

#[cfg(test)]
mod tests;
