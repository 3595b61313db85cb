//! What format strings can say about TLS.

/// Which connection is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client's.
    Downstream,
    /// The one to the endpoint.
    Upstream,
}

/// What is asked about its TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// `TLSv1.3`.
    Version,
    /// The cipher suite, as OpenSSL names it.
    Cipher,
    /// URIs of the peer's certificate.
    PeerUris,
    /// Hosts of the peer's certificate.
    PeerHosts,
    /// Addresses of the peer's certificate.
    PeerAddresses,
    /// Mail addresses of the peer's certificate.
    PeerMails,
    /// Whose the peer's certificate is.
    PeerSubject,
    /// Who signed it.
    PeerIssuer,
    /// Its number.
    PeerSerial,
    /// Its SHA-256.
    PeerFingerprint,
    /// All of it, as PEM in URL encoding.
    PeerCertificate,
    /// URIs of our certificate.
    OwnUris,
    /// Hosts of our certificate.
    OwnHosts,
    /// Whose our certificate is.
    OwnSubject,
}

/// The operator's meaning.
pub(super) fn operator(name: &str) -> Option<(Side, Fact)> {
    let (side, rest) = match name.strip_prefix("DOWNSTREAM_") {
        Some(rest) => (Side::Downstream, rest),
        None => (Side::Upstream, name.strip_prefix("UPSTREAM_")?),
    };
    let fact = match rest {
        "TLS_VERSION" => Fact::Version,
        "TLS_CIPHER" => Fact::Cipher,
        "PEER_URI_SAN" => Fact::PeerUris,
        "PEER_DNS_SAN" => Fact::PeerHosts,
        "PEER_IP_SAN" => Fact::PeerAddresses,
        "PEER_EMAIL_SAN" => Fact::PeerMails,
        "PEER_SUBJECT" => Fact::PeerSubject,
        "PEER_ISSUER" => Fact::PeerIssuer,
        "PEER_SERIAL" => Fact::PeerSerial,
        "PEER_FINGERPRINT_256" => Fact::PeerFingerprint,
        "PEER_CERT" => Fact::PeerCertificate,
        "LOCAL_URI_SAN" => Fact::OwnUris,
        "LOCAL_DNS_SAN" => Fact::OwnHosts,
        "LOCAL_SUBJECT" => Fact::OwnSubject,
        _ => return None,
    };
    Some((side, fact))
}
