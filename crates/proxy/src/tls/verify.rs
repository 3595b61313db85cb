//! Judging a peer's certificate as Envoy does: its chain must lead to one of
//! the roots and be good for its use and at this time, nothing in it may be
//! revoked, and where names or hashes are wanted, it must have one of them.
//!
//! A host name is never compared on its own: what a peer in the mesh is
//! called stands in its URI, and which URI is wanted is a rule.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{self, SHA256};
use routing::tls::{SubjectName, Validation};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, RevocationCheckDepth,
    RevocationOptionsBuilder,
};

use crate::tls::certificate::names_of;

/// Whom to trust, read.
#[derive(Debug, Default)]
pub struct Anchors {
    /// Roots.
    pub anchors: Vec<TrustAnchor<'static>>,
    /// What was revoked.
    pub crls: Vec<CertRevocationList<'static>>,
    /// The roots' names, which clients are told.
    pub subjects: Vec<DistinguishedName>,
}

/// What a peer must show.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Whom its chain must lead to; `None`: the chain is not looked at.
    pub anchors: Option<Arc<Anchors>>,
    /// Names of which it must have one, unless there are none here.
    pub names: Box<[routing::tls::NameMatcher]>,
    /// See [`Validation::key_hashes`].
    pub key_hashes: Box<[[u8; 32]]>,
    /// See [`Validation::certificate_hashes`].
    pub certificate_hashes: Box<[[u8; 32]]>,
    /// Only its own certificate may be revoked.
    pub only_leaf_is_revoked: bool,
    /// It is let in whatever it shows.
    pub accepts_untrusted: bool,
}

/// Judges peers.
#[derive(Debug)]
pub struct Judge {
    rules: Option<Rules>,
    /// A client without a certificate is turned away.
    requires_certificate: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

/// A certificate without a name that is wanted.
#[derive(Debug)]
pub struct WrongName {
    /// What is wanted.
    pub wanted: Vec<String>,
    /// What it has.
    pub found: Vec<String>,
}

impl fmt::Display for WrongName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[String]| match names {
            [] => "nobody".to_owned(),
            names => names.iter().take(4).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or "),
        };
        write!(formatter, "the certificate is for {}, not for {}", list(&self.found), list(&self.wanted))
    }
}

impl std::error::Error for WrongName {}

/// A certificate that is none of those that are pinned.
#[derive(Debug, thiserror::Error)]
#[error("the certificate is none of those that are pinned")]
pub struct NotPinned;

impl Rules {
    /// The rules of a configuration.
    pub fn new(validation: &Validation, anchors: Option<Arc<Anchors>>) -> Rules {
        Rules {
            anchors,
            names: validation.names.clone(),
            key_hashes: validation.key_hashes.clone(),
            certificate_hashes: validation.certificate_hashes.clone(),
            only_leaf_is_revoked: validation.only_leaf_is_revoked,
            accepts_untrusted: validation.accepts_untrusted,
        }
    }

    /// Judges a chain.
    pub fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), CertificateError> {
        if self.accepts_untrusted {
            return Ok(());
        }
        let parsed = EndEntityCert::try_from(leaf).map_err(certificate_error)?;
        if let Some(anchors) = &self.anchors {
            self.judge_chain(anchors, &parsed, intermediates, now, usage, algorithms)?;
        }
        self.judge_names(leaf)?;
        self.judge_hashes(leaf, &parsed)
    }

    fn judge_chain(
        &self,
        anchors: &Anchors,
        leaf: &EndEntityCert<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), CertificateError> {
        let lists: Vec<&CertRevocationList<'_>> = anchors.crls.iter().collect();
        let revocation = match RevocationOptionsBuilder::new(&lists) {
            Ok(builder) => {
                let depth = match self.only_leaf_is_revoked {
                    true => RevocationCheckDepth::EndEntity,
                    false => RevocationCheckDepth::Chain,
                };
                Some(builder.with_depth(depth).with_expiration_policy(ExpirationPolicy::Enforce).build())
            }
            // There are none.
            Err(_) => None,
        };
        leaf.verify_for_usage(algorithms.all, &anchors.anchors, intermediates, now, usage, revocation, None)
            .map(|_| ())
            .map_err(certificate_error)
    }

    fn judge_names(&self, leaf: &CertificateDer<'_>) -> Result<(), CertificateError> {
        if self.names.is_empty() {
            return Ok(());
        }
        let mut found = Vec::new();
        let mut fits = false;
        let read = names_of(leaf, |name| {
            fits |= self.names.iter().any(|matcher| matcher.matches(&name));
            found.push(match name {
                SubjectName::Uri(text) | SubjectName::Dns(text) | SubjectName::Email(text) => text.to_owned(),
                SubjectName::Ip(ip) => ip.to_string(),
            });
        });
        match read {
            false => Err(CertificateError::BadEncoding),
            true if fits => Ok(()),
            true => {
                let wanted = self.names.iter().map(|name| name.wanted().to_owned()).collect();
                Err(CertificateError::Other(OtherError(Arc::new(WrongName { wanted, found }))))
            }
        }
    }

    fn judge_hashes(
        &self,
        leaf: &CertificateDer<'_>,
        parsed: &EndEntityCert<'_>,
    ) -> Result<(), CertificateError> {
        if self.key_hashes.is_empty() && self.certificate_hashes.is_empty() {
            return Ok(());
        }
        let key = parsed.subject_public_key_info();
        let is_in = |list: &[[u8; 32]], bytes: &[u8]| {
            !list.is_empty() && list.iter().any(|hash| hash == digest::digest(&SHA256, bytes).as_ref())
        };
        match is_in(&self.certificate_hashes, leaf) || is_in(&self.key_hashes, &key) {
            true => Ok(()),
            false => Err(CertificateError::Other(OtherError(Arc::new(NotPinned)))),
        }
    }
}

impl Judge {
    /// Judges by these rules; without any, everybody is let in.
    pub fn new(
        rules: Option<Rules>,
        requires_certificate: bool,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Judge {
        Judge { rules, requires_certificate, algorithms }
    }

    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), Error> {
        match &self.rules {
            None => Ok(()),
            Some(rules) => rules
                .judge(leaf, intermediates, now, usage, &self.algorithms)
                .map_err(Error::InvalidCertificate),
        }
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(end_entity, intermediates, now, KeyUsage::server_auth())
            .map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Judge {
    fn offer_client_auth(&self) -> bool {
        self.rules.is_some()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.requires_certificate
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        let anchors = self.rules.as_ref().and_then(|rules| rules.anchors.as_ref());
        anchors.map_or(&[], |anchors| &anchors.subjects)
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(end_entity, intermediates, now, KeyUsage::client_auth())
            .map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// What rustls calls a fault that webpki found; by that the alert is chosen.
fn certificate_error(error: webpki::Error) -> CertificateError {
    use webpki::Error as Fault;
    match error {
        Fault::BadDer | Fault::BadDerTime | Fault::TrailingData(_) => CertificateError::BadEncoding,
        Fault::CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after },
        Fault::CertNotValidYet { time, not_before } => {
            CertificateError::NotValidYetContext { time, not_before }
        }
        Fault::CertRevoked => CertificateError::Revoked,
        Fault::UnknownRevocationStatus => CertificateError::UnknownRevocationStatus,
        Fault::CrlExpired { time, next_update } => {
            CertificateError::ExpiredRevocationListContext { time, next_update }
        }
        Fault::UnknownIssuer | Fault::CaUsedAsEndEntity => CertificateError::UnknownIssuer,
        Fault::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        Fault::RequiredEkuNotFoundContext(_) | Fault::EmptyEkuExtension => CertificateError::InvalidPurpose,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    }
}
