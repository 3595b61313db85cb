//! An authority that was made elsewhere: Istio's `cacerts`.
//!
//! Everything is tried before it is used: a certificate of a nobody is signed
//! and verified the way peers will do it, so that a wrong file is told on
//! loading and not by every handshake.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::Issuer;
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage};
use zeroize::Zeroizing;

use super::{Authority, Serial, ServerNames, SignError};
use crate::bundle::Bundle;
use crate::certificate::{self, CertificateError};
use crate::instant::{self, Validity};
use crate::key::{Algorithm, KeyError, PrivateKey};
use crate::pem::{self, NotPem};

/// The files of a plugged-in authority, as text.
#[derive(Clone, PartialEq, Eq)]
pub struct Material {
    /// `ca-cert.pem`: the certificate that signs.
    pub ca_cert: Vec<u8>,
    /// `ca-key.pem`: its key.
    pub ca_key: Zeroizing<Vec<u8>>,
    /// `root-cert.pem`: the roots, all of which peers shall believe.
    pub root_cert: Vec<u8>,
    /// `cert-chain.pem`: what leads from the first to a root; may be empty.
    pub cert_chain: Vec<u8>,
}

/// What is wrong with a plugged-in authority.
#[derive(Debug, thiserror::Error)]
pub enum PluggedError {
    /// A file is no PEM.
    #[error("read `{file}`")]
    Pem {
        /// Which.
        file: &'static str,
        /// Why.
        source: NotPem,
    },
    /// A certificate cannot be read.
    #[error("read `{file}`")]
    Certificate {
        /// Which file.
        file: &'static str,
        /// Why.
        source: CertificateError,
    },
    /// The key cannot be used.
    #[error("read `ca-key.pem`")]
    Key(#[from] KeyError),
    /// The certificate is no authority's.
    #[error("the certificate in `ca-cert.pem` may not sign others: it needs CA:TRUE and keyCertSign")]
    NotAnAuthority,
    /// Not yet, or no longer.
    #[error("`{file}` holds a certificate that is not valid now: `{subject}`")]
    NotValid {
        /// Which file.
        file: &'static str,
        /// Whose.
        subject: String,
    },
    /// Two that do not belong together.
    #[error("`ca-key.pem` is not the key of the certificate in `ca-cert.pem`")]
    KeyMismatch,
    /// What it would sign, peers would not believe.
    #[error("`cert-chain.pem` does not lead from `ca-cert.pem` to `root-cert.pem`: {0}")]
    Chain(String),
    /// The library cannot write this issuer.
    #[error("the subject of `ca-cert.pem` cannot be used: it names one attribute twice")]
    Subject,
    /// The library failed.
    #[error("try the authority in `ca-cert.pem`")]
    Sign(#[from] SignError),
}

impl Authority {
    /// Checks and takes an authority that was made elsewhere.
    pub fn plugged_in(material: &Material, now: SystemTime) -> Result<Self, PluggedError> {
        let read =
            |file, text: &[u8]| pem::certificates(text).map_err(|source| PluggedError::Pem { file, source });
        let certificate = read("ca-cert.pem", &material.ca_cert)?.swap_remove(0);
        let roots = Bundle::of(read("root-cert.pem", &material.root_cert)?);
        let chain = match material.cert_chain.trim_ascii().is_empty() {
            true => Vec::new(),
            false => read("cert-chain.pem", &material.cert_chain)?,
        };
        let key = PrivateKey::from_pem(&material.ca_key)?;
        let mut validity = check("ca-cert.pem", &certificate, now)?;
        for link in &chain {
            let link = check("cert-chain.pem", link, now)?;
            validity.not_after = validity.not_after.min(link.not_after);
            validity.not_before = validity.not_before.max(link.not_before);
        }
        if public_key(&certificate)? != key.public_key_info() {
            return Err(PluggedError::KeyMismatch);
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(SignError::Sign)?;
        let intermediates = between(&certificate, &chain, &roots);
        let issuer = Arc::new(issuer);
        let authority = Self { issuer, certificate, intermediates, roots, validity };
        authority.try_out(now)?;
        Ok(authority)
    }

    /// Signs for nobody, and verifies it.
    fn try_out(&self, now: SystemTime) -> Result<(), PluggedError> {
        let key = PrivateKey::generate(Algorithm::EcdsaP256)?;
        let names = ServerNames { dns: vec!["nobody.invalid".to_owned()], ..ServerNames::default() };
        let lifetime = Duration::from_secs(60);
        let issued = self.issue_server(&key, &names, lifetime, now, Serial::of([0; 16]))?;
        let [leaf, intermediates @ ..] = &issued.chain[..] else { return Err(PluggedError::NotAnAuthority) };
        let unreadable = |source| PluggedError::Certificate { file: "ca-cert.pem", source };
        let parsed = certificate::parse(leaf).map_err(unreadable)?;
        let own = certificate::parse(&self.certificate).map_err(unreadable)?;
        if parsed.issuer().as_raw() != own.subject().as_raw() {
            return Err(PluggedError::Subject);
        }
        verify(leaf, intermediates, &self.roots, now)
    }
}

fn verify(
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    roots: &Bundle,
    now: SystemTime,
) -> Result<(), PluggedError> {
    let chain = |error: webpki::Error| PluggedError::Chain(format!("{error:?}"));
    let anchors: Result<Vec<_>, _> = roots.roots().iter().map(webpki::anchor_from_trusted_cert).collect();
    let anchors = anchors.map_err(chain)?;
    let time = UnixTime::since_unix_epoch(Duration::from_secs(instant::seconds(now)));
    let leaf = EndEntityCert::try_from(leaf).map_err(chain)?;
    let usage = KeyUsage::server_auth();
    leaf.verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, intermediates, time, usage, None, None)
        .map_err(chain)?;
    Ok(())
}

/// A certificate that may sign others now.
fn check(file: &'static str, der: &CertificateDer<'_>, now: SystemTime) -> Result<Validity, PluggedError> {
    let parsed = certificate::parse(der).map_err(|source| PluggedError::Certificate { file, source })?;
    let may_sign =
        parsed.key_usage().is_ok_and(|usage| usage.is_none_or(|usage| usage.value.key_cert_sign()));
    if !parsed.is_ca() || !may_sign {
        return Err(PluggedError::NotAnAuthority);
    }
    let validity = certificate::validity(&parsed);
    if !validity.contains(now) {
        return Err(PluggedError::NotValid { file, subject: parsed.subject().to_string() });
    }
    Ok(validity)
}

fn public_key(der: &CertificateDer<'_>) -> Result<Vec<u8>, PluggedError> {
    let parsed = certificate::parse(der)
        .map_err(|source| PluggedError::Certificate { file: "ca-cert.pem", source })?;
    Ok(parsed.public_key().raw.to_vec())
}

/// What stands between a leaf and the roots, each once: peers have the roots.
fn between(
    certificate: &CertificateDer<'static>,
    chain: &[CertificateDer<'static>],
    roots: &Bundle,
) -> Vec<CertificateDer<'static>> {
    let all = std::iter::once(certificate).chain(chain);
    Bundle::of(all.filter(|link| !roots.roots().contains(link)).cloned()).roots().to_vec()
}
