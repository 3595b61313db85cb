//! Paths of requests: where the query begins, and Envoy's normalisation.

/// Path, and the query with its `?`. A fragment belongs to neither.
pub fn split_query(path_and_query: &str) -> (&str, &str) {
    let end = memchr::memchr(b'#', path_and_query.as_bytes()).unwrap_or(path_and_query.len());
    let whole = &path_and_query[..end];
    match memchr::memchr(b'?', whole.as_bytes()) {
        Some(start) => whole.split_at(start),
        None => (whole, ""),
    }
}

/// The first value of a query parameter, as written.
pub fn query_parameter<'a>(path_and_query: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = split_query(path_and_query);
    query.strip_prefix('?')?.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    })
}

/// What to do with `%2F`, `%2f`, `%5C` and `%5c` in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EscapedSlashes {
    /// They stay.
    #[default]
    Keep,
    /// The request is refused.
    Reject,
    /// The client is sent to the path without them.
    Redirect,
    /// They are decoded.
    Decode,
}

/// How request paths are made equal before anything looks at them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Normalization {
    /// Dot segments, backslashes and needless escapes.
    pub normalize: bool,
    /// Slashes in a row.
    pub merge_slashes: bool,
    /// Escaped slashes.
    pub escaped_slashes: EscapedSlashes,
}

/// What normalisation made of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Normalized {
    /// It needs no change.
    Same,
    /// Path and query to use instead.
    Changed(String),
    /// Path and query to redirect to.
    Redirect(String),
    /// The path cannot be accepted.
    Refused,
}

impl Normalization {
    /// Normalises path and query; the query is never touched.
    pub fn apply(self, path_and_query: &str) -> Normalized {
        let (path, query) = split_query(path_and_query);
        if !path.starts_with('/') || !self.may_change(path) {
            return Normalized::Same;
        }
        let mut current = path.to_owned();
        let mut redirect = false;
        if has_escaped_slash(&current) {
            match self.escaped_slashes {
                EscapedSlashes::Keep => {}
                EscapedSlashes::Reject => return Normalized::Refused,
                EscapedSlashes::Redirect => {
                    redirect = true;
                    current = decode_slashes(&current);
                }
                EscapedSlashes::Decode => current = decode_slashes(&current),
            }
        }
        if self.normalize {
            match canonical(&current) {
                Some(canonical) => current = canonical,
                None => return Normalized::Refused,
            }
        }
        if self.merge_slashes {
            current = merge_slashes(&current);
        }
        match (current == path, redirect) {
            (true, _) => Normalized::Same,
            (false, true) => Normalized::Redirect(current + query),
            (false, false) => Normalized::Changed(current + query),
        }
    }

    /// A quick look whether anything in the path is of interest.
    fn may_change(self, path: &str) -> bool {
        let bytes = path.as_bytes();
        memchr::memchr3(b'%', b'\\', b'.', bytes).is_some()
            || bytes.windows(2).any(|pair| pair == b"//")
            || bytes.iter().any(|byte| !is_plain(*byte))
    }
}

/// Bytes that canonicalisation leaves alone wherever they stand.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-_~!$&'()*+,;=:@|[]^".contains(&byte)
}

fn has_escaped_slash(path: &str) -> bool {
    path.as_bytes().windows(3).any(|three| matches!(three, b"%2f" | b"%2F" | b"%5c" | b"%5C"))
}

fn decode_slashes(path: &str) -> String {
    path.replace("%2f", "/").replace("%2F", "/").replace("%5c", "\\").replace("%5C", "\\")
}

/// Dot segments resolved, backslashes turned, needless escapes decoded and
/// needed ones written; `None` when the path holds an escaped NUL.
fn canonical(path: &str) -> Option<String> {
    let decoded = decode_unreserved(path)?;
    let mut segments: Vec<&str> = Vec::new();
    let mut rest = decoded.strip_prefix('/').unwrap_or(&decoded).split('/').peekable();
    while let Some(segment) = rest.next() {
        let last = rest.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                segments.pop();
            }
            _ => {
                segments.push(segment);
                continue;
            }
        }
        // A dot segment at the end leaves its slash.
        if last {
            segments.push("");
        }
    }
    Some(format!("/{}", segments.join("/")))
}

fn decode_unreserved(path: &str) -> Option<String> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let bytes = path.as_bytes();
    let mut out = String::with_capacity(bytes.len());
    let mut index = 0;
    while let Some(&byte) = bytes.get(index) {
        index += 1;
        match byte {
            b'\\' => out.push('/'),
            b'%' => match escaped(bytes, index) {
                Some(0) => return None,
                Some(code) if code.is_ascii_alphanumeric() || b"-._~".contains(&code) => {
                    out.push(char::from(code));
                    index += 2;
                }
                _ => out.push('%'),
            },
            b' ' | b'"' | b'<' | b'>' | b'`' | b'{' | b'}' | 0..=0x1f | 0x7f.. => {
                out.push('%');
                out.push(char::from(HEX[usize::from(byte >> 4)]));
                out.push(char::from(HEX[usize::from(byte & 15)]));
            }
            _ => out.push(char::from(byte)),
        }
    }
    Some(out)
}

fn escaped(bytes: &[u8], at: usize) -> Option<u8> {
    let digits = bytes.get(at..at + 2)?;
    let high = char::from(digits[0]).to_digit(16)?;
    let low = char::from(digits[1]).to_digit(16)?;
    u8::try_from(high * 16 + low).ok()
}

fn merge_slashes(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !out.ends_with('/') {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests;
