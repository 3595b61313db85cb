//! Trust bundles: the roots by which peers are believed.
//!
//! While a root is replaced, a bundle holds both, so that certificates of
//! either are believed until the last of the old one's has expired.

use std::time::SystemTime;

use rustls_pki_types::CertificateDer;

use crate::certificate;
use crate::pem::{self, NotPem};

/// Roots, each once, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bundle {
    roots: Vec<CertificateDer<'static>>,
}

impl Bundle {
    /// The roots in their order; what is there twice counts once.
    pub fn of(roots: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        let mut bundle = Self::default();
        for root in roots {
            if !bundle.roots.contains(&root) {
                bundle.roots.push(root);
            }
        }
        bundle
    }

    /// Reads a text with at least one root.
    pub fn from_pem(text: &[u8]) -> Result<Self, NotPem> {
        pem::certificates(text).map(Self::of)
    }

    /// As text.
    pub fn to_pem(&self) -> String {
        pem::of_certificates(&self.roots)
    }

    /// The roots.
    pub fn roots(&self) -> &[CertificateDer<'static>] {
        &self.roots
    }

    /// The roots of both, those of `self` first.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self::of(self.roots.iter().chain(&other.roots).cloned())
    }

    /// Without the roots that no longer hold.
    #[must_use]
    pub fn valid_at(&self, now: SystemTime) -> Self {
        let holds = |root: &&CertificateDer<'static>| {
            certificate::parse(root).is_ok_and(|root| now <= certificate::validity(&root).not_after)
        };
        Self { roots: self.roots.iter().filter(holds).cloned().collect() }
    }
}
