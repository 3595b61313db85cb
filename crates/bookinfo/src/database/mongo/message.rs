//! Messages: a header of 16 bytes, and a document.

use std::io;

use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::bson;
use crate::database::{malformed, read_body};

const HEADER: usize = 16;
const OP_REPLY: u32 = 1;
const OP_QUERY: u32 = 2004;
const OP_MSG: u32 = 2013;
/// The last four bytes of a message are a checksum.
const CHECKSUM_PRESENT: u32 = 1;

/// How a question came, so that its answer goes the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// OP_MSG, today's.
    Message,
    /// OP_QUERY, answered by OP_REPLY.
    Query,
}

/// A question or an answer.
pub(super) struct Message {
    pub(super) number: u32,
    pub(super) form: Form,
    pub(super) document: Map<String, Value>,
}

/// The next message; `None` when the other end is done.
pub(super) async fn read(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Message>> {
    let mut header = [0; HEADER];
    match reader.read_exact(&mut header).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let field = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (length, number, operation) = (field(0) as usize, field(4), field(12));
    let length = length.checked_sub(HEADER).ok_or_else(|| malformed("a message is too short"))?;
    let body = read_body(reader, length).await?;
    let (form, document) = match operation {
        OP_MSG => (Form::Message, document_of_message(&body)?),
        OP_QUERY => (Form::Query, document_of_query(&body)?),
        other => return Err(malformed(&format!("operation {other} is not known here"))),
    };
    Ok(Some(Message { number, form, document }))
}

fn document_of_message(body: &[u8]) -> io::Result<Map<String, Value>> {
    let (flags, sections) = body.split_first_chunk::<4>().ok_or_else(|| malformed("a message ends early"))?;
    let checked = u32::from_le_bytes(*flags) & CHECKSUM_PRESENT != 0;
    let sections = &sections[..sections.len().saturating_sub(if checked { 4 } else { 0 })];
    match sections.split_first() {
        Some((0, document)) => bson::decode(document),
        _ => Err(malformed("a message does not begin with its document")),
    }
}

/// Flags, the collection's name, two numbers, then the document.
fn document_of_query(body: &[u8]) -> io::Result<Map<String, Value>> {
    let ends_early = || malformed("a query ends early");
    let name = body.get(4..).ok_or_else(ends_early)?;
    let end = name.iter().position(|byte| *byte == 0).ok_or_else(ends_early)?;
    bson::decode(name.get(end + 1 + 8..).ok_or_else(ends_early)?)
}

/// Writes a message; `to` is the number of the one that it answers, or 0.
pub(super) async fn write(
    writer: &mut (impl AsyncWrite + Unpin),
    message: &Message,
    to: u32,
) -> io::Result<()> {
    let document = bson::encode(&message.document);
    let (operation, lead) = match message.form {
        Form::Message => (OP_MSG, vec![0; 5]),
        // Flags, a cursor's id, where it starts, and that one document follows.
        Form::Query => (OP_REPLY, [vec![8, 0, 0, 0], vec![0; 12], vec![1, 0, 0, 0]].concat()),
    };
    let length = HEADER + lead.len() + document.len();
    let mut bytes = Vec::with_capacity(length);
    for field in [length as u32, message.number, to, operation] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend(lead);
    bytes.extend(document);
    writer.write_all(&bytes).await
}
