//! The fields of certificates, as Istio's are.

use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, Error, ExtendedKeyUsagePurpose, IsCa,
    KeyIdMethod, KeyUsagePurpose, SanType, SerialNumber, date_time_ymd,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;

use super::ServerNames;
use crate::instant::{self, Validity};
use crate::spiffe::{SpiffeId, TrustDomain};

/// A serial number: 126 random bits, given by the caller (RFC 5280, 4.1.2.2:
/// positive; CA/Browser Forum: at least 64 of them random).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Serial([u8; 16]);

impl Serial {
    /// From random bytes, of which the first two bits are fixed.
    pub fn of(random: [u8; 16]) -> Self {
        let mut bytes = random;
        bytes[0] = bytes[0] & 0x7f | 0x40;
        Self(bytes)
    }

    fn hexadecimal(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A root.  Its common name tells it from its successors: chains are built by
/// name.
pub(super) fn root(
    trust_domain: &TrustDomain,
    validity: Validity,
    serial: Serial,
) -> Result<CertificateParams, Error> {
    let name = format!("root-{}", &serial.hexadecimal()[..8]);
    authority(root_name(trust_domain, &name), trust_domain, validity, serial)
}

/// What a root says of the one that comes after it.
pub(super) fn successor(
    certificate: &X509Certificate<'_>,
    trust_domain: &TrustDomain,
    validity: Validity,
    serial: Serial,
) -> Result<CertificateParams, Error> {
    let name = certificate.subject().iter_common_name().next();
    let name = name.and_then(|name| name.as_str().ok()).ok_or(Error::CouldNotParseCertificate)?;
    let mut params = authority(root_name(trust_domain, name), trust_domain, validity, serial)?;
    let identifier = certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0.to_vec()),
        _ => None,
    });
    if let Some(identifier) = identifier {
        params.key_identifier_method = KeyIdMethod::PreSpecified(identifier);
    }
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn root_name(trust_domain: &TrustDomain, common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, trust_domain.as_str());
    name.push(DnType::CommonName, common_name);
    name
}

/// A signing certificate names its trust domain (X509-SVID, 3.2).
fn authority(
    name: DistinguishedName,
    trust_domain: &TrustDomain,
    validity: Validity,
    serial: Serial,
) -> Result<CertificateParams, Error> {
    let mut params = empty(validity, serial);
    params.distinguished_name = name;
    params.subject_alt_names = vec![SanType::URI(format!("spiffe://{trust_domain}").try_into()?)];
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// A workload: one URI, critical because the subject is empty.
pub(super) fn workload(
    identity: &SpiffeId,
    validity: Validity,
    serial: Serial,
) -> Result<CertificateParams, Error> {
    let mut params = leaf(validity, serial);
    params.subject_alt_names = vec![SanType::URI(identity.to_string().try_into()?)];
    Ok(params)
}

/// A server of the control plane.
pub(super) fn server(
    names: &ServerNames,
    validity: Validity,
    serial: Serial,
) -> Result<CertificateParams, Error> {
    let mut params = leaf(validity, serial);
    for name in &names.dns {
        params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
    }
    params.subject_alt_names.extend(names.addresses.iter().copied().map(SanType::IpAddress));
    Ok(params)
}

fn leaf(validity: Validity, serial: Serial) -> CertificateParams {
    let mut params = empty(validity, serial);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params
}

fn empty(validity: Validity, serial: Serial) -> CertificateParams {
    let day_one = date_time_ymd(1970, 1, 1);
    let moment = |time: SystemTime| day_one + std::time::Duration::from_secs(instant::seconds(time));
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.not_before = moment(validity.not_before);
    params.not_after = moment(validity.not_after);
    params.serial_number = Some(SerialNumber::from_slice(&serial.0));
    params
}
