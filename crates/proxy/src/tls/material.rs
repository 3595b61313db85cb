//! Certificates, keys and roots out of PEM, from wherever they come.

use std::sync::Arc;

use routing::tls::{Data, GivenCertificate};
use rustls::DistinguishedName;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use webpki::{CertRevocationList, OwnedCertRevocationList, anchor_from_trusted_cert};
use xds::envoy::extensions::transport_sockets::tls::v3 as wire;
use xds::envoy::extensions::transport_sockets::tls::v3::secret;

use crate::secrets::{CertifiedChain, Secret, TrustBundle};
use crate::tls::verify::Anchors;

/// Why a certificate, key or bundle is of no use.
#[derive(Debug, thiserror::Error)]
pub enum MaterialError {
    /// A file cannot be read.
    #[error("read `{path}`: {source}")]
    Read {
        /// The file.
        path: String,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// It is no PEM, or has nothing of this kind in it.
    #[error("no {0} in PEM")]
    Missing(&'static str),
    /// The key is none that is known.
    #[error("the private key is of no known kind")]
    Key,
    /// The key is another certificate's.
    #[error("certificate and private key do not belong together")]
    Mismatch,
    /// A root is no certificate.
    #[error("a root certificate cannot be read")]
    Root,
    /// A revocation list is none.
    #[error("a revocation list cannot be read")]
    RevocationList,
    /// A secret holds something that is not known here.
    #[error("{0}")]
    Unsupported(String),
}

/// Where the operating system keeps the roots that it trusts.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

fn read_file(path: &str) -> Result<Vec<u8>, MaterialError> {
    std::fs::read(path).map_err(|source| MaterialError::Read { path: path.to_owned(), source })
}

fn bytes(data: &Data) -> Result<Vec<u8>, MaterialError> {
    match data {
        Data::Inline(bytes) => Ok(bytes.to_vec()),
        Data::File(path) => read_file(path),
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, MaterialError> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| MaterialError::Missing("certificate"))?;
    if all.is_empty() { Err(MaterialError::Missing("certificate")) } else { Ok(all) }
}

fn chain(certificate: &[u8], key: &[u8]) -> Result<CertifiedChain, MaterialError> {
    Ok(CertifiedChain {
        chain: certificates(certificate)?,
        key: PrivateKeyDer::from_pem_slice(key).map_err(|_| MaterialError::Missing("private key"))?,
    })
}

/// A certificate that stands in the configuration.
pub fn given(given: &GivenCertificate) -> Result<CertifiedChain, MaterialError> {
    chain(&bytes(&given.chain)?, &bytes(&given.key)?)
}

/// Roots that stand in the configuration.
pub fn roots(data: &Data) -> Result<Vec<CertificateDer<'static>>, MaterialError> {
    certificates(&bytes(data)?)
}

/// Revocation lists that stand in the configuration.
pub fn revocations(data: &Data) -> Result<Vec<CertificateRevocationListDer<'static>>, MaterialError> {
    CertificateRevocationListDer::pem_slice_iter(&bytes(data)?)
        .collect::<Result<_, _>>()
        .map_err(|_| MaterialError::RevocationList)
}

/// The roots of the operating system.
pub fn system_roots() -> Result<Vec<CertificateDer<'static>>, MaterialError> {
    let found = SYSTEM_ROOTS.iter().find_map(|path| std::fs::read(path).ok());
    certificates(&found.ok_or(MaterialError::Missing("system root"))?)
}

/// Secrets that are names of files, as Istio writes them.
pub fn from_files(name: &str) -> Option<Result<Secret, MaterialError>> {
    if name == "file-root:system" {
        let trust = system_roots().map(|roots| TrustBundle { roots, crls: Vec::new() });
        return Some(trust.map(Secret::Trust));
    }
    if let Some(path) = name.strip_prefix("file-root:") {
        let roots = read_file(path).and_then(|pem| certificates(&pem));
        return Some(roots.map(|roots| Secret::Trust(TrustBundle { roots, crls: Vec::new() })));
    }
    let (certificate, key) = name.strip_prefix("file-cert:")?.split_once('~')?;
    let read = || chain(&read_file(certificate)?, &read_file(key)?);
    Some(read().map(Secret::Certificate))
}

/// Whether a secret's name is that of a file.
pub fn is_file(name: &str) -> bool {
    name.starts_with("file-root:") || name.starts_with("file-cert:")
}

/// A secret as it comes over SDS.
pub fn secret(wire: &wire::Secret) -> Result<Secret, MaterialError> {
    let refused = |error: routing::invalid::Invalid| MaterialError::Unsupported(error.to_string());
    match &wire.r#type {
        Some(secret::Type::TlsCertificate(certificate)) => {
            given(&GivenCertificate::compile(certificate).map_err(refused)?).map(Secret::Certificate)
        }
        Some(secret::Type::ValidationContext(context)) => {
            let plain = wire::CertificateValidationContext {
                trusted_ca: context.trusted_ca.clone(),
                crl: context.crl.clone(),
                ..wire::CertificateValidationContext::default()
            };
            if plain != *context {
                let text = "a validation context over SDS holds more than roots and revocation lists";
                return Err(MaterialError::Unsupported(text.to_owned()));
            }
            let data = Data::compile(context.trusted_ca.as_ref()).map_err(refused)?;
            let crl = Data::compile(context.crl.as_ref()).map_err(refused)?;
            Ok(Secret::Trust(TrustBundle {
                roots: roots(&data.ok_or(MaterialError::Missing("root"))?)?,
                crls: crl.as_ref().map(revocations).transpose()?.unwrap_or_default(),
            }))
        }
        _ => Err(MaterialError::Unsupported("neither certificate nor validation context".to_owned())),
    }
}

/// A certificate with its key, ready to sign.
pub fn certified(
    chain: &CertifiedChain,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, MaterialError> {
    let key =
        provider.key_provider.load_private_key(chain.key.clone_key()).map_err(|_| MaterialError::Key)?;
    let certified = CertifiedKey::new(chain.chain.clone(), key);
    match certified.keys_match() {
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
            Err(MaterialError::Mismatch)
        }
        _ => Ok(Arc::new(certified)),
    }
}

/// Roots and revocation lists, read.
pub fn anchors(
    roots: &[CertificateDer<'_>],
    crls: &[&[CertificateRevocationListDer<'_>]],
) -> Result<Anchors, MaterialError> {
    let mut anchors = Anchors::default();
    for root in roots {
        let anchor = anchor_from_trusted_cert(root).map_err(|_| MaterialError::Root)?.to_owned();
        anchors.subjects.push(DistinguishedName::in_sequence(&anchor.subject));
        anchors.anchors.push(anchor);
    }
    for list in crls.iter().flat_map(|lists| lists.iter()) {
        let list = OwnedCertRevocationList::from_der(list).map_err(|_| MaterialError::RevocationList)?;
        anchors.crls.push(CertRevocationList::Owned(list));
    }
    Ok(anchors)
}
