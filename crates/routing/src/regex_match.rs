//! Regular expressions as Envoy's RE2 engine understands them: linear time,
//! ASCII classes, and a match means the whole text.

use regex::bytes::{Regex, RegexBuilder};
use xds::envoy::r#type::matcher::v3 as wire;

use crate::invalid::Invalid;

/// The largest compiled program that is accepted, in bytes: what a tenant
/// writes must not cost the proxy its memory.
const SIZE_LIMIT: usize = 2 << 20;

/// A pattern that must match a whole text.
#[derive(Debug, Clone)]
pub struct FullRegex(Regex);

impl FullRegex {
    /// Compiles a matcher message.
    pub fn compile(matcher: &wire::RegexMatcher) -> Result<FullRegex, Invalid> {
        if matcher.regex.is_empty() {
            return Err(Invalid::new("regex", "is empty"));
        }
        build(&format!(r"\A(?:{})\z", matcher.regex)).map(FullRegex)
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &[u8]) -> bool {
        self.0.is_match(text)
    }
}

/// A pattern and what replaces each place where it is found.
#[derive(Debug, Clone)]
pub struct Substitution {
    pattern: Regex,
    replacement: Vec<Piece>,
}

#[derive(Debug, Clone)]
enum Piece {
    Literal(Vec<u8>),
    Group(usize),
}

impl Substitution {
    /// Compiles a pattern and RE2's replacement text, in which `\1` stands
    /// for the first group and `\\` for a backslash.
    pub fn compile(wire: &wire::RegexMatchAndSubstitute) -> Result<Substitution, Invalid> {
        let pattern = wire.pattern.as_ref().ok_or_else(|| Invalid::new("pattern", "is missing"))?;
        let pattern = build(&pattern.regex)?;
        let replacement = replacement(&wire.substitution, pattern.captures_len())?;
        Ok(Substitution { pattern, replacement })
    }

    /// The text with every match replaced.
    pub fn replace(&self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len() + 16);
        let mut from = 0;
        for captures in self.pattern.captures_iter(text) {
            let Some(whole) = captures.get(0) else { continue };
            out.extend_from_slice(&text[from..whole.start()]);
            for piece in &self.replacement {
                match piece {
                    Piece::Literal(bytes) => out.extend_from_slice(bytes),
                    Piece::Group(group) => {
                        out.extend_from_slice(captures.get(*group).map_or(&[][..], |found| found.as_bytes()));
                    }
                }
            }
            from = whole.end();
        }
        out.extend_from_slice(&text[from..]);
        out
    }
}

fn replacement(text: &str, groups: usize) -> Result<Vec<Piece>, Invalid> {
    let mut pieces = Vec::new();
    let mut literal = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            literal.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'\\') => literal.push(b'\\'),
            Some(digit) if digit.is_ascii_digit() && usize::from(digit - b'0') < groups => {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                pieces.push(Piece::Group(usize::from(digit - b'0')));
            }
            _ => return Err(Invalid::new("substitution", format!("`{text}` names no group of the pattern"))),
        }
    }
    pieces.push(Piece::Literal(literal));
    Ok(pieces)
}

fn build(pattern: &str) -> Result<Regex, Invalid> {
    let ascii = RegexBuilder::new(pattern).unicode(false).size_limit(SIZE_LIMIT).build();
    match ascii {
        Ok(regex) => Ok(regex),
        // A class with letters beyond ASCII needs Unicode mode.
        Err(_) => RegexBuilder::new(pattern)
            .size_limit(SIZE_LIMIT)
            .build()
            .map_err(|error| Invalid::new("regex", error)),
    }
}
