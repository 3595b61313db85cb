//! The head of a message: a start line and an ordered list of headers, as
//! spans of the received bytes in their original case.
//!
//! What is added is appended to the same bytes; what is removed is marked.
//! Host and the target's authority are one thing, [`Head::authority`], and
//! not in the list.

use routing::headers::RequestHead;

use crate::http1::known::Known;

/// A part of a head's bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

/// One header line.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    name: Span,
    value: Span,
    known: Known,
    removed: bool,
}

/// The head of a request or response.
#[derive(Debug)]
pub struct Head {
    /// Initialised all through; `used` says how much of it counts.
    bytes: Vec<u8>,
    used: usize,
    fields: Vec<Field>,
    method: Span,
    path: Span,
    authority: Span,
    /// The status of a response.
    pub status: u16,
    /// The message is of HTTP/1.0.
    pub is_http_10: bool,
    /// The connection that carried it is TLS.
    pub is_https: bool,
    /// The scheme that a client of HTTP/2 said.
    pub said_scheme: Option<&'static str>,
}

impl Span {
    /// The span of a part inside the whole that it was cut from.
    pub fn of(whole: &[u8], part: &[u8]) -> Span {
        let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
        Span::new(start, start + part.len())
    }

    fn new(start: usize, end: usize) -> Span {
        // Heads are limited to megabytes.
        Span { start: start as u32, end: end as u32 }
    }

    fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl Field {
    /// A header whose name and value are spans of the same bytes.
    pub fn new(name: Span, value: Span, known: Known) -> Field {
        Field { name, value, known, removed: false }
    }
}

/// What a parser found in the bytes.
#[derive(Debug, Default)]
pub struct Parts {
    /// The method of a request.
    pub method: Span,
    /// Path and query of a request.
    pub path: Span,
    /// The host of a request, with its port.
    pub authority: Span,
    /// The status of a response.
    pub status: u16,
    /// The message is of HTTP/1.0.
    pub is_http_10: bool,
    /// The headers.
    pub fields: Vec<Field>,
}

impl Head {
    /// A head over received bytes, of which `used` are the head's.
    pub fn new(bytes: Vec<u8>, used: usize, parts: Parts) -> Head {
        Head {
            bytes,
            used,
            fields: parts.fields,
            method: parts.method,
            path: parts.path,
            authority: parts.authority,
            status: parts.status,
            is_http_10: parts.is_http_10,
            is_https: false,
            said_scheme: None,
        }
    }

    /// An empty response.
    pub fn response(bytes: Vec<u8>, fields: Vec<Field>, status: u16) -> Head {
        Head::new(bytes, 0, Parts { status, fields, ..Parts::default() })
    }

    /// Gives the memory back: the bytes and the cleared list of fields.
    pub fn into_parts(mut self) -> (Vec<u8>, Vec<Field>) {
        self.fields.clear();
        (self.bytes, self.fields)
    }

    fn text(&self, span: Span) -> &str {
        // Methods, targets and authorities were checked to be ASCII.
        std::str::from_utf8(self.slice(span)).unwrap_or_default()
    }

    fn slice(&self, span: Span) -> &[u8] {
        self.bytes.get(span.range()).unwrap_or_default()
    }

    fn push(&mut self, text: &[u8]) -> Span {
        let start = self.used;
        let end = start + text.len();
        if end > self.bytes.len() {
            self.bytes.resize(end.next_power_of_two(), 0);
        }
        self.bytes[start..end].copy_from_slice(text);
        self.used = end;
        Span::new(start, end)
    }

    /// The host that is asked for, with its port if one was written.
    pub fn authority(&self) -> &str {
        self.text(self.authority)
    }

    /// Replaces the host.
    pub fn set_authority(&mut self, authority: &str) {
        self.authority = self.push(authority.as_bytes());
    }

    /// Path and query.
    pub fn path(&self) -> &str {
        self.text(self.path)
    }

    /// Replaces path and query.
    pub fn set_path(&mut self, path: &str) {
        self.path = self.push(path.as_bytes());
    }

    /// Replaces the method.
    pub fn set_method(&mut self, method: &str) {
        self.method = self.push(method.as_bytes());
    }

    /// The method.
    pub fn method(&self) -> &str {
        self.text(self.method)
    }

    fn live(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(|field| !field.removed)
    }

    /// Every header: name in its original case, and value.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.live().map(|field| (self.slice(field.name), self.slice(field.value)))
    }

    /// How many bytes names and values take.
    pub fn byte_size(&self) -> usize {
        self.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// The values of a known header.
    pub fn values_of(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        self.live().filter(move |field| field.known == known).map(|field| self.slice(field.value))
    }

    /// The first value of a known header.
    pub fn get(&self, known: Known) -> Option<&[u8]> {
        self.values_of(known).next()
    }

    /// Whether a known header is there.
    pub fn has(&self, known: Known) -> bool {
        self.live().any(|field| field.known == known)
    }

    fn is_named(&self, field: &Field, known: Known, name: &[u8]) -> bool {
        match known {
            Known::Other => field.known == Known::Other && self.slice(field.name).eq_ignore_ascii_case(name),
            known => field.known == known,
        }
    }

    /// The values of any header, by name in any case.
    pub fn values_named<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let known = Known::of(name);
        self.live()
            .filter(move |field| self.is_named(field, known, name))
            .map(|field| self.slice(field.value))
    }

    /// The first value of any header, pseudo headers included.
    pub fn find(&self, name: &str) -> Option<&[u8]> {
        match name {
            ":method" => Some(self.method().as_bytes()),
            ":path" => Some(self.path().as_bytes()),
            ":authority" | "host" => Some(self.authority().as_bytes()),
            ":scheme" => Some(self.scheme().as_bytes()),
            _ => {
                let known = Known::of(name.as_bytes());
                let found = self.live().find(|field| self.is_named(field, known, name.as_bytes()))?;
                Some(self.slice(found.value))
            }
        }
    }

    /// Adds a line.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        let known = Known::of(name);
        let name = self.push(name);
        let value = self.push(value);
        self.fields.push(Field::new(name, value, known));
    }

    /// Replaces every line of a name with one.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        self.remove_named(name);
        self.add(name, value);
    }

    /// Replaces a known header.
    pub fn set_known(&mut self, known: Known, value: &[u8]) {
        self.remove(known);
        let name = self.push(known.name().as_bytes());
        let value = self.push(value);
        self.fields.push(Field::new(name, value, known));
    }

    /// Whether there is a header that is not a known one and begins so.
    pub fn has_unknown(&self, prefix: &[u8]) -> bool {
        self.live().filter(|field| field.known == Known::Other).any(|field| {
            let name = self.slice(field.name);
            name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        })
    }

    /// Removes a known header. True when it was there.
    pub fn remove(&mut self, known: Known) -> bool {
        let mut found = false;
        for field in self.fields.iter_mut().filter(|field| field.known == known) {
            found |= !field.removed;
            field.removed = true;
        }
        found
    }

    /// Removes a header by name in any case.
    pub fn remove_named(&mut self, name: &[u8]) {
        match Known::of(name) {
            Known::Other => self.remove_where(|other| other.eq_ignore_ascii_case(name)),
            known => {
                self.remove(known);
            }
        }
    }

    /// Removes the headers whose names satisfy a test.
    pub fn remove_where(&mut self, test: impl Fn(&[u8]) -> bool) {
        let bytes = &self.bytes;
        for field in self.fields.iter_mut().filter(|field| !field.removed) {
            field.removed = bytes.get(field.name.range()).is_some_and(&test);
        }
    }

    /// Makes one line of each of these that came in several, without empty
    /// values.
    pub fn join_repeated(&mut self, names: &[Known]) {
        let (mut seen, mut repeated) = (0u64, 0u64);
        for field in self.live() {
            let bit = 1 << field.known as u8;
            repeated |= seen & bit;
            seen |= bit;
        }
        for name in names.iter().filter(|name| repeated & (1 << **name as u8) != 0) {
            let values: Vec<&[u8]> = self.values_of(*name).filter(|value| !value.is_empty()).collect();
            let value = values.join(&b","[..]);
            self.set_known(*name, &value);
        }
    }

    /// Whether a comma separated header holds a word.
    pub fn lists(&self, known: Known, word: &str) -> bool {
        self.values_of(known).any(|value| {
            value
                .split(|byte| *byte == b',')
                .any(|part| part.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
        })
    }

    /// Appends the request as it goes over the wire, without the empty line
    /// at the end.
    pub fn write_request(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.slice(self.method));
        out.push(b' ');
        // CONNECT asks for a host, not for something on it.
        let target = if self.path == Span::default() { self.authority } else { self.path };
        out.extend_from_slice(self.slice(target));
        out.extend_from_slice(b" HTTP/1.1\r\nhost: ");
        out.extend_from_slice(self.slice(self.authority));
        out.extend_from_slice(b"\r\n");
        self.write_fields(out);
    }

    /// Appends the response as it goes over the wire, without the empty line
    /// at the end.
    pub fn write_response(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(itoa::Buffer::new().format(self.status).as_bytes());
        out.push(b' ');
        out.extend_from_slice(reason(self.status).as_bytes());
        out.extend_from_slice(b"\r\n");
        self.write_fields(out);
    }

    /// Appends the header lines.
    pub fn write_fields(&self, out: &mut Vec<u8>) {
        for field in self.live() {
            out.extend_from_slice(self.slice(field.name));
            out.extend_from_slice(b": ");
            out.extend_from_slice(self.slice(field.value));
            out.extend_from_slice(b"\r\n");
        }
    }
}

impl RequestHead for Head {
    fn method(&self) -> &str {
        Head::method(self)
    }

    fn path(&self) -> &str {
        Head::path(self)
    }

    fn authority(&self) -> &str {
        Head::authority(self)
    }

    fn scheme(&self) -> &str {
        // What this proxy ends in the clear, another one may have taken over TLS.
        let is_https = self.is_https || self.get(Known::XForwardedProto) == Some(b"https");
        self.said_scheme.unwrap_or(if is_https { "https" } else { "http" })
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.values_named(name.as_bytes())
    }
}

/// The words after a status, as Envoy knows them.
pub fn reason(status: u16) -> &'static str {
    if status == 418 {
        return "Unknown";
    }
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Unknown")
}
