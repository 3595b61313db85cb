//! Envoy's format strings: compiled once, written per request.
//!
//! A format is literal text and operators between percent signs. What an
//! operator stands for comes from a [`Record`]; what is absent is `-` in a
//! line and null in JSON.

mod operator;
mod time;
mod tls;
mod words;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use serde_json::Value;

pub use operator::FormatError;
use operator::Operator;
pub use tls::{Fact, Side};

/// Envoy's line when none is configured.
pub const DEFAULT_FORMAT: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" \
%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% \
%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \
\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n";

/// What is known of a request or connection, at its end or on its way.
/// Header names are in lower case, pseudo headers begin with a colon.
pub trait Record {
    /// When it began.
    fn start_time(&self) -> SystemTime;
    /// A request header.
    fn request_header(&self, _name: &str) -> Option<&[u8]> {
        None
    }
    /// A response header.
    fn response_header(&self, _name: &str) -> Option<&[u8]> {
        None
    }
    /// A trailer of the response.
    fn response_trailer(&self, _name: &str) -> Option<&[u8]> {
        None
    }
    /// `HTTP/1.1`.
    fn protocol(&self) -> Option<&str> {
        None
    }
    /// The response's status; zero when there was none.
    fn response_code(&self) -> u16 {
        0
    }
    /// The response flags in their short form, joined by commas.
    fn response_flags(&self) -> Option<&str> {
        None
    }
    /// Why the response is what it is.
    fn response_code_details(&self) -> Option<&str> {
        None
    }
    /// Why the connection was ended by us.
    fn connection_termination_details(&self) -> Option<&str> {
        None
    }
    /// Why the upstream transport failed.
    fn upstream_transport_failure_reason(&self) -> Option<&str> {
        None
    }
    /// Why the client's transport failed.
    fn downstream_transport_failure_reason(&self) -> Option<&str> {
        None
    }
    /// What is known about the TLS of a connection.
    fn tls(&self, _side: Side, _fact: Fact) -> Option<Cow<'_, str>> {
        None
    }
    /// Bytes of the request's body, or of the connection.
    fn bytes_received(&self) -> u64 {
        0
    }
    /// Bytes of the response's body, or of the connection.
    fn bytes_sent(&self) -> u64 {
        0
    }
    /// From the beginning to the end.
    fn duration(&self) -> Option<Duration> {
        None
    }
    /// From the beginning to the last byte of the request.
    fn request_duration(&self) -> Option<Duration> {
        None
    }
    /// From the beginning to the first byte of the upstream's response.
    fn response_duration(&self) -> Option<Duration> {
        None
    }
    /// The endpoint.
    fn upstream_host(&self) -> Option<SocketAddr> {
        None
    }
    /// Our own address towards the endpoint.
    fn upstream_local_address(&self) -> Option<SocketAddr> {
        None
    }
    /// The cluster's name in statistics.
    fn upstream_cluster(&self) -> Option<&str> {
        None
    }
    /// The cluster's name.
    fn upstream_cluster_raw(&self) -> Option<&str> {
        None
    }
    /// Where the client connected to.
    fn downstream_local_address(&self) -> Option<SocketAddr> {
        None
    }
    /// Who the client is, as far as trusted headers tell.
    fn downstream_remote_address(&self) -> Option<SocketAddr> {
        None
    }
    /// Who the peer is.
    fn downstream_direct_remote_address(&self) -> Option<SocketAddr> {
        None
    }
    /// The server name of TLS.
    fn requested_server_name(&self) -> Option<&str> {
        None
    }
    /// The route's name.
    fn route_name(&self) -> Option<&str> {
        None
    }
    /// The virtual host's name.
    fn virtual_host_name(&self) -> Option<&str> {
        None
    }
    /// How many attempts were made.
    fn attempt_count(&self) -> u32 {
        0
    }
    /// Metadata of the route (`ROUTE`), cluster (`CLUSTER`), endpoint
    /// (`UPSTREAM_HOST`), listener (`LISTENER`) or of this request alone
    /// (`DYNAMIC`).
    fn metadata(&self, _owner: &str, _namespace: &str, _key: &str) -> Option<&str> {
        None
    }
    /// The name of this machine.
    fn hostname(&self) -> Option<&str> {
        None
    }
    /// `HTTP/1.1` towards the endpoint.
    fn upstream_protocol(&self) -> Option<&str> {
        None
    }
    /// The status of gRPC; none for anything else.
    fn grpc_status(&self) -> Option<u32> {
        None
    }
    /// From the beginning until the request was sent on.
    fn request_sent_duration(&self) -> Option<Duration> {
        None
    }
    /// The name of the filter chain.
    fn filter_chain_name(&self) -> Option<&str> {
        None
    }
    /// What ended, in Envoy's words: `DownstreamEnd`, `TcpConnectionEnd`.
    fn log_type(&self) -> &'static str {
        "NotSet"
    }
    /// Where the connection arrived, before its destination was restored.
    fn downstream_direct_local_address(&self) -> Option<SocketAddr> {
        None
    }
}

/// A compiled line.
#[derive(Debug, Clone)]
pub struct Format {
    pieces: Box<[Piece]>,
}

#[derive(Debug, Clone)]
enum Piece {
    Literal(Box<[u8]>),
    Operator(Operator),
}

impl Format {
    /// Compiles a format string.
    pub fn compile(text: &str) -> Result<Format, FormatError> {
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text;
        while let Some(percent) = rest.find('%') {
            literal.extend_from_slice(&rest.as_bytes()[..percent]);
            rest = &rest[percent + 1..];
            if let Some(after) = rest.strip_prefix('%') {
                literal.push(b'%');
                rest = after;
                continue;
            }
            let (operator, after) = Operator::parse(rest)?;
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal).into()));
            }
            pieces.push(Piece::Operator(operator));
            rest = after;
        }
        literal.extend_from_slice(rest.as_bytes());
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.into()));
        }
        Ok(Format { pieces: pieces.into() })
    }

    /// Appends the line for a record.
    pub fn write<R: Record>(&self, record: &R, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.extend_from_slice(text),
                Piece::Operator(operator) => {
                    if !operator.write(record, out) {
                        out.push(b'-');
                    }
                }
            }
        }
    }

    /// Appends the text for a record where an absent value is empty: header
    /// values are written so.
    pub fn write_or_empty<R: Record>(&self, record: &R, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.extend_from_slice(text),
                Piece::Operator(operator) => {
                    operator.write(record, out);
                }
            }
        }
    }

    /// The only operator of a format without text around it.
    fn single(&self) -> Option<&Operator> {
        match &*self.pieces {
            [Piece::Operator(operator)] => Some(operator),
            _ => None,
        }
    }
}

/// A compiled JSON object, one per line.
#[derive(Debug, Clone)]
pub struct JsonFormat {
    root: Node,
}

#[derive(Debug, Clone)]
enum Node {
    Format(Format),
    Constant(Box<[u8]>),
    Object(Box<[(Box<[u8]>, Node)]>),
    List(Box<[Node]>),
}

impl JsonFormat {
    /// Compiles a template whose texts are format strings.
    pub fn compile(template: &Value) -> Result<JsonFormat, FormatError> {
        Ok(JsonFormat { root: Node::compile(template, 0)? })
    }

    /// Appends the object for a record and a line end.
    pub fn write<R: Record>(&self, record: &R, out: &mut Vec<u8>) {
        self.root.write(record, out);
        out.push(b'\n');
    }
}

/// Templates may be nested, but not without end.
const DEPTH: usize = 32;

impl Node {
    fn compile(template: &Value, depth: usize) -> Result<Node, FormatError> {
        if depth > DEPTH {
            return Err(FormatError::TooDeep);
        }
        Ok(match template {
            Value::String(text) => Node::Format(Format::compile(text)?),
            Value::Object(fields) => Node::Object(
                fields
                    .iter()
                    .map(|(key, value)| {
                        let mut name = Vec::new();
                        write_json_text(key.as_bytes(), &mut name);
                        Ok((name.into(), Node::compile(value, depth + 1)?))
                    })
                    .collect::<Result<_, _>>()?,
            ),
            Value::Array(items) => {
                Node::List(items.iter().map(|item| Node::compile(item, depth + 1)).collect::<Result<_, _>>()?)
            }
            other => Node::Constant(other.to_string().into_bytes().into()),
        })
    }

    fn write<R: Record>(&self, record: &R, out: &mut Vec<u8>) {
        match self {
            Node::Constant(text) => out.extend_from_slice(text),
            Node::Format(format) => write_json_format(format, record, out),
            Node::Object(fields) => {
                for (place, (key, value)) in fields.iter().enumerate() {
                    out.push(if place == 0 { b'{' } else { b',' });
                    out.extend_from_slice(key);
                    out.push(b':');
                    value.write(record, out);
                }
                out.extend_from_slice(if fields.is_empty() { b"{}" } else { b"}" });
            }
            Node::List(items) => {
                out.push(b'[');
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    item.write(record, out);
                }
                out.push(b']');
            }
        }
    }
}

/// A number stays a number when nothing stands around its operator.
fn write_json_format<R: Record>(format: &Format, record: &R, out: &mut Vec<u8>) {
    let mut text = Vec::new();
    if let Some(operator) = format.single() {
        match operator.write(record, &mut text) {
            false => out.extend_from_slice(b"null"),
            true if operator.is_number() => out.extend_from_slice(&text),
            true => write_json_text(&text, out),
        }
        return;
    }
    format.write(record, &mut text);
    write_json_text(&text, out);
}

fn write_json_text(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for character in String::from_utf8_lossy(text).chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            control if control.is_control() => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(control)).as_bytes());
            }
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests;
