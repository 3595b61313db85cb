//! The databases of ratings v2: the little of MySQL's and MongoDB's protocols
//! that the sample needs, as a client and as a server.
//!
//! The servers hold one table and one collection, in memory.  Real servers and
//! real clients of either kind work at the other end.

pub(crate) mod mongo;
pub(crate) mod mysql;

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Stars of the first and the second reviewer.
pub(crate) const STARS: [i64; 2] = [5, 4];

/// Longest message that is read, in bytes.
const LONGEST: usize = 1 << 20;

/// Why a database's answer is not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    /// No connection, or none that is allowed to ask.
    #[error("connect to the database: {0}")]
    Connect(String),
    /// The question was refused, or its answer made no sense.
    #[error("read the ratings: {0}")]
    Read(String),
}

/// What the other end said is not of the protocol.
pub(crate) fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// Reads a body whose length the other end announced.
async fn read_body(reader: &mut (impl AsyncRead + Unpin), length: usize) -> io::Result<Vec<u8>> {
    if length > LONGEST {
        return Err(malformed("a message is longer than 1 MiB"));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await?;
    Ok(body)
}
