//! How long a message's body is.

use crate::http1::head::Head;
use crate::http1::known::Known;
use crate::http1::parse::Refusal;

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// After so many bytes.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    UntilClose,
}

impl Framing {
    /// Whether there is no body, or an empty one.
    pub fn is_empty(self) -> bool {
        matches!(self, Framing::None | Framing::Length(0))
    }
}

/// What the two headers about length say, checked strictly: at most one of
/// them, once, and written as the specification writes it.
pub fn declared(head: &Head, is_http_10: bool) -> Result<Option<Framing>, Refusal> {
    let mut lengths = head.values_of(Known::ContentLength);
    let mut codings = head.values_of(Known::TransferEncoding);
    match (lengths.next(), codings.next()) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(Refusal::bad("http1.content_length_and_chunked_not_allowed")),
        (Some(length), None) if lengths.next().is_none() => {
            content_length(length).map(|length| Some(Framing::Length(length)))
        }
        (Some(_), None) => Err(Refusal::bad("http1.invalid_content_length")),
        (None, Some(_)) if is_http_10 || codings.next().is_some() => {
            Err(Refusal::bad("http1.transfer_encoding_not_allowed"))
        }
        (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Some(Framing::Chunked)),
        (None, Some(_)) => Err(Refusal { status: 501, details: "http1.invalid_transfer_encoding" }),
    }
}

fn content_length(text: &[u8]) -> Result<u64, Refusal> {
    let digits_only = !text.is_empty() && text.len() <= 19 && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text)
        .ok()
        .filter(|_| digits_only)
        .and_then(|text| text.parse().ok())
        .ok_or(Refusal::bad("http1.invalid_content_length"))
}

/// The framing of a request's body.
pub fn of_request(head: &Head, is_http_10: bool) -> Result<Framing, Refusal> {
    Ok(declared(head, is_http_10)?.unwrap_or(Framing::None))
}

/// The framing of a response's body, given what was asked.
pub fn of_response(head: &Head, status: u16, to_head: bool, is_http_10: bool) -> Result<Framing, Refusal> {
    let declared = declared(head, is_http_10)?;
    if to_head || status == 304 {
        return Ok(Framing::None);
    }
    if status == 204 || (100..200).contains(&status) {
        // A length there could be read as a body by somebody else.
        return match declared {
            Some(Framing::Chunked) => Err(Refusal::bad("http1.transfer_encoding_not_allowed")),
            Some(Framing::Length(length)) if length > 0 => {
                Err(Refusal::bad("http1.content_length_not_allowed"))
            }
            _ => Ok(Framing::None),
        };
    }
    Ok(declared.unwrap_or(Framing::UntilClose))
}
