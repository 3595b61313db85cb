//! What certificates say, for rules, logs and headers.

use std::borrow::Cow;
use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{self, SHA256};
use routing::tls::SubjectName;
use rustls::CommonState;
use rustls_pki_types::CertificateDer;
use telemetry::access_log::Fact;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use crate::identities::LinkId;
use crate::tls::forwarded;

/// What a handshake has shown.
#[derive(Debug, Default)]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// As OpenSSL names it.
    pub cipher: &'static str,
    /// An earlier session went on.
    pub resumed: bool,
    /// The application protocol that was agreed on.
    pub alpn: Option<Box<[u8]>>,
    /// The server name that was asked for.
    pub server_name: Box<str>,
    /// What the peer has shown.
    pub peer: Option<Rc<Certificate>>,
    /// What we have shown.
    pub own: Option<Arc<Certificate>>,
    /// The same for metrics, once it was looked up.
    pub link: Cell<Option<LinkId>>,
}

/// What a certificate says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// URIs: who a workload is.
    pub uris: Vec<String>,
    /// Hosts.
    pub hosts: Vec<String>,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
    /// Mail addresses.
    pub mails: Vec<String>,
    /// Whose it is (RFC 2253).
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Its number, in hex.
    pub serial: String,
    /// From when on it is good.
    pub not_before: Option<SystemTime>,
    /// Until when.
    pub not_after: Option<SystemTime>,
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// It and what was shown with it.
    pub chain: Vec<CertificateDer<'static>>,
}

impl TlsFacts {
    /// What is known once the handshake is done.
    pub fn new(state: &CommonState, server_name: &str, own: Option<Arc<Certificate>>) -> TlsFacts {
        let suite = state.negotiated_cipher_suite().map(|suite| suite.suite());
        TlsFacts {
            version: match state.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
                Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
                _ => "",
            },
            cipher: suite.map_or("", cipher_name),
            resumed: state.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
            alpn: state.alpn_protocol().map(Into::into),
            server_name: server_name.into(),
            peer: state.peer_certificates().and_then(Certificate::read).map(Rc::new),
            own,
            link: Cell::default(),
        }
    }

    /// What format strings may say.
    pub fn tell(&self, fact: Fact) -> Option<Cow<'_, str>> {
        let some = |text: &'static str| (!text.is_empty()).then_some(Cow::Borrowed(text));
        let list = |names: &[String]| (!names.is_empty()).then(|| Cow::Owned(names.join(",")));
        let text = |text: &str| (!text.is_empty()).then(|| Cow::Owned(text.to_owned()));
        let peer = self.peer.as_deref();
        let own = self.own.as_deref();
        match fact {
            Fact::Version => some(self.version),
            Fact::Cipher => some(self.cipher),
            Fact::PeerUris => list(&peer?.uris),
            Fact::PeerHosts => list(&peer?.hosts),
            Fact::PeerMails => list(&peer?.mails),
            Fact::PeerAddresses => list(&peer?.addresses.iter().map(ToString::to_string).collect::<Vec<_>>()),
            Fact::PeerSubject => text(&peer?.subject),
            Fact::PeerIssuer => text(&peer?.issuer),
            Fact::PeerSerial => text(&peer?.serial),
            Fact::PeerFingerprint => Some(Cow::Owned(peer?.fingerprint())),
            Fact::PeerCertificate => {
                let chain = &peer?.chain;
                Some(Cow::Owned(forwarded::pem(&chain[..chain.len().min(1)])))
            }
            Fact::OwnUris => list(&own?.uris),
            Fact::OwnHosts => list(&own?.hosts),
            Fact::OwnSubject => text(&own?.subject),
        }
    }
}

fn cipher_name(suite: rustls::CipherSuite) -> &'static str {
    use rustls::CipherSuite as Suite;
    match suite {
        Suite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        Suite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        Suite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        Suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        Suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        Suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        Suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        Suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        Suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        _ => "",
    }
}

impl Certificate {
    /// Reads a chain's first certificate.
    pub fn read(chain: &[CertificateDer<'_>]) -> Option<Certificate> {
        let leaf = chain.first()?;
        let (_, parsed) = X509Certificate::from_der(leaf).ok()?;
        let mut certificate = Certificate {
            subject: name(parsed.subject()),
            issuer: name(parsed.issuer()),
            serial: hex(parsed.raw_serial()),
            not_before: moment(parsed.validity().not_before.timestamp()),
            not_after: moment(parsed.validity().not_after.timestamp()),
            chain: chain.iter().map(|part| part.clone().into_owned()).collect(),
            ..Certificate::default()
        };
        certificate.sha256.copy_from_slice(digest::digest(&SHA256, leaf).as_ref());
        each_name(&parsed, |name| match name {
            SubjectName::Uri(uri) => certificate.uris.push(uri.to_owned()),
            SubjectName::Dns(host) => certificate.hosts.push(host.to_owned()),
            SubjectName::Ip(ip) => certificate.addresses.push(ip),
            SubjectName::Email(mail) => certificate.mails.push(mail.to_owned()),
        });
        Some(certificate)
    }

    /// Its SHA-256 in hex.
    pub fn fingerprint(&self) -> String {
        hex(&self.sha256)
    }
}

/// The names in a certificate.
pub fn names_of(leaf: &CertificateDer<'_>, mut take: impl FnMut(SubjectName<'_>)) -> bool {
    match X509Certificate::from_der(leaf) {
        Ok((_, parsed)) => {
            each_name(&parsed, &mut take);
            true
        }
        Err(_) => false,
    }
}

fn each_name(parsed: &X509Certificate<'_>, mut take: impl FnMut(SubjectName<'_>)) {
    let Ok(Some(names)) = parsed.subject_alternative_name() else { return };
    for name in &names.value.general_names {
        match name {
            // A name with a NUL in it is none.
            GeneralName::URI(text) | GeneralName::DNSName(text) | GeneralName::RFC822Name(text)
                if text.contains('\0') => {}
            GeneralName::URI(uri) => take(SubjectName::Uri(uri)),
            GeneralName::DNSName(host) => take(SubjectName::Dns(host)),
            GeneralName::RFC822Name(mail) => take(SubjectName::Email(mail)),
            GeneralName::IPAddress(bytes) => {
                if let Ok(four) = <[u8; 4]>::try_from(*bytes) {
                    take(SubjectName::Ip(four.into()));
                } else if let Ok(sixteen) = <[u8; 16]>::try_from(*bytes) {
                    take(SubjectName::Ip(sixteen.into()));
                }
            }
            _ => {}
        }
    }
}

/// Seconds since 1970; earlier ones are taken for the beginning.
fn moment(seconds: i64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// In hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// A distinguished name as RFC 2253 writes it: the last part first.
fn name(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter_rdn().collect();
    let part = |attributes: Vec<String>| attributes.join("+");
    let parts = parts.iter().rev().map(|rdn| part(rdn.iter().map(attribute).collect()));
    parts.collect::<Vec<_>>().join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let kind = attribute.attr_type().to_id_string();
    let short = match kind.as_str() {
        "2.5.4.3" => "CN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "street",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        other => other,
    };
    let value = attribute.as_str().unwrap_or_default();
    let mut escaped = String::with_capacity(value.len());
    let last = value.chars().count();
    for (at, character) in value.chars().enumerate() {
        let at_edge = character == ' ' && (at == 0 || at + 1 == last) || character == '#' && at == 0;
        if at_edge || ",+\"\\<>;".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    format!("{short}={escaped}")
}
