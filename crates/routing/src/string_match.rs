//! Envoy's string matcher.

use xds::envoy::r#type::matcher::v3 as wire;

use crate::invalid::{Invalid, Within};
use crate::regex_match::FullRegex;

/// A test of one text.
#[derive(Debug, Clone)]
pub struct StringMatcher {
    pattern: Pattern,
    ignore_case: bool,
}

#[derive(Debug, Clone)]
enum Pattern {
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
    Suffix(Box<[u8]>),
    Contains(Box<[u8]>),
    Regex(FullRegex),
}

impl StringMatcher {
    /// Compiles a matcher message.
    pub fn compile(matcher: &wire::StringMatcher) -> Result<StringMatcher, Invalid> {
        use wire::string_matcher::MatchPattern;
        let text = |text: &str| -> Box<[u8]> { text.as_bytes().into() };
        let pattern = match &matcher.match_pattern {
            Some(MatchPattern::Exact(exact)) => Pattern::Exact(text(exact)),
            Some(MatchPattern::Prefix(prefix)) => Pattern::Prefix(text(prefix)),
            Some(MatchPattern::Suffix(suffix)) => Pattern::Suffix(text(suffix)),
            // Envoy lowers the needle once and the text at each match.
            Some(MatchPattern::Contains(part)) if matcher.ignore_case => {
                Pattern::Contains(text(&part.to_ascii_lowercase()))
            }
            Some(MatchPattern::Contains(part)) => Pattern::Contains(text(part)),
            Some(MatchPattern::SafeRegex(regex)) => {
                Pattern::Regex(FullRegex::compile(regex).within("safe_regex")?)
            }
            Some(MatchPattern::Custom(_)) => return Err(Invalid::new("custom", "is not supported")),
            None => return Err(Invalid::new("match_pattern", "is missing")),
        };
        Ok(StringMatcher { pattern, ignore_case: matcher.ignore_case })
    }

    /// A case-sensitive exact match.
    pub fn exact(text: &str) -> StringMatcher {
        StringMatcher { pattern: Pattern::Exact(text.as_bytes().into()), ignore_case: false }
    }

    /// A case-sensitive match of the beginning.
    pub fn prefix(text: &str) -> StringMatcher {
        StringMatcher { pattern: Pattern::Prefix(text.as_bytes().into()), ignore_case: false }
    }

    /// A case-sensitive match of the end.
    pub fn suffix(text: &str) -> StringMatcher {
        StringMatcher { pattern: Pattern::Suffix(text.as_bytes().into()), ignore_case: false }
    }

    /// A case-sensitive match of a part.
    pub fn contains(text: &str) -> StringMatcher {
        StringMatcher { pattern: Pattern::Contains(text.as_bytes().into()), ignore_case: false }
    }

    /// A match of the whole text by a pattern.
    pub fn regex(regex: FullRegex) -> StringMatcher {
        StringMatcher { pattern: Pattern::Regex(regex), ignore_case: false }
    }

    /// Whether the text matches.
    pub fn matches(&self, text: &[u8]) -> bool {
        match &self.pattern {
            Pattern::Exact(exact) if self.ignore_case => text.eq_ignore_ascii_case(exact),
            Pattern::Exact(exact) => text == &**exact,
            Pattern::Prefix(prefix) => text.get(..prefix.len()).is_some_and(|start| self.same(start, prefix)),
            Pattern::Suffix(suffix) => {
                text.len().checked_sub(suffix.len()).is_some_and(|start| self.same(&text[start..], suffix))
            }
            Pattern::Contains(part) if self.ignore_case => {
                memchr::memmem::find(&text.to_ascii_lowercase(), part).is_some()
            }
            Pattern::Contains(part) => memchr::memmem::find(text, part).is_some(),
            Pattern::Regex(regex) => regex.matches(text),
        }
    }

    fn same(&self, left: &[u8], right: &[u8]) -> bool {
        if self.ignore_case { left.eq_ignore_ascii_case(right) } else { left == right }
    }
}
