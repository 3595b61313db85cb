//! Versions and algorithms of TLS. Those that are known to Envoy and not to
//! be had here are left out; what is left must be something.

use xds::envoy::extensions::transport_sockets::tls::v3 as wire;
use xds::envoy::extensions::transport_sockets::tls::v3::tls_parameters::TlsProtocol;

use super::Side;
use crate::invalid::Invalid;

/// Versions and algorithms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// The lowest version.
    pub min: Version,
    /// The highest version.
    pub max: Version,
    /// Cipher suites of TLS 1.2; `None`: all.
    pub suites: Option<Box<[Suite]>>,
    /// Key exchange, the first the most wanted; `None`: all.
    pub curves: Option<Box<[Curve]>>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 1.2.
    V12,
    /// 1.3.
    V13,
}

/// A cipher suite of TLS 1.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// `ECDHE-ECDSA-AES128-GCM-SHA256`.
    EcdsaAes128,
    /// `ECDHE-ECDSA-AES256-GCM-SHA384`.
    EcdsaAes256,
    /// `ECDHE-ECDSA-CHACHA20-POLY1305`.
    EcdsaChacha20,
    /// `ECDHE-RSA-AES128-GCM-SHA256`.
    RsaAes128,
    /// `ECDHE-RSA-AES256-GCM-SHA384`.
    RsaAes256,
    /// `ECDHE-RSA-CHACHA20-POLY1305`.
    RsaChacha20,
}

/// A way to exchange keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// `X25519`.
    X25519,
    /// `P-256`.
    P256,
    /// `P-384`.
    P384,
    /// `X25519MLKEM768`.
    X25519MlKem768,
}

impl Parameters {
    pub(super) fn compile(wire: &wire::TlsParameters, side: Side) -> Result<Parameters, Invalid> {
        if !wire.signature_algorithms.is_empty() {
            return Err(Invalid::new("signature_algorithms", "is not supported"));
        }
        if !wire.compliance_policies.is_empty() {
            return Err(Invalid::new("compliance_policies", "is not supported"));
        }
        let min = match TlsProtocol::try_from(wire.tls_minimum_protocol_version) {
            Ok(TlsProtocol::TlSv13) => Version::V13,
            _ => Version::V12,
        };
        let max = match TlsProtocol::try_from(wire.tls_maximum_protocol_version) {
            Ok(TlsProtocol::TlSv13) => Version::V13,
            Ok(TlsProtocol::TlSv12) => Version::V12,
            Ok(TlsProtocol::TlsAuto) if side == Side::Server => Version::V13,
            // Envoy's own default towards endpoints.
            Ok(TlsProtocol::TlsAuto) => Version::V12.max(min),
            _ => return Err(Invalid::new("tls_maximum_protocol_version", "is not supported")),
        };
        if max < min {
            return Err(Invalid::new("tls_maximum_protocol_version", "is below the minimum"));
        }
        let suites = listed("cipher_suites", &wire.cipher_suites, suite)?;
        if suites.as_ref().is_some_and(|suites| suites.is_empty()) && max == Version::V12 {
            return Err(Invalid::new("cipher_suites", "hold none that is supported"));
        }
        let curves = listed("ecdh_curves", &wire.ecdh_curves, curve)?;
        if curves.as_ref().is_some_and(|curves| curves.is_empty()) {
            return Err(Invalid::new("ecdh_curves", "hold none that is supported"));
        }
        Ok(Parameters { min, max, suites, curves })
    }
}

/// What a name stands for.
enum Known<T> {
    /// This.
    Here(T),
    /// Something that is not to be had here.
    Elsewhere,
}

fn listed<T>(
    field: &str,
    names: &[String],
    read: impl Fn(&str) -> Option<Known<T>>,
) -> Result<Option<Box<[T]>>, Invalid> {
    if names.is_empty() {
        return Ok(None);
    }
    let mut found = Vec::new();
    // Names in brackets are wanted equally.
    let single = names.iter().flat_map(|name| name.trim_matches(['[', ']']).split('|'));
    for name in single {
        match read(name) {
            Some(Known::Here(known)) => found.push(known),
            Some(Known::Elsewhere) => {}
            None => return Err(Invalid::new(field, format!("`{name}` is unknown"))),
        }
    }
    Ok(Some(found.into()))
}

fn suite(name: &str) -> Option<Known<Suite>> {
    Some(Known::Here(match name {
        "ECDHE-ECDSA-AES128-GCM-SHA256" => Suite::EcdsaAes128,
        "ECDHE-ECDSA-AES256-GCM-SHA384" => Suite::EcdsaAes256,
        "ECDHE-ECDSA-CHACHA20-POLY1305" => Suite::EcdsaChacha20,
        "ECDHE-RSA-AES128-GCM-SHA256" => Suite::RsaAes128,
        "ECDHE-RSA-AES256-GCM-SHA384" => Suite::RsaAes256,
        "ECDHE-RSA-CHACHA20-POLY1305" => Suite::RsaChacha20,
        "AES128-GCM-SHA256"
        | "AES256-GCM-SHA384"
        | "ECDHE-ECDSA-AES128-SHA"
        | "ECDHE-ECDSA-AES256-SHA"
        | "ECDHE-RSA-AES128-SHA"
        | "ECDHE-RSA-AES256-SHA"
        | "AES128-SHA"
        | "AES256-SHA"
        | "DES-CBC3-SHA" => return Some(Known::Elsewhere),
        _ => return None,
    }))
}

fn curve(name: &str) -> Option<Known<Curve>> {
    Some(Known::Here(match name {
        "X25519" => Curve::X25519,
        "P-256" => Curve::P256,
        "P-384" => Curve::P384,
        "X25519MLKEM768" => Curve::X25519MlKem768,
        "P-521" | "P-224" | "X25519Kyber768Draft00" => return Some(Known::Elsewhere),
        _ => return None,
    }))
}
