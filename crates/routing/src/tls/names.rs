//! Which names a peer's certificate must have.

use std::net::IpAddr;

use xds::envoy::extensions::transport_sockets::tls::v3 as wire;
use xds::envoy::extensions::transport_sockets::tls::v3::subject_alt_name_matcher::SanType;
use xds::envoy::r#type::matcher::v3::string_matcher::MatchPattern;

use crate::invalid::{Invalid, Within};
use crate::string_match::StringMatcher;

/// A name in a certificate (RFC 5280, 4.2.1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name<'n> {
    /// A mail address.
    Email(&'n str),
    /// A host.
    Dns(&'n str),
    /// A URI: who a workload is.
    Uri(&'n str),
    /// An address.
    Ip(IpAddr),
}

/// A test of one kind of name.
#[derive(Debug, Clone)]
pub struct NameMatcher {
    /// `None`: every kind.
    kind: Option<SanType>,
    matcher: StringMatcher,
    /// The one host that is wanted: a certificate's wildcard may stand for it.
    host: Option<Box<str>>,
    /// What is wanted, in words.
    wanted: Box<str>,
}

impl NameMatcher {
    pub(super) fn compile_all(
        wire: &wire::CertificateValidationContext,
    ) -> Result<Box<[NameMatcher]>, Invalid> {
        let typed =
            wire.match_typed_subject_alt_names.iter().enumerate().map(|(at, entry)| {
                NameMatcher::compile(entry).within_entry("match_typed_subject_alt_names", at)
            });
        #[allow(deprecated, reason = "Istio still sends it")]
        let untyped = wire.match_subject_alt_names.iter().enumerate().map(|(at, matcher)| {
            NameMatcher::of_kind(None, matcher).within_entry("match_subject_alt_names", at)
        });
        typed.chain(untyped).collect()
    }

    fn compile(wire: &wire::SubjectAltNameMatcher) -> Result<NameMatcher, Invalid> {
        let kind = match SanType::try_from(wire.san_type) {
            Ok(kind @ (SanType::Email | SanType::Dns | SanType::Uri | SanType::IpAddress)) => kind,
            _ => return Err(Invalid::new("san_type", "is not supported")),
        };
        match &wire.matcher {
            Some(matcher) => NameMatcher::of_kind(Some(kind), matcher),
            None => Err(Invalid::new("matcher", "is missing")),
        }
    }

    fn of_kind(
        kind: Option<SanType>,
        wire: &xds::envoy::r#type::matcher::v3::StringMatcher,
    ) -> Result<NameMatcher, Invalid> {
        let hosts = matches!(kind, None | Some(SanType::Dns));
        let (host, wanted) = match &wire.match_pattern {
            Some(MatchPattern::Exact(exact)) => (hosts.then(|| exact.as_str().into()), exact.clone()),
            Some(MatchPattern::Prefix(prefix)) => (None, format!("{prefix}*")),
            Some(MatchPattern::Suffix(suffix)) => (None, format!("*{suffix}")),
            Some(MatchPattern::Contains(part)) => (None, format!("*{part}*")),
            Some(MatchPattern::SafeRegex(regex)) => (None, format!("/{}/", regex.regex)),
            _ => (None, String::new()),
        };
        Ok(NameMatcher {
            kind,
            matcher: StringMatcher::compile(wire).within("matcher")?,
            host,
            wanted: wanted.into(),
        })
    }

    /// Whether the name is one that is wanted.
    pub fn matches(&self, name: &Name<'_>) -> bool {
        let (kind, text) = match name {
            Name::Email(text) => (SanType::Email, *text),
            Name::Dns(text) => (SanType::Dns, *text),
            Name::Uri(text) => (SanType::Uri, *text),
            Name::Ip(ip) => {
                let fits = self.kind.is_none_or(|wanted| wanted == SanType::IpAddress);
                return fits && self.matcher.matches(ip.to_string().as_bytes());
            }
        };
        if self.kind.is_some_and(|wanted| wanted != kind) {
            return false;
        }
        match &self.host {
            Some(host) if kind == SanType::Dns => stands_for(text, host),
            _ => self.matcher.matches(text.as_bytes()),
        }
    }

    /// What is wanted, in words.
    pub fn wanted(&self) -> &str {
        &self.wanted
    }
}

/// Whether a host name of a certificate, maybe with a wildcard, stands for
/// the host: a wildcard is a part of the first label alone.
fn stands_for(pattern: &str, host: &str) -> bool {
    if pattern.eq_ignore_ascii_case(host) {
        return true;
    }
    let Some((label, rest)) = pattern.split_once('.') else { return false };
    let Some((host_label, host_rest)) = host.split_once('.') else { return false };
    let Some((before, after)) = label.split_once('*') else { return false };
    if after.contains('*') || rest.contains('*') || !rest.eq_ignore_ascii_case(host_rest) {
        return false;
    }
    let is_encoded = label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("xn--"));
    !is_encoded
        && host_label.len() > before.len() + after.len()
        && host_label.get(..before.len()).is_some_and(|start| start.eq_ignore_ascii_case(before))
        && host_label.get(host_label.len() - after.len()..).is_some_and(|end| end.eq_ignore_ascii_case(after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_one_label() {
        let table = [
            ("a.test", "a.test", true),
            ("A.test", "a.TEST", true),
            ("*.test", "a.test", true),
            ("*.test", "a.b.test", false),
            ("*.test", ".test", false),
            ("a*.test", "ab.test", true),
            ("a*.test", "a.test", false),
            ("*.*.test", "a.b.test", false),
            ("xn--*.test", "xn--a.test", false),
            ("*", "a", false),
            ("b.test", "a.test", false),
        ];
        for (pattern, host, expected) in table {
            assert_eq!(stands_for(pattern, host), expected, "{pattern} for {host}");
        }
    }
}
