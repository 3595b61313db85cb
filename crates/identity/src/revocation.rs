//! Revocation lists (RFC 5280, section 5): which certificates no longer prove
//! anything, although they have not expired.

use std::time::SystemTime;

use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::certificate;
use crate::instant;
use crate::pem::{self, NotPem};

/// Why a list is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// No PEM.
    #[error("read a revocation list")]
    Pem(#[source] NotPem),
    /// No list.
    #[error("this is no X.509 revocation list")]
    Malformed,
    /// Signed by nobody whom we know.
    #[error("the revocation list of `{issuer}` is signed by none of the mesh's authorities")]
    Unsigned {
        /// Who is said to have made it.
        issuer: String,
    },
}

/// A list that one of the authorities has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationList {
    /// The list itself.
    pub der: CertificateRevocationListDer<'static>,
    /// Serial numbers in hexadecimal.
    pub serials: Vec<String>,
    /// When the next list was promised; an old one is used on, and told.
    pub next_update: Option<SystemTime>,
}

impl RevocationList {
    /// Whether a newer list should be there by now.
    pub fn is_overdue(&self, now: SystemTime) -> bool {
        self.next_update.is_some_and(|next| next < now)
    }
}

/// Reads all lists of a text; each must be signed by one of `authorities`.
pub fn read(text: &[u8], authorities: &[CertificateDer<'_>]) -> Result<Vec<RevocationList>, RevocationError> {
    let lists = pem::revocation_lists(text).map_err(RevocationError::Pem)?;
    lists.into_iter().map(|der| check(der, authorities)).collect()
}

fn check(
    der: CertificateRevocationListDer<'static>,
    authorities: &[CertificateDer<'_>],
) -> Result<RevocationList, RevocationError> {
    let (rest, list) = CertificateRevocationList::from_der(&der).map_err(|_| RevocationError::Malformed)?;
    if !rest.is_empty() {
        return Err(RevocationError::Malformed);
    }
    let signed =
        authorities.iter().filter_map(|authority| certificate::parse(authority).ok()).any(|authority| {
            authority.is_ca()
                && authority.subject().as_raw() == list.issuer().as_raw()
                && list.verify_signature(authority.public_key()).is_ok()
        });
    if !signed {
        return Err(RevocationError::Unsigned { issuer: list.issuer().to_string() });
    }
    let hex = |serial: &[u8]| serial.iter().map(|byte| format!("{byte:02x}")).collect();
    let serials = list.iter_revoked_certificates().map(|revoked| hex(revoked.raw_serial())).collect();
    let next_update = list.next_update().map(instant::of_asn1);
    Ok(RevocationList { serials, next_update, der })
}

#[cfg(test)]
mod tests;
