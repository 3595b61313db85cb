//! What a certificate says.

use std::time::SystemTime;

use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use crate::instant::{self, Validity};
use crate::spiffe::{NotAnIdentity, SpiffeId};

/// Why a certificate cannot be read, or proves nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// No X.509.
    #[error("this is no X.509 certificate")]
    Malformed,
    /// No URI among the names, or more than one (X509-SVID, section 2).
    #[error("a workload's certificate names one identity, this one {0}")]
    NotOneIdentity(usize),
    /// The name is no workload's.
    #[error("`{name}` is no workload's identity")]
    Identity {
        /// As it is written.
        name: String,
        /// Why.
        source: NotAnIdentity,
    },
    /// It signs others: such a one proves no workload (X509-SVID, 4.1).
    #[error("an authority's certificate proves no workload's identity")]
    IsAuthority,
}

/// What is told of a certificate to people and machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its serial number, in hexadecimal.
    pub serial: String,
    /// The subject as text; empty in a workload's.
    pub subject: String,
    /// The URIs that it names.
    pub uris: Vec<String>,
    /// Its public key, with the algorithm.
    pub public_key: Vec<u8>,
    /// When it holds.
    pub validity: Validity,
    /// Whether it may sign others.
    pub is_authority: bool,
}

/// Reads a certificate; nothing may follow it.
pub fn facts(der: &CertificateDer<'_>) -> Result<Facts, CertificateError> {
    let certificate = parse(der)?;
    Ok(Facts {
        serial: certificate.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect(),
        subject: certificate.subject().to_string(),
        uris: uris(&certificate)?.into_iter().map(ToOwned::to_owned).collect(),
        public_key: certificate.public_key().raw.to_vec(),
        validity: validity(&certificate),
        is_authority: certificate.is_ca(),
    })
}

/// Whose certificate it is.  That it holds is for the TLS library to check.
pub fn identity(der: &CertificateDer<'_>) -> Result<SpiffeId, CertificateError> {
    let certificate = parse(der)?;
    if certificate.is_ca() {
        return Err(CertificateError::IsAuthority);
    }
    match uris(&certificate)?[..] {
        [name] => name.parse().map_err(|source| CertificateError::Identity { name: name.to_owned(), source }),
        ref other => Err(CertificateError::NotOneIdentity(other.len())),
    }
}

/// When the first of several certificates ends to hold.
pub fn first_expiry<'a>(chain: impl IntoIterator<Item = &'a CertificateDer<'a>>) -> Option<SystemTime> {
    chain.into_iter().filter_map(|der| Some(validity(&parse(der).ok()?).not_after)).min()
}

pub(crate) fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, CertificateError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(CertificateError::Malformed),
    }
}

pub(crate) fn validity(certificate: &X509Certificate<'_>) -> Validity {
    let validity = certificate.validity();
    Validity {
        not_before: instant::of_asn1(validity.not_before),
        not_after: instant::of_asn1(validity.not_after),
    }
}

fn uris<'a>(certificate: &'a X509Certificate<'_>) -> Result<Vec<&'a str>, CertificateError> {
    let names = certificate.subject_alternative_name().map_err(|_| CertificateError::Malformed)?;
    let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    Ok(names
        .iter()
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        })
        .collect())
}
