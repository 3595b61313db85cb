//! From received bytes to heads, strictly.

use std::mem::MaybeUninit;

use crate::buffer::Buffer;
use crate::http1::head::{Field, Head, Parts, Span};
use crate::http1::known::Known;

/// Why a message is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{details}")]
pub struct Refusal {
    /// The status to answer a request with.
    pub status: u16,
    /// Envoy's name for the reason.
    pub details: &'static str,
}

impl Refusal {
    /// A message that cannot be understood.
    pub const fn bad(details: &'static str) -> Refusal {
        Refusal { status: 400, details }
    }
}

/// What is acceptable.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The largest head, in bytes.
    pub max_head: usize,
    /// The most headers.
    pub max_headers: usize,
    /// HTTP/1.0 is accepted.
    pub http_10: bool,
}

/// The methods that Envoy knows; the frequent ones first.
const METHODS: [&str; 35] = [
    "GET",
    "POST",
    "PUT",
    "DELETE",
    "HEAD",
    "OPTIONS",
    "PATCH",
    "CONNECT",
    "TRACE",
    "ACL",
    "BIND",
    "CHECKOUT",
    "COPY",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MOVE",
    "M-SEARCH",
    "NOTIFY",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "REBIND",
    "REPORT",
    "SEARCH",
    "SOURCE",
    "SUBSCRIBE",
    "UNBIND",
    "UNLINK",
    "UNLOCK",
    "UNSUBSCRIBE",
    "QUERY",
];

/// Headers that fit on the stack; more need an allocation.
const ON_STACK: usize = 100;

/// What became of the bytes.
#[derive(Debug)]
pub enum Parsed {
    /// The head has not come whole.
    Partial,
    /// The head, and what followed it.
    Whole(Head, Option<Buffer>),
}

const CODEC_ERROR: Refusal = Refusal::bad("http1.codec_error");
const TOO_LARGE: Refusal = Refusal { status: 431, details: "http1.headers_too_large" };
const TOO_MANY: Refusal = Refusal { status: 431, details: "http1.too_many_headers" };

/// Where the head in these bytes ends, counting its empty line; a bare line
/// end counts too, so that it is refused and not waited on. `from` says how
/// much was searched in vain before.
pub fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    let start = from.saturating_sub(3);
    memchr::memchr_iter(b'\n', &bytes[start..]).map(|at| start + at).find_map(|at| match &bytes[at + 1..] {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// Parses the head of a request. Empty lines before it, which old clients
/// send after a body, must have been consumed.
pub fn request(bytes: &[u8], fields: Vec<Field>, limits: &Limits) -> Result<Option<(usize, Parts)>, Refusal> {
    if limits.max_headers <= ON_STACK {
        let mut headers = [const { MaybeUninit::uninit() }; ON_STACK];
        request_with(bytes, fields, limits, &mut headers[..limits.max_headers])
    } else {
        let mut headers = vec![MaybeUninit::uninit(); limits.max_headers];
        request_with(bytes, fields, limits, &mut headers)
    }
}

fn request_with<'b>(
    bytes: &'b [u8],
    fields: Vec<Field>,
    limits: &Limits,
    headers: &mut [MaybeUninit<httparse::Header<'b>>],
) -> Result<Option<(usize, Parts)>, Refusal> {
    let mut parsed = httparse::Request::new(&mut []);
    let config = httparse::ParserConfig::default();
    let length = match config.parse_request_with_uninit_headers(&mut parsed, bytes, headers) {
        Ok(httparse::Status::Complete(length)) if length <= limits.max_head => length,
        Ok(httparse::Status::Complete(_)) => return Err(TOO_LARGE),
        Ok(httparse::Status::Partial) if bytes.len() >= limits.max_head => return Err(TOO_LARGE),
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(TOO_MANY),
        Err(_) => return Err(CODEC_ERROR),
    };
    check_line_ends(&bytes[..length])?;
    let is_http_10 = parsed.version == Some(0);
    if is_http_10 && !limits.http_10 {
        return Err(Refusal { status: 426, details: "low_version" });
    }
    let method = parsed.method.unwrap_or_default();
    if !METHODS.contains(&method) {
        return Err(CODEC_ERROR);
    }
    let mut parts =
        Parts { method: Span::of(bytes, method.as_bytes()), is_http_10, fields, ..Parts::default() };
    let host = collect_request_fields(bytes, parsed.headers, &mut parts.fields)?;
    let target = Target::parse(method, parsed.path.unwrap_or_default())?;
    // In absolute form the target names the host, whatever Host says.
    let authority = match (target.authority, host) {
        (Some(authority), _) => authority.as_bytes(),
        (None, Some(host)) => host,
        (None, None) if is_http_10 => &[],
        (None, None) => return Err(Refusal::bad("missing_host_header")),
    };
    check_authority(authority, is_http_10)?;
    parts.authority = Span::of(bytes, authority);
    if !target.path.is_empty() {
        parts.path = Span::of(bytes, target.path.as_bytes());
    }
    Ok(Some((length, parts)))
}

/// Takes the headers over; the value of the one Host header comes back.
fn collect_request_fields<'b>(
    bytes: &'b [u8],
    headers: &[httparse::Header<'b>],
    fields: &mut Vec<Field>,
) -> Result<Option<&'b [u8]>, Refusal> {
    let mut host = None;
    for header in headers {
        let known = Known::of(header.name.as_bytes());
        if known == Known::Host {
            if host.replace(header.value).is_some() {
                return Err(Refusal::bad("http1.multiple_host_headers"));
            }
            continue;
        }
        fields.push(Field::new(
            Span::of(bytes, header.name.as_bytes()),
            Span::of(bytes, header.value),
            known,
        ));
    }
    Ok(host)
}

/// Every line ends with CR LF; the empty one too.
fn check_line_ends(head: &[u8]) -> Result<(), Refusal> {
    for at in memchr::memchr_iter(b'\n', head) {
        if at == 0 || head[at - 1] != b'\r' {
            return Err(CODEC_ERROR);
        }
    }
    Ok(())
}

struct Target<'a> {
    authority: Option<&'a str>,
    path: &'a str,
}

impl<'a> Target<'a> {
    fn parse(method: &str, target: &'a str) -> Result<Target<'a>, Refusal> {
        const INVALID: Refusal = Refusal::bad("http1.invalid_url");
        if !target.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) {
            return Err(INVALID);
        }
        if method == "CONNECT" {
            return Ok(Target { authority: Some(target), path: "" });
        }
        if target.starts_with('/') || (target == "*" && method == "OPTIONS") {
            return Ok(Target { authority: None, path: target });
        }
        let scheme_end = target.find("://").ok_or(INVALID)?;
        let scheme = &target[..scheme_end];
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(INVALID);
        }
        let rest = &target[scheme_end + 3..];
        let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(authority_end);
        match path {
            _ if authority.is_empty() => Err(INVALID),
            "" => Ok(Target { authority: Some(authority), path: "/" }),
            path if path.starts_with('/') => Ok(Target { authority: Some(authority), path }),
            _ => Err(INVALID),
        }
    }
}

/// One host and perhaps a port: nothing that somebody could take for a list,
/// a user or a path.
pub fn check_authority(authority: &[u8], may_be_empty: bool) -> Result<(), Refusal> {
    const INVALID: Refusal = Refusal::bad("http.invalid_authority");
    if authority.is_empty() {
        return if may_be_empty { Ok(()) } else { Err(INVALID) };
    }
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(byte);
    if !authority.iter().all(plain) {
        return Err(INVALID);
    }
    let port = match authority.iter().rposition(|byte| *byte == b':') {
        Some(colon) if !authority[colon..].contains(&b']') => &authority[colon + 1..],
        _ => &[],
    };
    if port.iter().all(u8::is_ascii_digit) { Ok(()) } else { Err(INVALID) }
}

/// Parses the head of a response.
pub fn response(
    bytes: &[u8],
    fields: Vec<Field>,
    limits: &Limits,
) -> Result<Option<(usize, Parts)>, Refusal> {
    let mut headers = [const { MaybeUninit::uninit() }; ON_STACK];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut parsed, bytes, &mut headers) {
        Ok(httparse::Status::Complete(length)) if length <= limits.max_head => length,
        Ok(httparse::Status::Complete(_)) => return Err(TOO_LARGE),
        Ok(httparse::Status::Partial) if bytes.len() >= limits.max_head => return Err(TOO_LARGE),
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(TOO_MANY),
        Err(_) => return Err(CODEC_ERROR),
    };
    check_line_ends(&bytes[..length])?;
    let status = parsed.code.unwrap_or_default();
    if !(100..=999).contains(&status) {
        return Err(CODEC_ERROR);
    }
    let mut parts = Parts { status, is_http_10: parsed.version == Some(0), fields, ..Parts::default() };
    for header in parsed.headers.iter() {
        let known = Known::of(header.name.as_bytes());
        parts.fields.push(Field::new(
            Span::of(bytes, header.name.as_bytes()),
            Span::of(bytes, header.value),
            known,
        ));
    }
    Ok(Some((length, parts)))
}

/// The trailers in their lines, which were checked and have no empty line at
/// their end; `None` when there are none.
pub fn trailers(lines: &[u8]) -> Result<Option<Head>, Refusal> {
    if lines.is_empty() {
        return Ok(None);
    }
    let mut block = lines.to_vec();
    block.extend_from_slice(b"\r\n");
    let mut headers = [httparse::EMPTY_HEADER; ON_STACK];
    let Ok(httparse::Status::Complete((_, found))) = httparse::parse_headers(&block, &mut headers) else {
        return Err(CODEC_ERROR);
    };
    let mut head = Head::response(Vec::new(), Vec::new(), 0);
    for header in found {
        head.add(header.name.as_bytes(), header.value);
    }
    Ok(Some(head))
}

/// Whether the block of trailer lines, with the empty line at its end, is
/// well formed.
pub fn check_trailers(block: &[u8]) -> Result<(), Refusal> {
    if block == b"\r\n" {
        return Ok(());
    }
    let mut headers = [httparse::EMPTY_HEADER; ON_STACK];
    match httparse::parse_headers(block, &mut headers) {
        Ok(httparse::Status::Complete((length, _))) if length == block.len() => check_line_ends(block),
        _ => Err(CODEC_ERROR),
    }
}

#[cfg(test)]
mod tests;
