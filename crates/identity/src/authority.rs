//! The certificate authority: a key that signs, and what leads from it to the
//! roots that peers believe.
//!
//! What it signs is decided by its caller alone: the identity that the caller
//! has proven, never what a signing request asks for.

mod plugged;
mod template;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, Issuer, PublicKeyData as _};
use rustls_pki_types::CertificateDer;

use crate::bundle::Bundle;
use crate::certificate::{self, CertificateError};
use crate::instant::Validity;
use crate::key::PrivateKey;
use crate::request::Request;
use crate::spiffe::{SpiffeId, TrustDomain};

pub use plugged::{Material, PluggedError};
pub use template::Serial;

/// How far clocks of peers may be behind: certificates hold from this long
/// before they are made, as Istio's do.
pub const CLOCK_SKEW: Duration = Duration::from_secs(120);

/// Why something could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The library refused.
    #[error("sign a certificate")]
    Sign(#[source] rcgen::Error),
    /// The authority's own certificate, or one above it, holds no longer.
    #[error("the authority's own certificate has expired")]
    Expired,
    /// The authority's certificate cannot be read.
    #[error("read the authority's certificate")]
    Certificate(#[source] CertificateError),
    /// Key and certificate are not of one pair.
    #[error("the authority's key is not the one in its certificate")]
    KeyMismatch,
}

/// A certificate and what leads from it to a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The leaf, then intermediates.
    pub chain: Vec<CertificateDer<'static>>,
    /// When the leaf holds.
    pub validity: Validity,
}

/// Whom a server's certificate names.
#[derive(Debug, Clone, Default)]
pub struct ServerNames {
    /// Host names.
    pub dns: Vec<String>,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
}

/// A key that signs.  It is never shown.
#[derive(Clone)]
pub struct Authority {
    issuer: Arc<Issuer<'static, PrivateKey>>,
    certificate: CertificateDer<'static>,
    /// What follows a leaf.
    intermediates: Vec<CertificateDer<'static>>,
    roots: Bundle,
    /// When the authority's certificate and all above it hold.
    validity: Validity,
}

impl Authority {
    /// Makes a root of a mesh's own.
    pub fn self_signed(
        key: PrivateKey,
        trust_domain: &TrustDomain,
        lifetime: Duration,
        now: SystemTime,
        serial: Serial,
    ) -> Result<Self, SignError> {
        let validity = Validity { not_before: now - CLOCK_SKEW, not_after: now + lifetime };
        let params = template::root(trust_domain, validity, serial).map_err(SignError::Sign)?;
        let certificate = params.self_signed(&key).map_err(SignError::Sign)?;
        Self::restore(key, certificate.into())
    }

    /// A root that was made before.
    pub fn restore(key: PrivateKey, certificate: CertificateDer<'static>) -> Result<Self, SignError> {
        let validity = {
            let parsed = certificate::parse(&certificate).map_err(SignError::Certificate)?;
            if parsed.public_key().raw != key.subject_public_key_info() {
                return Err(SignError::KeyMismatch);
            }
            certificate::validity(&parsed)
        };
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(SignError::Sign)?;
        let roots = Bundle::of([certificate.clone()]);
        Ok(Self { issuer: Arc::new(issuer), certificate, intermediates: Vec::new(), roots, validity })
    }

    /// The same authority, with certificates by which a predecessor vouches
    /// for it: peers that know only the predecessor's root believe it too.
    #[must_use]
    pub fn vouched_for(mut self, by: Vec<CertificateDer<'static>>) -> Self {
        self.intermediates.extend(by);
        self
    }

    /// Its own certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The roots above it.
    pub fn roots(&self) -> &Bundle {
        &self.roots
    }

    /// The certificates between a leaf and the roots.
    pub fn intermediates(&self) -> &[CertificateDer<'static>] {
        &self.intermediates
    }

    /// When it can sign.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Its key, for whoever keeps the authority's state.
    pub fn key(&self) -> &PrivateKey {
        self.issuer.key()
    }

    /// Signs a workload's certificate: one identity, and nothing that the
    /// request asks for.
    pub fn issue(
        &self,
        request: &Request,
        identity: &SpiffeId,
        lifetime: Duration,
        now: SystemTime,
        serial: Serial,
    ) -> Result<Issued, SignError> {
        let validity = self.leaf_validity(lifetime, now)?;
        let params = template::workload(identity, validity, serial).map_err(SignError::Sign)?;
        self.sign(&params, request.public_key(), validity)
    }

    /// Signs a certificate of the control plane's own servers.
    pub fn issue_server(
        &self,
        key: &PrivateKey,
        names: &ServerNames,
        lifetime: Duration,
        now: SystemTime,
        serial: Serial,
    ) -> Result<Issued, SignError> {
        let validity = self.leaf_validity(lifetime, now)?;
        let params = template::server(names, validity, serial).map_err(SignError::Sign)?;
        self.sign(&params, key, validity)
    }

    /// Vouches for a root that comes after this one.
    pub fn vouch(
        &self,
        successor: &Self,
        trust_domain: &TrustDomain,
        now: SystemTime,
        serial: Serial,
    ) -> Result<CertificateDer<'static>, SignError> {
        if now > self.validity.not_after {
            return Err(SignError::Expired);
        }
        let validity = Validity {
            not_before: successor.validity.not_before,
            not_after: self.validity.not_after.min(successor.validity.not_after),
        };
        let parsed = certificate::parse(&successor.certificate).map_err(SignError::Certificate)?;
        let params = template::successor(&parsed, trust_domain, validity, serial).map_err(SignError::Sign)?;
        let signed = params.signed_by(successor.key(), &self.issuer).map_err(SignError::Sign)?;
        Ok(signed.into())
    }

    fn leaf_validity(&self, lifetime: Duration, now: SystemTime) -> Result<Validity, SignError> {
        if !self.validity.contains(now) {
            return Err(SignError::Expired);
        }
        Ok(Validity {
            not_before: (now - CLOCK_SKEW).max(self.validity.not_before),
            not_after: (now + lifetime).min(self.validity.not_after),
        })
    }

    fn sign(
        &self,
        params: &CertificateParams,
        public_key: &impl rcgen::PublicKeyData,
        validity: Validity,
    ) -> Result<Issued, SignError> {
        let leaf = params.signed_by(public_key, &self.issuer).map_err(SignError::Sign)?;
        let chain = std::iter::once(leaf.into()).chain(self.intermediates.iter().cloned()).collect();
        Ok(Issued { chain, validity })
    }
}

impl fmt::Debug for Authority {
    /// Without the key.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = certificate::facts(&self.certificate).map(|facts| facts.subject).unwrap_or_default();
        formatter.debug_struct("Authority").field("subject", &subject).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
