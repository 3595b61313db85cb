//! What the environment says of certificates, under `pilot-agent`'s names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use identity::TrustDomain;
use identity::key::Algorithm;

use super::{SettingsError, malformed, parsed};

/// Where Istio's templates mount a token for the mesh's authority.
const TOKEN_FILE: &str = "./var/run/secrets/tokens/istio-token";

/// Where they mount the mesh's root.
const ROOT_FILE: &str = "./var/run/secrets/istio/root-cert.pem";

/// Istio's port for xDS and certificates over TLS.
const SECURED_PORT: u16 = 15012;

/// How the workload gets its certificates.
#[derive(Clone, Debug)]
pub struct IdentitySettings {
    /// `CA_ADDR`, `host:port`; the control plane's secured port by default.
    pub ca_address: Option<String>,
    /// `ISTIOD_SAN`: the name in the control plane's certificate, where it is
    /// not that of its address.
    pub server_name: Option<String>,
    /// `TRUST_DOMAIN`, `cluster.local` by default.
    pub trust_domain: TrustDomain,
    /// `SECRET_TTL`, a day by default.
    pub lifetime: Duration,
    /// `SECRET_GRACE_PERIOD_RATIO`: the part of its life that is left when a
    /// certificate is renewed, 0.5 by default.
    pub grace_ratio: f64,
    /// `SECRET_GRACE_PERIOD_RATIO_JITTER`: how much more or less, 0.01 by
    /// default.
    pub grace_jitter: f64,
    /// `ECC_SIGNATURE_ALGORITHM` and `ECC_CURVE`, or `WORKLOAD_RSA_KEY_SIZE`;
    /// ECDSA on P-256 by default.
    pub algorithm: Algorithm,
    /// What proves the workload's identity the first time.
    pub credential: Credential,
}

/// What proves a workload's identity before it has a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// Nothing: the workload has no certificates.
    None,
    /// Whoever started the process gives a token on request, by the socket
    /// that is its standard input (`LATEEN_CREDENTIALS=stdin`).
    StandardInput,
    /// A token that a kubelet keeps fresh, and the mesh's root beside it.
    Files {
        /// The token.
        token: PathBuf,
        /// The root.
        root: PathBuf,
    },
}

impl IdentitySettings {
    /// Reads them.
    pub(super) fn from_environment(environment: &BTreeMap<String, String>) -> Result<Self, SettingsError> {
        let get = |name: &str| environment.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let ratio = |name: &str, default: f64| {
            let value: f64 = parsed(environment, name)?.unwrap_or(default);
            match (0.0..=1.0).contains(&value) {
                true => Ok(value),
                false => Err(malformed(name, &value.to_string(), "a ratio is from 0 to 1")),
            }
        };
        let credential = match get("LATEEN_CREDENTIALS") {
            Some("stdin") => Credential::StandardInput,
            Some(other) => return Err(malformed("LATEEN_CREDENTIALS", other, "known is `stdin`")),
            None if Path::new(TOKEN_FILE).is_file() => {
                Credential::Files { token: TOKEN_FILE.into(), root: ROOT_FILE.into() }
            }
            None => Credential::None,
        };
        Ok(Self {
            ca_address: get("CA_ADDR").map(str::to_owned),
            server_name: get("ISTIOD_SAN").map(str::to_owned),
            trust_domain: parsed(environment, "TRUST_DOMAIN")?.unwrap_or_default(),
            lifetime: lifetime(get("SECRET_TTL"))?,
            grace_ratio: ratio("SECRET_GRACE_PERIOD_RATIO", 0.5)?,
            grace_jitter: ratio("SECRET_GRACE_PERIOD_RATIO_JITTER", 0.01)?,
            algorithm: algorithm(
                get("ECC_SIGNATURE_ALGORITHM"),
                get("ECC_CURVE"),
                get("WORKLOAD_RSA_KEY_SIZE"),
            )?,
            credential,
        })
    }

    /// With nothing set.
    #[cfg(test)]
    pub(crate) fn defaults() -> Self {
        Self::from_environment(&BTreeMap::new()).expect("nothing is wrong")
    }

    /// Where certificates are asked for: `CA_ADDR`, or the secured port of the
    /// control plane at `discovery`.
    pub fn ca_address(&self, discovery: &str) -> String {
        if let Some(address) = &self.ca_address {
            return address.clone();
        }
        match discovery.rsplit_once(':') {
            Some((host, "15010")) => format!("{host}:{SECURED_PORT}"),
            _ => discovery.to_owned(),
        }
    }
}

fn algorithm(
    curve_family: Option<&str>,
    curve: Option<&str>,
    rsa_bits: Option<&str>,
) -> Result<Algorithm, SettingsError> {
    match (curve_family, curve, rsa_bits) {
        (Some("ECDSA"), None | Some("P256"), _) | (None, _, None) => Ok(Algorithm::EcdsaP256),
        (Some("ECDSA"), Some("P384"), _) => Ok(Algorithm::EcdsaP384),
        (Some("ECDSA"), Some(other), _) => Err(malformed("ECC_CURVE", other, "known are P256 and P384")),
        (Some(other), _, _) => Err(malformed("ECC_SIGNATURE_ALGORITHM", other, "known is ECDSA")),
        (None, _, Some("2048")) => Ok(Algorithm::Rsa2048),
        (None, _, Some("4096")) => Ok(Algorithm::Rsa4096),
        (None, _, Some(other)) => Err(malformed("WORKLOAD_RSA_KEY_SIZE", other, "known are 2048 and 4096")),
    }
}

/// Go's durations: `24h0m0s`.
fn lifetime(text: Option<&str>) -> Result<Duration, SettingsError> {
    let Some(text) = text else { return Ok(Duration::from_secs(24 * 3600)) };
    let mut total = Duration::ZERO;
    for part in text.split_inclusive(|character: char| character.is_ascii_alphabetic()) {
        total += super::duration("SECRET_TTL", Some(part), 0)?;
    }
    match total.is_zero() {
        true => Err(malformed("SECRET_TTL", text, "a certificate lives longer")),
        false => Ok(total),
    }
}

#[cfg(test)]
mod tests;
