//! One side of a TLS connection without a socket: bytes of the wire in,
//! bytes of the wire out, plain text in between.
//!
//! rustls keeps no buffers here: what came and is not whole, and what must
//! go, belong to the connection, which gives them back when they are empty.

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{CommonState, Error};

use crate::buffer::{Buffer, NORMAL, Pool};

/// So much text becomes one record.
pub const RECORD: usize = 16 << 10;
/// What the largest record adds to its text (RFC 5246, 6.2.3).
pub const OVERHEAD: usize = 5 + 2048;
/// What records of ours add to their text: head, nonce, tag, kind.
const OWN_OVERHEAD: usize = 5 + 8 + 16 + 1;
/// So much text is encrypted at once.
const PORTION: usize = 4 * RECORD;

/// One side of a connection.
pub enum Session {
    /// Towards an endpoint.
    Client(UnbufferedClientConnection),
    /// Towards a client.
    Server(UnbufferedServerConnection),
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Session::Client(_) => "Client",
            Session::Server(_) => "Server",
        })
    }
}

/// What is wanted besides taking in what came.
enum Wish<'w> {
    Nothing,
    Encrypt(&'w [u8]),
    Close,
}

/// How far it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More must come.
    Starves,
    /// The peer has said that nothing more will come.
    Ended,
}

/// Bytes that must go, in a buffer of the worker's.
#[derive(Debug, Default)]
pub struct Outgoing(Option<Buffer>);

impl Outgoing {
    /// What must go.
    pub fn filled(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], Buffer::filled)
    }

    /// So much has gone; a buffer that is empty is given back.
    pub fn consume(&mut self, count: usize, pool: &Pool) {
        if let Some(buffer) = &mut self.0 {
            buffer.consume(count);
        }
        if let Some(empty) = self.0.take_if(|buffer| buffer.is_empty()) {
            pool.give(empty);
        }
    }

    /// Gives the buffer back, whatever is in it.
    pub fn release(&mut self, pool: &Pool) {
        if let Some(buffer) = self.0.take() {
            pool.give(buffer);
        }
    }

    fn room(&mut self, size: usize, pool: &Pool) -> &mut Buffer {
        let buffer =
            self.0.get_or_insert_with(|| if size <= NORMAL { pool.take() } else { pool.take_large() });
        if buffer.spare().len() < size {
            let needed = buffer.len() + size;
            while buffer.spare().len() < size && buffer.grow(needed.next_power_of_two()) {}
        }
        buffer
    }
}

impl Session {
    /// What both sides know about the connection.
    pub fn state(&self) -> &CommonState {
        match self {
            Session::Client(client) => client,
            Session::Server(server) => server,
        }
    }

    /// Takes in what came, until more must come or `is_enough`. The number
    /// says how much of it is done with. Plain text goes to `text`.
    pub fn take_in(
        &mut self,
        came: &mut [u8],
        outgoing: &mut Outgoing,
        pool: &Pool,
        text: impl FnMut(&[u8]) -> Continue,
    ) -> (usize, Result<Progress, Error>) {
        self.advance(came, outgoing, pool, &Wish::Nothing, text)
    }

    /// Encrypts some of the text, and says how much.
    pub fn encrypt(
        &mut self,
        came: &mut [u8],
        bytes: &[u8],
        outgoing: &mut Outgoing,
        pool: &Pool,
        text: impl FnMut(&[u8]) -> Continue,
    ) -> (usize, Result<usize, Error>) {
        let part = &bytes[..bytes.len().min(PORTION)];
        let (used, done) = self.advance(came, outgoing, pool, &Wish::Encrypt(part), text);
        (used, done.map(|_| part.len()))
    }

    /// Says that nothing more will come from here.
    pub fn close(
        &mut self,
        came: &mut [u8],
        outgoing: &mut Outgoing,
        pool: &Pool,
        text: impl FnMut(&[u8]) -> Continue,
    ) -> (usize, Result<(), Error>) {
        let (used, done) = self.advance(came, outgoing, pool, &Wish::Close, text);
        (used, done.map(|_| ()))
    }

    /// What an error makes us tell the peer: one alert. What came and was not
    /// taken in must be what it was when the error came, for rustls keeps
    /// places in it.
    pub fn tell_error(&mut self, came: &mut [u8], outgoing: &mut Outgoing, pool: &Pool) {
        // The alert comes first; the error itself would come again.
        let _ = self.step(came, outgoing, pool, &Wish::Nothing, &mut |_| Continue::No);
    }

    fn step(
        &mut self,
        came: &mut [u8],
        outgoing: &mut Outgoing,
        pool: &Pool,
        wish: &Wish<'_>,
        text: &mut impl FnMut(&[u8]) -> Continue,
    ) -> (usize, Result<Step, Error>) {
        match self {
            Session::Client(client) => step(client.process_tls_records(came), outgoing, pool, wish, text),
            Session::Server(server) => step(server.process_tls_records(came), outgoing, pool, wish, text),
        }
    }

    fn advance(
        &mut self,
        came: &mut [u8],
        outgoing: &mut Outgoing,
        pool: &Pool,
        wish: &Wish<'_>,
        mut text: impl FnMut(&[u8]) -> Continue,
    ) -> (usize, Result<Progress, Error>) {
        let mut used = 0;
        let mut ended = false;
        loop {
            let (discard, step) = self.step(&mut came[used..], outgoing, pool, wish, &mut text);
            used += discard;
            match step {
                Ok(Step::Again) => {}
                Ok(Step::Enough) => return (used, Ok(Progress::Starves)),
                Ok(Step::PeerClosed) => ended = true,
                Ok(Step::Done) if ended => return (used, Ok(Progress::Ended)),
                Ok(Step::Done) => return (used, Ok(Progress::Starves)),
                Err(error) => return (used, Err(error)),
            }
        }
    }
}

/// Whether the taker of plain text wants more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continue {
    /// It does.
    Yes,
    /// It has enough.
    No,
}

enum Step {
    Again,
    Enough,
    PeerClosed,
    Done,
}

fn step<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    outgoing: &mut Outgoing,
    pool: &Pool,
    wish: &Wish<'_>,
    text: &mut impl FnMut(&[u8]) -> Continue,
) -> (usize, Result<Step, Error>) {
    let UnbufferedStatus { mut discard, state } = status;
    let next = match state {
        Err(error) => Err(error),
        Ok(ConnectionState::ReadTraffic(mut traffic)) => {
            let mut next = Step::Again;
            while let Some(record) = traffic.next_record() {
                match record {
                    Ok(record) => {
                        discard += record.discard;
                        if text(record.payload) == Continue::No {
                            next = Step::Enough;
                        }
                    }
                    Err(error) => return (discard, Err(error)),
                }
            }
            // Who wants to write goes on until it may.
            Ok(if matches!(wish, Wish::Nothing) { next } else { Step::Again })
        }
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            let size = match data.encode(&mut []) {
                Err(EncodeError::InsufficientSize(needed)) => needed.required_size,
                // It was empty.
                _ => return (discard, Ok(Step::Again)),
            };
            let buffer = outgoing.room(size, pool);
            match data.encode(buffer.spare()) {
                Ok(written) => {
                    buffer.advance(written);
                    Ok(Step::Again)
                }
                Err(_) => Err(Error::General("a handshake message did not fit".to_owned())),
            }
        }
        Ok(ConnectionState::TransmitTlsData(data)) => {
            // It waits in our buffer, in order.
            data.done();
            Ok(Step::Again)
        }
        Ok(ConnectionState::PeerClosed) => Ok(Step::PeerClosed),
        Ok(ConnectionState::WriteTraffic(mut traffic)) => {
            let size = match wish {
                Wish::Nothing => return (discard, Ok(Step::Done)),
                Wish::Encrypt(bytes) => bytes.len() + (bytes.len() / RECORD + 2) * OWN_OVERHEAD + 64,
                Wish::Close => 128,
            };
            let buffer = outgoing.room(size, pool);
            let written = match wish {
                Wish::Encrypt(bytes) => traffic.encrypt(bytes, buffer.spare()),
                _ => traffic.queue_close_notify(buffer.spare()),
            };
            match written {
                Ok(written) => {
                    buffer.advance(written);
                    Ok(Step::Done)
                }
                Err(EncryptError::EncryptExhausted) => Err(Error::EncryptError),
                Err(EncryptError::InsufficientSize(_)) => {
                    Err(Error::General("a record did not fit".to_owned()))
                }
            }
        }
        Ok(ConnectionState::BlockedHandshake) => match wish {
            Wish::Nothing => Ok(Step::Done),
            _ => Err(Error::HandshakeNotComplete),
        },
        Ok(ConnectionState::Closed) => Ok(Step::Done),
        // Early data is never asked for.
        Ok(_) => Err(Error::General("an unexpected state of TLS".to_owned())),
    };
    (discard, next)
}
