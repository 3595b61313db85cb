//! What a decision needs to see of a request, and Envoy's header matcher.

use smallvec::SmallVec;
use xds::envoy::config::route::v3 as wire;

use crate::invalid::{Invalid, Within};
use crate::regex_match::FullRegex;
use crate::string_match::StringMatcher;

/// A request's head as decisions see it. Names are asked for in lower case;
/// `:method`, `:path`, `:authority` and `:scheme` are names too.
pub trait RequestHead {
    /// The request method.
    fn method(&self) -> &str;
    /// Path and query.
    fn path(&self) -> &str;
    /// The host that is asked for, with its port if one was written.
    fn authority(&self) -> &str;
    /// `http` or `https`.
    fn scheme(&self) -> &str;
    /// Every value of a header, in the order received. Pseudo headers are
    /// not looked up here.
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]>;
}

/// The value of a header, pseudo headers included; several lines of one name
/// are joined with commas as Envoy does.
pub fn joined<'a, R: RequestHead>(request: &'a R, name: &'a str) -> Option<std::borrow::Cow<'a, [u8]>> {
    use std::borrow::Cow;
    match name {
        ":method" => return Some(Cow::Borrowed(request.method().as_bytes())),
        ":path" => return Some(Cow::Borrowed(request.path().as_bytes())),
        ":authority" | "host" => return Some(Cow::Borrowed(request.authority().as_bytes())),
        ":scheme" => return Some(Cow::Borrowed(request.scheme().as_bytes())),
        _ => {}
    }
    let values: SmallVec<[&[u8]; 2]> = request.values(name).collect();
    match values.as_slice() {
        [] => None,
        [one] => Some(Cow::Borrowed(one)),
        several => Some(Cow::Owned(several.join(&b","[..]))),
    }
}

/// A test of one header of a request or response.
#[derive(Debug, Clone)]
pub struct HeaderMatcher {
    name: Box<str>,
    test: Test,
    invert: bool,
    missing_is_empty: bool,
}

#[derive(Debug, Clone)]
enum Test {
    Present(bool),
    Text(StringMatcher),
    Range { start: i64, end: i64 },
}

impl HeaderMatcher {
    /// Compiles a list of matcher messages.
    pub fn compile_all(wire: &[wire::HeaderMatcher]) -> Result<Box<[HeaderMatcher]>, Invalid> {
        wire.iter()
            .enumerate()
            .map(|(index, matcher)| HeaderMatcher::compile(matcher).within_entry("headers", index))
            .collect()
    }

    /// Compiles a matcher message.
    pub fn compile(matcher: &wire::HeaderMatcher) -> Result<HeaderMatcher, Invalid> {
        use wire::header_matcher::HeaderMatchSpecifier as Specifier;
        if matcher.name.is_empty() {
            return Err(Invalid::new("name", "is empty"));
        }
        let test = match &matcher.header_match_specifier {
            None => Test::Present(true),
            Some(Specifier::PresentMatch(present)) => Test::Present(*present),
            Some(Specifier::ExactMatch(text)) => Test::Text(StringMatcher::exact(text)),
            Some(Specifier::PrefixMatch(text)) => Test::Text(StringMatcher::prefix(text)),
            Some(Specifier::SuffixMatch(text)) => Test::Text(StringMatcher::suffix(text)),
            Some(Specifier::ContainsMatch(text)) => Test::Text(StringMatcher::contains(text)),
            Some(Specifier::SafeRegexMatch(regex)) => {
                Test::Text(StringMatcher::regex(FullRegex::compile(regex).within("safe_regex_match")?))
            }
            Some(Specifier::StringMatch(matcher)) => {
                Test::Text(StringMatcher::compile(matcher).within("string_match")?)
            }
            Some(Specifier::RangeMatch(range)) => Test::Range { start: range.start, end: range.end },
        };
        Ok(HeaderMatcher {
            name: matcher.name.to_ascii_lowercase().into(),
            test,
            invert: matcher.invert_match,
            missing_is_empty: matcher.treat_missing_header_as_empty,
        })
    }

    /// A header that has to be there.
    pub fn present(name: &str) -> HeaderMatcher {
        HeaderMatcher {
            name: name.to_ascii_lowercase().into(),
            test: Test::Present(true),
            invert: false,
            missing_is_empty: false,
        }
    }

    /// The header's name in lower case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a request matches.
    pub fn matches<R: RequestHead>(&self, request: &R) -> bool {
        self.matches_value(joined(request, &self.name).as_deref())
    }

    /// Whether the joined value of the header, `None` when it is absent,
    /// matches.
    pub fn matches_value(&self, value: Option<&[u8]>) -> bool {
        if let Test::Present(present) = self.test {
            return (value.is_some() == present) != self.invert;
        }
        let value = match value {
            Some(value) => value,
            None if self.missing_is_empty => &[],
            // Inverted or not, a value test says nothing about no value.
            None => return false,
        };
        let found = match &self.test {
            Test::Present(_) => true,
            Test::Text(matcher) => matcher.matches(value),
            Test::Range { start, end } => {
                integer(value).is_some_and(|number| (*start..*end).contains(&number))
            }
        };
        found != self.invert
    }
}

fn integer(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.trim_ascii().parse().ok()
}
