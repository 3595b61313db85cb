//! The PROXY protocol: a line (version 1) or a block (version 2) in front of
//! a connection's bytes that tells who the client was.
//!
//! Read strictly: a header that is not exactly as specified closes the
//! connection, and nothing behind its own length is ever taken for a part of
//! it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use routing::proxy_protocol::Version;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// The longest line of version 1, its end included.
const LONGEST_LINE: usize = 107;
const BEGINS_V1: &[u8] = b"PROXY ";
const BEGINS_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2's fixed part: the signature, two bytes, and a length.
const FIXED: usize = 16;
/// The longest block that is accepted: addresses and what is attached.
const LONGEST_BLOCK: usize = 4 << 10;

/// What the first bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// More are needed.
    Partial,
    /// No header at all.
    None,
    /// A header.
    Header {
        /// How long it is.
        length: usize,
        /// Its version.
        version: Version,
        /// Who the client was, and where it connected; `None`: the header
        /// says nothing about it.
        addresses: Option<(SocketAddr, SocketAddr)>,
    },
    /// A header that is none.
    Malformed,
}

/// Looks at the first bytes of a connection.
pub fn find(bytes: &[u8]) -> Found {
    let begins = |signature: &[u8]| {
        let length = bytes.len().min(signature.len());
        bytes[..length] == signature[..length]
    };
    if begins(BEGINS_V2) {
        return if bytes.len() < FIXED { Found::Partial } else { block(bytes) };
    }
    if begins(BEGINS_V1) {
        return if bytes.len() < BEGINS_V1.len() { Found::Partial } else { line(bytes) };
    }
    Found::None
}

fn line(bytes: &[u8]) -> Found {
    let window = &bytes[..bytes.len().min(LONGEST_LINE)];
    let Some(end) = memchr::memchr(b'\n', window) else {
        return if window.len() == LONGEST_LINE { Found::Malformed } else { Found::Partial };
    };
    let Some(text) = window[..end].strip_suffix(b"\r").and_then(|text| std::str::from_utf8(text).ok()) else {
        return Found::Malformed;
    };
    let found = |addresses| Found::Header { length: end + 1, version: Version::V1, addresses };
    let words: Vec<&str> = text.split(' ').collect();
    match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => found(None),
        ["PROXY", family @ ("TCP4" | "TCP6"), source, destination, from, to] => {
            let address = |ip: &str, port: &str| -> Option<SocketAddr> {
                let plain = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
                let ip: IpAddr = ip.parse().ok()?;
                (plain && ip.is_ipv4() == (*family == "TCP4"))
                    .then(|| port.parse().ok())
                    .flatten()
                    .map(|port| SocketAddr::new(ip, port))
            };
            match (address(source, from), address(destination, to)) {
                (Some(source), Some(destination)) => found(Some((source, destination))),
                _ => Found::Malformed,
            }
        }
        _ => Found::Malformed,
    }
}

fn block(bytes: &[u8]) -> Found {
    let (command, family) = (bytes[12], bytes[13]);
    let size = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if !matches!(command, 0x20 | 0x21) || size > LONGEST_BLOCK {
        return Found::Malformed;
    }
    let Some(content) = bytes.get(FIXED..FIXED + size) else { return Found::Partial };
    let needed = match family {
        _ if command == 0x20 => 0,
        0x11 => 12,
        0x21 => 36,
        0x00 => 0,
        _ => return Found::Malformed,
    };
    if content.len() < needed || !are_well_formed(&content[needed..]) {
        return Found::Malformed;
    }
    let port = |at: usize| u16::from_be_bytes([content[at], content[at + 1]]);
    let addresses = match needed {
        12 => {
            let ip =
                |at: usize| Ipv4Addr::new(content[at], content[at + 1], content[at + 2], content[at + 3]);
            Some((SocketAddr::from((ip(0), port(8))), SocketAddr::from((ip(4), port(10)))))
        }
        36 => {
            let ip = |at: usize| {
                let mut octets = [0; 16];
                octets.copy_from_slice(&content[at..at + 16]);
                Ipv6Addr::from(octets)
            };
            Some((SocketAddr::from((ip(0), port(32))), SocketAddr::from((ip(16), port(34)))))
        }
        _ => None,
    };
    Found::Header { length: FIXED + size, version: Version::V2, addresses }
}

/// Whether what is attached fills its room exactly: each part has a kind, a
/// length, and as many bytes.
fn are_well_formed(mut attached: &[u8]) -> bool {
    while !attached.is_empty() {
        let [_, high, low, rest @ ..] = attached else { return false };
        let Some(next) = rest.get(usize::from(u16::from_be_bytes([*high, *low]))..) else { return false };
        attached = next;
    }
    true
}

/// The header that tells an upstream about a client.
pub fn header(version: Version, source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    match version {
        Version::V1 => {
            let family = match (source, destination) {
                (SocketAddr::V4(_), SocketAddr::V4(_)) => "TCP4",
                (SocketAddr::V6(_), SocketAddr::V6(_)) => "TCP6",
                _ => return b"PROXY UNKNOWN\r\n".to_vec(),
            };
            let (from, to) = (source.port(), destination.port());
            format!("PROXY {family} {} {} {from} {to}\r\n", source.ip(), destination.ip()).into_bytes()
        }
        Version::V2 => block_of(source, destination),
    }
}

fn block_of(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let mut out = BEGINS_V2.to_vec();
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            out.extend_from_slice(&[0x21, 0x11, 0, 12]);
            out.extend_from_slice(&from.octets());
            out.extend_from_slice(&to.octets());
        }
        (from, to) => {
            let wide = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => ip,
            };
            out.extend_from_slice(&[0x21, 0x21, 0, 36]);
            out.extend_from_slice(&wide(from).octets());
            out.extend_from_slice(&wide(to).octets());
        }
    }
    out.extend_from_slice(&source.port().to_be_bytes());
    out.extend_from_slice(&destination.port().to_be_bytes());
    out
}

/// Tells an upstream about a client, before anything else is sent.
pub async fn announce(
    stream: &mut TcpStream,
    version: Version,
    source: SocketAddr,
    destination: SocketAddr,
) -> io::Result<()> {
    stream.write_all(&header(version, source, destination)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = BEGINS_V2.to_vec();
        bytes.extend_from_slice(&[command, family]);
        bytes.extend_from_slice(&u16::try_from(content.len()).expect("short").to_be_bytes());
        bytes.extend_from_slice(content);
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        for (source, destination) in [("1.2.3.4:5", "6.7.8.9:10"), ("[2001:db8::1]:5", "[2001:db8::2]:10")] {
            let (source, destination) = (source.parse().expect("one"), destination.parse().expect("one"));
            for version in [Version::V1, Version::V2] {
                let mut bytes = header(version, source, destination);
                let length = bytes.len();
                for cut in 0..length {
                    assert_eq!(find(&bytes[..cut]), Found::Partial, "{cut} of {bytes:?}");
                }
                bytes.extend_from_slice(b"GET /");
                let addresses = Some((source, destination));
                assert_eq!(find(&bytes), Found::Header { length, version, addresses });
            }
        }
    }

    #[test]
    fn what_is_not_exactly_a_header_is_none() {
        let attached = |bytes: &[u8]| v2(0x21, 0x11, &[&[0; 12], bytes].concat());
        let malformed: [Vec<u8>; 12] = [
            b"PROXY TCP4 1.2.3.4 5.6.7.8 9\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\n".to_vec(),
            b"PROXY TCP4 ::1 ::1 9 10\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 9 70000\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 +9 10\r\n".to_vec(),
            b"PROXY TCP4  1.2.3.4 5.6.7.8 9 10\r\n".to_vec(),
            [b"PROXY TCP4 ".to_vec(), vec![b'1'; 120]].concat(),
            v2(0x11, 0x11, &[0; 12]),
            v2(0x21, 0x11, &[0; 11]),
            v2(0x21, 0x33, &[0; 12]),
            attached(&[1, 0, 9, 0]),
            attached(&[1, 0]),
        ];
        for bytes in malformed {
            assert_eq!(find(&bytes), Found::Malformed, "{:?}", String::from_utf8_lossy(&bytes));
        }
        assert_eq!(find(b"GET / HTTP/1.1\r\n"), Found::None);
        assert!(matches!(find(&v2(0x20, 0, &[])), Found::Header { addresses: None, .. }));
        assert!(matches!(find(b"PROXY UNKNOWN\r\n"), Found::Header { addresses: None, length: 15, .. }));
        assert!(matches!(find(&attached(&[1, 0, 1, 0])), Found::Header { length: 32, .. }));
    }
}
