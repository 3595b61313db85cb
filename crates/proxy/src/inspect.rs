//! Looking at a connection's first bytes, before it is known what it is:
//! TLS with its server name, or HTTP.
//!
//! The bytes stay in the buffer for whoever serves the connection.

pub(crate) mod tls;

use std::future::poll_fn;
use std::task::{Context, Poll};

use routing::listener::Listener;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use crate::buffer::{Buffer, NORMAL, Pool};
use crate::io::poll_fill;
use crate::stream::Reader;
use tls::Hello;

/// What the first bytes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// `tls` or `raw_buffer`.
    pub transport: &'static str,
    /// The server name of TLS; empty when there is none.
    pub server_name: String,
    /// The application protocols of TLS, or the HTTP that was recognised.
    pub protocols: Vec<String>,
}

/// Why nothing was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NothingSeen {
    /// The client went away.
    Closed,
    /// It took too long, and the listener does not go on then.
    Timeout,
}

impl Default for Seen {
    fn default() -> Seen {
        Seen { transport: "raw_buffer", server_name: String::new(), protocols: Vec::new() }
    }
}

/// Which inspectors look.
#[derive(Debug, Clone, Copy)]
struct Looks {
    tls: bool,
    http: bool,
}

/// Looks at the connection as the listener's inspectors for the port say.
/// A server that speaks first is not waited on longer than the listener
/// allows.
pub async fn inspect(
    listener: &Listener,
    port: u16,
    stream: &mut TcpStream,
    input: &mut Option<Buffer>,
    pool: &Pool,
    timed_out: impl FnOnce(),
) -> Result<Seen, NothingSeen> {
    let looks =
        Looks { tls: listener.tls_inspector.looks_at(port), http: listener.http_inspector.looks_at(port) };
    if !looks.tls && !looks.http {
        return Ok(Seen::default());
    }
    let deadline = listener.inspection_timeout.map(|limit| Instant::now() + limit);
    let mut timer = std::pin::pin!(deadline.map(sleep_until));
    let (reader, _) = stream.split();
    let mut reader = Reader::Plain(reader);
    let seen = poll_fn(|context: &mut Context<'_>| {
        loop {
            let bytes = input.as_ref().map_or(&[][..], Buffer::filled);
            if let Some(seen) = look(looks, bytes) {
                return Poll::Ready(Ok(seen));
            }
            match poll_fill(&mut reader, input, pool, false, context) {
                // The end is something to see, too: what came is not HTTP.
                Poll::Ready(Ok(0)) if input.as_ref().is_some_and(|input| !input.is_empty()) => {
                    return Poll::Ready(Ok(Seen::default()));
                }
                Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => return Poll::Ready(Err(NothingSeen::Closed)),
                Poll::Ready(Ok(_)) => continue,
                Poll::Pending => {}
            }
            return match timer.as_mut().as_pin_mut() {
                Some(timer) => std::future::Future::poll(timer, context).map(|()| Err(NothingSeen::Timeout)),
                None => Poll::Pending,
            };
        }
    })
    .await;
    match seen {
        Err(NothingSeen::Timeout) => {
            timed_out();
            if listener.continue_on_timeout { Ok(Seen::default()) } else { Err(NothingSeen::Timeout) }
        }
        seen => seen,
    }
}

/// What the bytes say; `None`: more are needed.
fn look(looks: Looks, bytes: &[u8]) -> Option<Seen> {
    if looks.tls {
        match tls::client_hello(bytes) {
            Hello::NeedsMore if bytes.len() < NORMAL => return None,
            Hello::NeedsMore | Hello::Other => {}
            Hello::Found { server_name, protocols } => {
                return Some(Seen { transport: "tls", server_name, protocols });
            }
        }
    }
    if !looks.http {
        return Some(Seen::default());
    }
    http(bytes).map(|protocol| Seen {
        protocols: protocol.map(str::to_owned).into_iter().collect(),
        ..Seen::default()
    })
}

/// The first line may be so long.
const MAX_LINE: usize = 8 << 10;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The HTTP that the bytes begin: `Some(None)` is none, `None` is not known
/// yet.
fn http(bytes: &[u8]) -> Option<Option<&'static str>> {
    if bytes.is_empty() {
        return None;
    }
    if bytes.len() < PREFACE.len() && PREFACE.starts_with(bytes) && bytes.len() >= 5 {
        return None;
    }
    if bytes.starts_with(PREFACE) {
        return Some(Some("h2c"));
    }
    let method_end = bytes.iter().position(|byte| *byte == b' ').unwrap_or(bytes.len());
    let is_method = bytes[..method_end].iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'-');
    if !is_method || method_end == 0 || method_end > 32 {
        return Some(None);
    }
    match memchr::memchr(b'\n', bytes) {
        Some(end) => {
            let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
            Some(match line.rsplit(|byte| *byte == b' ').next() {
                Some(b"HTTP/1.1") => Some("http/1.1"),
                Some(b"HTTP/1.0") => Some("http/1.0"),
                _ => None,
            })
        }
        None if bytes.len() >= MAX_LINE => Some(None),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_is_recognised_by_its_first_line() {
        let table: [(&[u8], Option<Option<&str>>); 14] = [
            (b"", None),
            (b"G", None),
            (b"GET", None),
            (b"GET /x HTTP/1.1", None),
            (b"GET /x HTTP/1.1\r\n", Some(Some("http/1.1"))),
            (b"GET /x HTTP/1.0\r\nHost", Some(Some("http/1.0"))),
            (b"M-SEARCH * HTTP/1.1\r\n", Some(Some("http/1.1"))),
            (b"GET /x\r\n", Some(None)),
            (b"get /x HTTP/1.1\r\n", Some(None)),
            (b"\x16\x03\x01", Some(None)),
            (b"*1\r\n$4\r\nPING\r\n", Some(None)),
            (b"PRI * HTTP/2.0\r\n", None),
            (PREFACE, Some(Some("h2c"))),
            (b"SSH-2.0-x\r\n", Some(None)),
        ];
        for (bytes, expected) in table {
            assert_eq!(http(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn tls_comes_before_http() {
        let both = Looks { tls: true, http: true };
        assert_eq!(look(both, b"\x16"), None);
        let seen = look(both, b"GET / HTTP/1.1\r\n").expect("enough");
        assert_eq!((seen.transport, seen.protocols.as_slice()), ("raw_buffer", &["http/1.1".to_owned()][..]));
        let only_tls = Looks { tls: true, http: false };
        assert_eq!(look(only_tls, b"GET"), Some(Seen::default()));
    }
}
