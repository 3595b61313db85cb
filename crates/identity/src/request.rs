//! Signing requests (PKCS #10, RFC 2986): made by a workload, read by the
//! authority.
//!
//! Nothing but the public key is taken from a request, and only after its
//! signature has shown that the sender holds the private key.  Names, usages
//! and the CA bit that it may ask for are never looked at.

use rcgen::{CertificateParams, DistinguishedName, SanType, SubjectPublicKeyInfo};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::oid_registry::{
    OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA256,
    OID_SIG_ECDSA_WITH_SHA384,
};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey as Parsed;

use crate::key::{LARGEST_RSA, PrivateKey, SMALLEST_RSA};
use crate::pem::{self, NotPem};
use crate::spiffe::SpiffeId;

/// Largest request that is read, in bytes of PEM.
pub const LARGEST: usize = 16 << 10;

/// A public key whose owner has shown that he holds the private one.
#[derive(Debug, Clone)]
pub struct Request {
    public_key: SubjectPublicKeyInfo,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Over the limit.
    #[error("a signing request has at most 16 KiB")]
    TooLarge,
    /// No PEM.
    #[error("read a signing request")]
    Pem(#[source] NotPem),
    /// No PKCS #10.
    #[error("the signing request is no PKCS #10")]
    Malformed,
    /// A key that could be guessed, or that peers do not understand.
    #[error("a key is ECDSA on P-256 or P-384, or RSA with 2,048 to 8,192 bits")]
    WeakKey,
    /// Not signed with the key that it names, or with an algorithm of old.
    #[error("the signing request is not signed with its own key")]
    Signature,
}

/// Why a request cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("make a signing request")]
pub struct MakeError(#[from] rcgen::Error);

/// Makes a request in PEM.  The identity is what the workload expects to get;
/// the authority does not look at it.
pub fn make(key: &PrivateKey, identity: Option<&SpiffeId>) -> Result<String, MakeError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    if let Some(identity) = identity {
        params.subject_alt_names = vec![SanType::URI(identity.to_string().try_into().map_err(MakeError)?)];
    }
    let request = params.serialize_request(key)?;
    Ok(pem::of_request(request.der()))
}

/// Reads a request in PEM.
pub fn read(text: &str) -> Result<Request, RequestError> {
    if text.len() > LARGEST {
        return Err(RequestError::TooLarge);
    }
    let der = pem::request(text.as_bytes()).map_err(RequestError::Pem)?;
    let (rest, request) = X509CertificationRequest::from_der(&der).map_err(|_| RequestError::Malformed)?;
    if !rest.is_empty() {
        return Err(RequestError::Malformed);
    }
    let info = &request.certification_request_info.subject_pki;
    if !is_strong(&info.parsed().map_err(|_| RequestError::WeakKey)?) {
        return Err(RequestError::WeakKey);
    }
    let public_key = SubjectPublicKeyInfo::from_der(info.raw).map_err(|_| RequestError::WeakKey)?;
    let known = [
        OID_SIG_ECDSA_WITH_SHA256,
        OID_SIG_ECDSA_WITH_SHA384,
        OID_PKCS1_SHA256WITHRSA,
        OID_PKCS1_SHA384WITHRSA,
        OID_PKCS1_SHA512WITHRSA,
    ];
    if !known.contains(&request.signature_algorithm.algorithm) {
        return Err(RequestError::Signature);
    }
    request.verify_signature().map_err(|_| RequestError::Signature)?;
    Ok(Request { public_key })
}

/// Curves are told apart where the key is copied; a point is uncompressed.
fn is_strong(key: &Parsed<'_>) -> bool {
    match key {
        Parsed::RSA(rsa) => {
            (SMALLEST_RSA..=LARGEST_RSA).contains(&bits(rsa.modulus))
                && rsa.try_exponent().is_ok_and(|exponent| exponent >= 3 && exponent % 2 == 1)
        }
        Parsed::EC(point) => {
            matches!((point.data().first(), point.data().len()), (Some(4), 65 | 97))
        }
        _ => false,
    }
}

/// How many bits a number has that is written with leading zeros or without.
fn bits(number: &[u8]) -> usize {
    let significant = number.iter().skip_while(|byte| **byte == 0);
    let length = significant.clone().count();
    significant.clone().next().map_or(0, |first| length * 8 - first.leading_zeros() as usize)
}

impl Request {
    /// The public key, as certificates hold it.
    pub fn public_key_info(&self) -> Vec<u8> {
        rcgen::PublicKeyData::subject_public_key_info(&self.public_key)
    }

    pub(crate) fn public_key(&self) -> &SubjectPublicKeyInfo {
        &self.public_key
    }
}

#[cfg(test)]
mod tests;
