//! Text armour: certificates, keys, requests and revocation lists as PEM.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::pem::{PemObject as _, SectionKind};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use zeroize::Zeroizing;

/// Characters of base64 in a line (RFC 7468, section 2).
const LINE: usize = 64;

/// Why a text is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPem {
    /// A section begins and does not end, or is no base64.
    #[error("the PEM is broken: {0}")]
    Broken(String),
    /// No section of the kind is there.
    #[error("there is no `{0}` section")]
    Missing(&'static str),
}

/// The certificates of a text, in their order; at least one.
pub fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, NotPem> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match found {
        Ok(certificates) if certificates.is_empty() => Err(NotPem::Missing("CERTIFICATE")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(broken(&error)),
    }
}

/// The revocation lists of a text; an empty text has none.
pub fn revocation_lists(text: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, NotPem> {
    let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(text).collect();
    found.map_err(|error| broken(&error))
}

/// The first private key of a text.
pub fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, NotPem> {
    match PrivateKeyDer::from_pem_slice(text) {
        Ok(key) => Ok(key),
        Err(rustls_pki_types::pem::Error::NoItemsFound) => Err(NotPem::Missing("PRIVATE KEY")),
        Err(error) => Err(broken(&error)),
    }
}

/// The signing request of a text.
pub fn request(text: &[u8]) -> Result<Vec<u8>, NotPem> {
    let mut sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(text);
    sections
        .find_map(|section| match section {
            Ok((SectionKind::Csr, der)) => Some(Ok(der)),
            Ok(_) => None,
            Err(error) => Some(Err(broken(&error))),
        })
        .unwrap_or(Err(NotPem::Missing("CERTIFICATE REQUEST")))
}

/// Certificates one after the other.
pub fn of_certificates<'a>(certificates: impl IntoIterator<Item = &'a CertificateDer<'a>>) -> String {
    certificates.into_iter().map(|certificate| section("CERTIFICATE", certificate)).collect()
}

/// Revocation lists one after the other.
pub fn of_revocation_lists<'a>(
    lists: impl IntoIterator<Item = &'a CertificateRevocationListDer<'a>>,
) -> String {
    lists.into_iter().map(|list| section("X509 CRL", list)).collect()
}

/// A signing request.
pub fn of_request(der: &[u8]) -> String {
    section("CERTIFICATE REQUEST", der)
}

/// A private key; the text is wiped when it is dropped.
pub fn of_private_key(key: &PrivateKeyDer<'_>) -> Zeroizing<String> {
    let label = match key {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    Zeroizing::new(section(label, key.secret_der()))
}

/// One section.  All of it is written into one allocation, so that no copy of
/// a key is left behind.
fn section(label: &str, der: &[u8]) -> String {
    let encoded = der.len().div_ceil(3) * 4;
    let mut text = String::with_capacity(encoded + encoded / LINE + 2 * label.len() + 40);
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    for piece in der.chunks(LINE / 4 * 3) {
        STANDARD.encode_string(piece, &mut text);
        text.push('\n');
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

fn broken(error: &rustls_pki_types::pem::Error) -> NotPem {
    NotPem::Broken(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let certificates: Vec<_> =
            [1usize, 47, 48, 49, 500].map(|length| CertificateDer::from(vec![7; length])).into();
        let text = of_certificates(&certificates);
        assert!(text.lines().all(|line| line.len() <= LINE), "{text}");
        assert_eq!(super::certificates(text.as_bytes()), Ok(certificates));
        let key = PrivateKeyDer::Pkcs8(vec![1, 2, 3].into());
        let text = of_private_key(&key);
        assert_eq!(private_key(text.as_bytes()), Ok(key));
        assert_eq!(request(of_request(&[5]).as_bytes()), Ok(vec![5]));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(certificates(b"nothing"), Err(NotPem::Missing("CERTIFICATE")));
        assert_eq!(private_key(b""), Err(NotPem::Missing("PRIVATE KEY")));
        let certificate = of_certificates(&[CertificateDer::from(vec![1])]);
        assert_eq!(request(certificate.as_bytes()), Err(NotPem::Missing("CERTIFICATE REQUEST")));
        assert_eq!(revocation_lists(b""), Ok(Vec::new()));
        assert!(matches!(
            certificates(b"-----BEGIN CERTIFICATE-----\nAAAA\n"),
            Err(NotPem::Broken(_) | NotPem::Missing(_))
        ));
    }
}
