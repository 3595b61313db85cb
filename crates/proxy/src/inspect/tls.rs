//! The client's first message of TLS, as far as it tells where it wants to
//! go (RFC 8446, 4.1.2).

/// What the bytes begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hello {
    /// It may be TLS: more is needed.
    NeedsMore,
    /// It is not TLS.
    Other,
    /// It is.
    Found {
        /// The server name in lower case; empty when there is none.
        server_name: String,
        /// The application protocols.
        protocols: Vec<String>,
    },
}

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const APPLICATION_PROTOCOLS: u16 = 16;

/// Reads the first message.
pub(crate) fn client_hello(bytes: &[u8]) -> Hello {
    match bytes {
        [] => return Hello::NeedsMore,
        [HANDSHAKE] | [HANDSHAKE, 3] => return Hello::NeedsMore,
        [HANDSHAKE, 3, ..] => {}
        _ => return Hello::Other,
    }
    let mut message = Vec::new();
    let mut rest = bytes;
    // The message may be cut into several records.
    loop {
        if let Some(hello) = whole(&message) {
            return hello;
        }
        let [kind, _, _, high, low, after @ ..] = rest else { return Hello::NeedsMore };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if *kind != HANDSHAKE || length == 0 {
            return Hello::Other;
        }
        let Some(record) = after.get(..length) else { return Hello::NeedsMore };
        message.extend_from_slice(record);
        rest = &after[length..];
    }
}

/// The message, when it has come whole.
fn whole(message: &[u8]) -> Option<Hello> {
    if message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
        return Some(Hello::Other);
    }
    let [_, high, middle, low, body @ ..] = message else { return None };
    let length = usize::try_from(u32::from_be_bytes([0, *high, *middle, *low])).ok()?;
    let body = body.get(..length)?;
    Some(read(body).unwrap_or(Hello::Other))
}

fn read(body: &[u8]) -> Option<Hello> {
    let mut cursor = Cursor(body);
    cursor.take(2 + 32)?;
    cursor.take_prefixed::<1>()?;
    cursor.take_prefixed::<2>()?;
    cursor.take_prefixed::<1>()?;
    let mut server_name = String::new();
    let mut protocols = Vec::new();
    let mut extensions = Cursor(cursor.take_prefixed::<2>().unwrap_or_default());
    while !extensions.0.is_empty() {
        let kind = extensions.number::<2>()?;
        let content = extensions.take_prefixed::<2>()?;
        if kind == usize::from(SERVER_NAME) {
            server_name = name(content).unwrap_or_default();
        } else if kind == usize::from(APPLICATION_PROTOCOLS) {
            let mut list = Cursor(Cursor(content).take_prefixed::<2>()?);
            while let Some(protocol) = list.take_prefixed::<1>() {
                protocols.push(String::from_utf8_lossy(protocol).into_owned());
            }
        }
    }
    Some(Hello::Found { server_name, protocols })
}

/// The host name of the extension; only characters of host names pass, for
/// the name goes into logs.
fn name(content: &[u8]) -> Option<String> {
    let mut list = Cursor(Cursor(content).take_prefixed::<2>()?);
    while let Some(kind) = list.number::<1>() {
        let name = list.take_prefixed::<2>()?;
        if kind == 0 {
            let name = std::str::from_utf8(name).ok()?;
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            return (name.len() <= 255 && name.bytes().all(plain)).then(|| name.to_ascii_lowercase());
        }
    }
    None
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number<const WIDTH: usize>(&mut self) -> Option<usize> {
        let digits = self.take(WIDTH)?;
        Some(digits.iter().fold(0, |number, digit| number << 8 | usize::from(*digit)))
    }

    /// What follows a length of so many bytes.
    fn take_prefixed<const WIDTH: usize>(&mut self) -> Option<&'a [u8]> {
        let length = self.number::<WIDTH>()?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixed(width: usize, content: &[u8]) -> Vec<u8> {
        let length = content.len().to_be_bytes();
        [&length[length.len() - width..], content].concat()
    }

    fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
        [kind.to_be_bytes().to_vec(), prefixed(2, content)].concat()
    }

    fn message(server_name: &str) -> Vec<u8> {
        let name = prefixed(2, &[&[0][..], &prefixed(2, server_name.as_bytes())].concat());
        let protocols = prefixed(2, &[prefixed(1, b"istio"), prefixed(1, b"h2")].concat());
        let extensions = [extension(43, &[2, 3, 4]), extension(0, &name), extension(16, &protocols)].concat();
        let body = [
            &[3, 3][..],
            &[7; 32],
            &prefixed(1, b"session"),
            &prefixed(2, &[0, 1]),
            &prefixed(1, &[0]),
            &prefixed(2, &extensions),
        ]
        .concat();
        [&[CLIENT_HELLO][..], &prefixed(3, &body)].concat()
    }

    fn records(message: &[u8], size: usize) -> Vec<u8> {
        message.chunks(size).flat_map(|part| [&[HANDSHAKE, 3, 1][..], &prefixed(2, part)].concat()).collect()
    }

    #[test]
    fn names_and_protocols_are_found_however_the_message_is_cut() {
        let expected = Hello::Found {
            server_name: "reviews.default".to_owned(),
            protocols: vec!["istio".to_owned(), "h2".to_owned()],
        };
        for size in [1, 7, 100, 10_000] {
            let wire = records(&message("Reviews.default"), size);
            assert_eq!(client_hello(&wire), expected, "{size}");
            for end in 0..wire.len() {
                assert_eq!(client_hello(&wire[..end]), Hello::NeedsMore, "{size} up to {end}");
            }
        }
    }

    #[test]
    fn what_is_not_tls_is_nothing_else() {
        for bytes in
            [&b"GET / HTTP/1.1"[..], b"\x16\x02", b"\x16\x03\x01\x00\x00", b"\x16\x03\x01\x00\x01\x02rest"]
        {
            assert_eq!(client_hello(bytes), Hello::Other, "{bytes:?}");
        }
        let Hello::Found { server_name, .. } = client_hello(&records(&message("a\nb"), 500)) else {
            panic!("it is TLS")
        };
        assert_eq!(server_name, "");
    }

    #[test]
    fn broken_messages_do_no_harm() {
        let wire = records(&message("a.b"), 10_000);
        for at in 5..wire.len() {
            for value in [0, 1, 127, 255] {
                let mut broken = wire.clone();
                broken[at] = value;
                let _ = client_hello(&broken);
            }
        }
    }
}
