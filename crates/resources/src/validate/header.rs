//! Rules for header names and values.

use std::collections::BTreeMap;

use super::Checker;
use crate::path::Trail;
use crate::problem::Code;
use crate::virtual_service::{HeaderOperations, Headers};

/// Pseudo headers that a match may name.
const PSEUDO: [&str; 5] = [":method", ":scheme", ":authority", ":path", ":status"];
/// What a claim of a token begins with where a header may stand.
const CLAIM_PREFIX: &str = "@request.auth.claims";

impl Checker<'_> {
    /// The name of a header that is compared.
    pub(crate) fn matched_header(&mut self, at: &Trail<'_>, name: &str) {
        if !is_claim(name) && !PSEUDO.contains(&name) && !is_token(name) {
            self.note(at, Code::InvalidHeaderName, format!("`{name}` is not a valid header name"));
        }
    }

    /// The name of a header in a cross-origin policy.
    pub(crate) fn cors_header(&mut self, at: &Trail<'_>, name: &str) {
        if name != "*" && !is_token(name) {
            self.note(at, Code::InvalidHeaderName, format!("`{name}` is not a valid header name"));
        }
    }

    /// Operations on headers.
    pub(crate) fn headers(&mut self, at: &Trail<'_>, headers: Option<&Headers>) {
        let Some(headers) = headers else { return };
        if let Some(operations) = &headers.request {
            self.header_operations(&at.key("request"), operations, Authority::Changeable);
        }
        if let Some(operations) = &headers.response {
            self.header_operations(&at.key("response"), operations, Authority::Fixed);
        }
    }

    fn header_operations(&mut self, at: &Trail<'_>, operations: &HeaderOperations, authority: Authority) {
        self.written_headers(&at.key("set"), &operations.set, authority);
        self.written_headers(&at.key("add"), &operations.add, authority);
        for (index, name) in operations.remove.iter().enumerate() {
            self.changed_header(&at.key("remove").index(index), name, Authority::Fixed);
        }
    }

    fn written_headers(&mut self, at: &Trail<'_>, headers: &BTreeMap<String, String>, authority: Authority) {
        for (name, value) in headers {
            self.changed_header(&at.key(name), name, authority);
            self.header_value(&at.key(name), value);
        }
    }

    fn changed_header(&mut self, at: &Trail<'_>, name: &str, authority: Authority) {
        if name.is_empty() {
            self.note(at, Code::InvalidHeaderName, "a header without a name");
        } else if is_authority(name) {
            if authority == Authority::Fixed {
                self.note(at, Code::InvalidHeaderName, format!("`{name}` cannot be changed here"))
                    .help("set it on the request, or use `rewrite.authority`");
            }
        } else if name.starts_with(':') {
            self.note(at, Code::InvalidHeaderName, format!("the pseudo header `{name}` cannot be changed"));
        } else if !is_token(name) {
            self.note(at, Code::InvalidHeaderName, format!("`{name}` is not a valid header name"));
        }
    }

    fn header_value(&mut self, at: &Trail<'_>, value: &str) {
        let control = |byte: u8| (byte < 0x20 && byte != b'\t') || byte == 0x7f;
        if value.bytes().any(control) {
            self.note(at, Code::InvalidHeaderValue, "a header value holds no control characters");
        } else if let Err(reason) = check_format(value) {
            self.note(at, Code::InvalidHeaderValue, format!("in the header value `{value}`, {reason}"))
                .help("`%` begins a command such as `%START_TIME%`; write `%%` for the character");
        }
    }
}

/// Whether operations may set the authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Authority {
    Changeable,
    Fixed,
}

/// Whether a name stands for the authority of a request.
pub(crate) fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case(":authority") || name.eq_ignore_ascii_case("host")
}

/// Whether a name stands for a claim of a token: `@request.auth.claims.sub`.
pub(crate) fn is_claim(name: &str) -> bool {
    let Some(prefix) = name.get(..CLAIM_PREFIX.len()) else { return false };
    let rest = &name[CLAIM_PREFIX.len()..];
    prefix.eq_ignore_ascii_case(CLAIM_PREFIX)
        && ((rest.starts_with('.') && rest.len() > 1)
            || (rest.starts_with('[') && rest.ends_with(']') && rest.len() > 2))
}

/// A token of RFC 9110.
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Checks commands in a value: every `%` is doubled, or begins `%NAME%` or `%NAME(...)%`.
fn check_format(value: &str) -> Result<(), &'static str> {
    let mut rest = value;
    while let Some(at) = rest.find('%') {
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            rest = after;
            continue;
        }
        let end = rest.find(['%', '(']).ok_or("a command is not closed with `%`")?;
        if rest[end..].starts_with('%') {
            rest = &rest[end + 1..];
            continue;
        }
        let arguments = &rest[end + 1..];
        let close = arguments.find(')').ok_or("the arguments of a command are not closed with `)`")?;
        let after = arguments[close + 1..].trim_start_matches(|c: char| c == ':' || c.is_ascii_digit());
        rest = after.trim_start_matches(' ').strip_prefix('%').ok_or("a command is not closed with `%`")?;
    }
    Ok(())
}
