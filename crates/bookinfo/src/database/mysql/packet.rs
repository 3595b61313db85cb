//! Packets: three bytes of length, one of sequence, and a body.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::database::{malformed, read_body};

pub(super) const OK: u8 = 0x00;
pub(super) const ERR: u8 = 0xff;
pub(super) const EOF: u8 = 0xfe;
pub(super) const NULL: u8 = 0xfb;

/// A connection that counts its packets.
pub(super) struct Packets<S> {
    stream: S,
    sequence: u8,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Packets<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, sequence: 0 }
    }

    /// A new command begins: both ends count from 0 again.
    pub(super) fn restart(&mut self) {
        self.sequence = 0;
    }

    /// The next packet; `None` when the other end is done.
    pub(super) async fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut header = [0; 4];
        match self.stream.read_exact(&mut header).await {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let [low, middle, high, sequence] = header;
        if sequence != self.sequence {
            return Err(malformed("a packet is out of order"));
        }
        self.sequence = sequence.wrapping_add(1);
        let length = u32::from_le_bytes([low, middle, high, 0]);
        read_body(&mut self.stream, length as usize).await.map(Some)
    }

    pub(super) async fn write(&mut self, body: &[u8]) -> io::Result<()> {
        let [low, middle, high, _] = (body.len() as u32).to_le_bytes();
        let mut packet = vec![low, middle, high, self.sequence];
        packet.extend_from_slice(body);
        self.sequence = self.sequence.wrapping_add(1);
        self.stream.write_all(&packet).await
    }
}

/// A packet's body, read from front to back.
pub(super) struct Fields<'b>(pub(super) &'b [u8]);

impl<'b> Fields<'b> {
    pub(super) fn bytes(&mut self, count: usize) -> io::Result<&'b [u8]> {
        let (head, rest) = self.0.split_at_checked(count).ok_or_else(|| malformed("a packet ends early"))?;
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn byte(&mut self) -> io::Result<u8> {
        Ok(self.bytes(1)?[0])
    }

    pub(super) fn u32(&mut self) -> io::Result<u32> {
        let bytes = self.bytes(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// Up to a zero byte, which is left out.
    pub(super) fn text(&mut self) -> io::Result<&'b str> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or_else(|| malformed("a text has no end"))?;
        let text = self.bytes(end)?;
        self.byte()?;
        std::str::from_utf8(text).map_err(|_| malformed("a text is not UTF-8"))
    }

    /// A text behind its length; `None` is NULL.
    pub(super) fn counted_text(&mut self) -> io::Result<Option<&'b str>> {
        let length = match self.byte()? {
            NULL => return Ok(None),
            short @ 0..=0xfa => usize::from(short),
            0xfc => usize::from(u16::from_le_bytes([self.byte()?, self.byte()?])),
            _ => return Err(malformed("a text is too long")),
        };
        let text = std::str::from_utf8(self.bytes(length)?);
        text.map(Some).map_err(|_| malformed("a text is not UTF-8"))
    }
}

/// Appends a text behind its length, which fits a byte.
pub(super) fn put_counted(body: &mut Vec<u8>, text: &str) {
    body.push(text.len() as u8);
    body.extend_from_slice(text.as_bytes());
}

/// Appends a text and a zero byte.
pub(super) fn put_text(body: &mut Vec<u8>, text: &str) {
    body.extend_from_slice(text.as_bytes());
    body.push(0);
}
