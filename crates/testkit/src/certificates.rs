//! Certificates for tests: good ones, and all the ways in which one is not.

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType,
    SerialNumber, date_time_ymd,
};

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate, in PEM.
    pub root: String,
}

/// A certificate with its key, in PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// What a certificate says.
#[derive(Debug, Clone)]
pub struct Leaf<'l> {
    /// The workload.
    pub uri: Option<&'l str>,
    /// Hosts.
    pub hosts: &'l [&'l str],
    /// What it is for; none: anything.
    pub usages: &'l [Usage],
    /// When it is good.
    pub validity: Validity,
    /// Its number.
    pub serial: u64,
    /// What it is called besides.
    pub common_name: Option<&'l str>,
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// To be shown by servers.
    Server,
    /// To be shown by clients.
    Client,
    /// To sign code.
    Code,
}

/// When a certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Now, for decades.
    Now,
    /// It was.
    Past,
    /// It will be.
    Future,
}

impl Default for Leaf<'_> {
    fn default() -> Self {
        Leaf {
            uri: None,
            hosts: &[],
            usages: &[Usage::Server, Usage::Client],
            validity: Validity::Now,
            serial: 7,
            common_name: None,
        }
    }
}

impl Authority {
    /// A new authority of this name.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(name: &str) -> anyhow::Result<Authority> {
        let key = KeyPair::generate().context("make a key")?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2120, 1, 1);
        let root = params.self_signed(&key).context("sign a root")?.pem();
        Ok(Authority { issuer: Issuer::new(params, key), root })
    }

    /// A certificate of this workload.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn workload(&self, uri: &str) -> anyhow::Result<Identity> {
        self.issue(&Leaf { uri: Some(uri), ..Leaf::default() })
    }

    /// A certificate that says this.
    ///
    /// # Errors
    /// When no key can be made or a name is none.
    pub fn issue(&self, leaf: &Leaf<'_>) -> anyhow::Result<Identity> {
        let key = KeyPair::generate().context("make a key")?;
        let signed = params(leaf)?.signed_by(&key, &self.issuer).context("sign a certificate")?;
        Ok(Identity { certificate: signed.pem(), key: key.serialize_pem() })
    }

    /// A list that revokes the certificates with these numbers.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn revoke(&self, serials: &[u64]) -> anyhow::Result<String> {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2021, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2021, 1, 1),
            next_update: date_time_ymd(2120, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).context("sign a list")?.pem().context("write a list")
    }
}

/// A certificate that nobody signed but its own key.
///
/// # Errors
/// When no key can be made or a name is none.
pub fn self_signed(leaf: &Leaf<'_>) -> anyhow::Result<Identity> {
    let key = KeyPair::generate().context("make a key")?;
    let signed = params(leaf)?.self_signed(&key).context("sign a certificate")?;
    Ok(Identity { certificate: signed.pem(), key: key.serialize_pem() })
}

fn params(leaf: &Leaf<'_>) -> anyhow::Result<CertificateParams> {
    let hosts: Vec<String> = leaf.hosts.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(hosts).context("hosts")?;
    params.distinguished_name = DistinguishedName::new();
    if let Some(name) = leaf.common_name {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    if let Some(uri) = leaf.uri {
        params.subject_alt_names.push(SanType::URI(uri.to_owned().try_into().context("a URI")?));
    }
    params.serial_number = Some(SerialNumber::from(leaf.serial));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = leaf
        .usages
        .iter()
        .map(|usage| match usage {
            Usage::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Usage::Client => ExtendedKeyUsagePurpose::ClientAuth,
            Usage::Code => ExtendedKeyUsagePurpose::CodeSigning,
        })
        .collect();
    let (from, until) = match leaf.validity {
        Validity::Now => (2021, 2119),
        Validity::Past => (2021, 2022),
        Validity::Future => (2118, 2119),
    };
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    Ok(params)
}
