//! SPIFFE identities: `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT`.
//!
//! Source: the SPIFFE-ID specification, sections 2.1 to 2.3; the path is Istio's.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Longest identity that is valid, in bytes (SPIFFE-ID, 2.3).
const LONGEST: usize = 2048;

/// Longest trust domain that is valid, in bytes (SPIFFE-ID, 2.3).
const LONGEST_TRUST_DOMAIN: usize = 255;

const SCHEME: &str = "spiffe://";

/// Why a text is no identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotAnIdentity {
    /// Another scheme, or none.
    #[error("a SPIFFE identity begins with `spiffe://`")]
    Scheme,
    /// Empty, too long, or with a character that no trust domain has.
    #[error("a trust domain has 1 to 255 of `a-z`, `0-9`, `.`, `-` and `_`")]
    TrustDomain,
    /// Empty segments, dots, or a character that no path has.
    #[error("a path has segments of `A-Z`, `a-z`, `0-9`, `.`, `-` and `_`; none is empty, `.` or `..`")]
    Path,
    /// Not `/ns/NAMESPACE/sa/SERVICE-ACCOUNT`.
    #[error("a workload's path is `/ns/NAMESPACE/sa/SERVICE-ACCOUNT`")]
    Workload,
    /// Over 2,048 bytes.
    #[error("a SPIFFE identity has at most 2,048 bytes")]
    TooLong,
}

/// The root of a set of identities: `cluster.local` by default.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrustDomain(String);

impl TrustDomain {
    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TrustDomain {
    fn default() -> Self {
        Self("cluster.local".to_owned())
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for TrustDomain {
    type Err = NotAnIdentity;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
        if text.is_empty() || text.len() > LONGEST_TRUST_DOMAIN || !text.bytes().all(valid) {
            return Err(NotAnIdentity::TrustDomain);
        }
        Ok(Self(text.to_owned()))
    }
}

/// The identity of a workload: its trust domain, namespace and service account.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpiffeId {
    trust_domain: TrustDomain,
    namespace: String,
    service_account: String,
}

impl SpiffeId {
    /// The identity of a service account.
    pub fn new(
        trust_domain: TrustDomain,
        namespace: &str,
        service_account: &str,
    ) -> Result<Self, NotAnIdentity> {
        if !is_segment(namespace) || !is_segment(service_account) {
            return Err(NotAnIdentity::Path);
        }
        let id = Self {
            trust_domain,
            namespace: namespace.to_owned(),
            service_account: service_account.to_owned(),
        };
        if id.to_string().len() > LONGEST { Err(NotAnIdentity::TooLong) } else { Ok(id) }
    }

    /// Where the identity is valid.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The service account's namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The service account's name.
    pub fn service_account(&self) -> &str {
        &self.service_account
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trust_domain, namespace, service_account } = self;
        write!(formatter, "{SCHEME}{trust_domain}/ns/{namespace}/sa/{service_account}")
    }
}

impl FromStr for SpiffeId {
    type Err = NotAnIdentity;

    /// Parses strictly: what another reader could take for something else is
    /// refused (no percent-encoding, port, user, query or fragment).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > LONGEST {
            return Err(NotAnIdentity::TooLong);
        }
        let rest = text.strip_prefix(SCHEME).ok_or(NotAnIdentity::Scheme)?;
        let (trust_domain, path) = rest.split_once('/').ok_or(NotAnIdentity::Workload)?;
        let trust_domain = trust_domain.parse()?;
        let segments: Vec<&str> = path.split('/').collect();
        if !segments.iter().all(|segment| is_segment(segment)) {
            return Err(NotAnIdentity::Path);
        }
        match segments[..] {
            ["ns", namespace, "sa", service_account] => Self::new(trust_domain, namespace, service_account),
            _ => Err(NotAnIdentity::Workload),
        }
    }
}

/// Whether `text` can stand between two slashes of a path.
fn is_segment(text: &str) -> bool {
    let valid = |byte: u8| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    !text.is_empty() && text != "." && text != ".." && text.bytes().all(valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_what_it_is_written_as() {
        let text = "spiffe://cluster.local/ns/default/sa/bookinfo-reviews";
        let id: SpiffeId = text.parse().expect("valid");
        assert_eq!(id.trust_domain(), &TrustDomain::default());
        assert_eq!((id.namespace(), id.service_account()), ("default", "bookinfo-reviews"));
        assert_eq!(id.to_string(), text);
    }

    #[test]
    fn what_two_could_read_differently_is_none() {
        use NotAnIdentity::{Path, Scheme, TooLong, TrustDomain, Workload};
        let long = format!("spiffe://td/ns/{}/sa/b", "a".repeat(2048));
        for (text, reason) in [
            ("", Scheme),
            ("SPIFFE://td/ns/a/sa/b", Scheme),
            ("https://td/ns/a/sa/b", Scheme),
            ("spiffe://", Workload),
            ("spiffe://td", Workload),
            ("spiffe:///ns/a/sa/b", TrustDomain),
            ("spiffe://TD/ns/a/sa/b", TrustDomain),
            ("spiffe://user@td/ns/a/sa/b", TrustDomain),
            ("spiffe://td:443/ns/a/sa/b", TrustDomain),
            ("spiffe://td/ns/a/sa/b/", Path),
            ("spiffe://td/ns//sa/b", Path),
            ("spiffe://td/ns/../sa/b", Path),
            ("spiffe://td/ns/a%2fb/sa/c", Path),
            ("spiffe://td/ns/a/sa/b?c=d", Path),
            ("spiffe://td/ns/a/sa/b#c", Path),
            ("spiffe://td/ns/a/sa/b\n", Path),
            ("spiffe://td/ns/a/b", Workload),
            ("spiffe://td/sa/b/ns/a", Workload),
            (&long, TooLong),
        ] {
            assert_eq!(text.parse::<SpiffeId>(), Err(reason), "{text:?}");
        }
        assert_eq!(SpiffeId::new(super::TrustDomain::default(), "a/b", "c"), Err(Path));
    }
}
