//! Private keys: made here or read, never shown.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use rcgen::{
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, PublicKeyData, SignatureAlgorithm,
    SigningKey,
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use crate::pem::{self, NotPem};

/// Smallest RSA key that is used or signed, in bits.
pub const SMALLEST_RSA: usize = 2048;

/// Largest RSA key that is used or signed, in bits: a larger one only costs.
pub const LARGEST_RSA: usize = 8192;

/// What kind of key is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// ECDSA on P-256.
    #[default]
    EcdsaP256,
    /// ECDSA on P-384.
    EcdsaP384,
    /// RSA with 2,048 bits.
    Rsa2048,
    /// RSA with 4,096 bits.
    Rsa4096,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The crypto library failed to make one.
    #[error("make a private key")]
    Generate,
    /// Not a text with a key in it.
    #[error("read a private key")]
    Pem(#[source] NotPem),
    /// Another algorithm, too small, or inconsistent.
    #[error("a private key is ECDSA on P-256 or P-384, or RSA with 2,048 to 8,192 bits, not encrypted")]
    Unsupported,
}

/// A private key with its public half.  Clones are one key; with the last of
/// them the encoded form is wiped, and the crypto library wipes its own.
#[derive(Clone)]
pub struct PrivateKey(Arc<Inner>);

struct Inner {
    pair: Pair,
    pkcs8: Zeroizing<Vec<u8>>,
}

enum Pair {
    Ecdsa(EcdsaKeyPair, &'static SignatureAlgorithm),
    Rsa(RsaKeyPair),
}

/// The elliptic curves, as each library names them.
const CURVES: [(&EcdsaSigningAlgorithm, &SignatureAlgorithm); 2] = [
    (&ECDSA_P256_SHA256_ASN1_SIGNING, &PKCS_ECDSA_P256_SHA256),
    (&ECDSA_P384_SHA384_ASN1_SIGNING, &PKCS_ECDSA_P384_SHA384),
];

impl PrivateKey {
    /// Makes a key.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        let pair = match algorithm {
            Algorithm::EcdsaP256 => ecdsa(CURVES[0]),
            Algorithm::EcdsaP384 => ecdsa(CURVES[1]),
            Algorithm::Rsa2048 => rsa(KeySize::Rsa2048),
            Algorithm::Rsa4096 => rsa(KeySize::Rsa4096),
        };
        pair.and_then(Self::of).map_err(|_| KeyError::Generate)
    }

    /// Reads a key in PEM: PKCS #8, SEC 1 or PKCS #1.
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        let key = Wiped(pem::private_key(text).map_err(KeyError::Pem)?);
        Self::from_der(key.0.secret_der())
    }

    /// Reads a key in DER: PKCS #8, SEC 1 or PKCS #1.
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        for (curve, name) in CURVES {
            if let Ok(pair) = EcdsaKeyPair::from_private_key_der(curve, der) {
                return Self::of(Pair::Ecdsa(pair, name)).map_err(|_| KeyError::Unsupported);
            }
        }
        let pair = RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der));
        let pair = pair.map_err(|_| KeyError::Unsupported)?;
        let bits = pair.public_modulus_len() * 8;
        if !(SMALLEST_RSA..=LARGEST_RSA).contains(&bits) {
            return Err(KeyError::Unsupported);
        }
        Self::of(Pair::Rsa(pair)).map_err(|_| KeyError::Unsupported)
    }

    /// The key in PKCS #8, for whoever keeps it.
    pub fn pkcs8(&self) -> &[u8] {
        &self.0.pkcs8
    }

    /// The key in PKCS #8, for a TLS library.
    pub fn to_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.0.pkcs8.to_vec()))
    }

    /// The key as text; it is wiped when it is dropped.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let key = Wiped(self.to_der());
        pem::of_private_key(&key.0)
    }

    /// The public half, as certificates hold it.
    pub fn public_key_info(&self) -> Vec<u8> {
        self.subject_public_key_info()
    }

    fn of(pair: Pair) -> Result<Self, aws_lc_rs::error::Unspecified> {
        let pkcs8 = match &pair {
            Pair::Ecdsa(pair, _) => Zeroizing::new(pair.to_pkcs8v1()?.as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let der: Pkcs8V1Der<'static> = pair.as_der()?;
                Zeroizing::new(der.as_ref().to_vec())
            }
        };
        Ok(Self(Arc::new(Inner { pair, pkcs8 })))
    }
}

/// A key of another library's type, which is wiped when it is dropped.
struct Wiped(PrivateKeyDer<'static>);

impl Drop for Wiped {
    fn drop(&mut self) {
        use zeroize::Zeroize as _;
        self.0.zeroize();
    }
}

fn ecdsa(
    (curve, name): (&'static EcdsaSigningAlgorithm, &'static SignatureAlgorithm),
) -> Result<Pair, aws_lc_rs::error::Unspecified> {
    EcdsaKeyPair::generate(curve).map(|pair| Pair::Ecdsa(pair, name))
}

fn rsa(size: KeySize) -> Result<Pair, aws_lc_rs::error::Unspecified> {
    RsaKeyPair::generate(size).map(Pair::Rsa)
}

impl PublicKeyData for PrivateKey {
    fn der_bytes(&self) -> &[u8] {
        match &self.0.pair {
            Pair::Ecdsa(pair, _) => pair.public_key().as_ref(),
            Pair::Rsa(pair) => pair.public_key().as_ref(),
        }
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match &self.0.pair {
            Pair::Ecdsa(_, name) => name,
            Pair::Rsa(_) => &PKCS_RSA_SHA256,
        }
    }
}

impl SigningKey for PrivateKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let random = SystemRandom::new();
        let failed = |_| rcgen::Error::RingUnspecified;
        match &self.0.pair {
            Pair::Ecdsa(pair, _) => {
                pair.sign(&random, message).map(|signature| signature.as_ref().to_vec()).map_err(failed)
            }
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
        }
    }
}

impl fmt::Debug for PrivateKey {
    /// Only what kind it is.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PrivateKey({:?})", self.algorithm())
    }
}

#[cfg(test)]
mod tests;
