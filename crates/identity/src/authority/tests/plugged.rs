//! `cacerts` as Istio's users make them: a root, an intermediate, a chain.

use rcgen::{BasicConstraints, DnType, IsCa, KeyUsagePurpose, SerialNumber};

use super::super::plugged::{Material, PluggedError};
use super::*;
use crate::pem;

/// A certificate that an authority from elsewhere would sign.
struct Wanted<'a> {
    names: &'a [(DnType, &'a str)],
    is_ca: IsCa,
    until: SystemTime,
}

fn days(count: u64) -> SystemTime {
    now() + HOUR * 24 * u32::try_from(count).expect("few")
}

fn sign(
    wanted: &Wanted<'_>,
    key: &PrivateKey,
    by: Option<(&CertificateDer<'_>, &PrivateKey)>,
) -> CertificateDer<'static> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for (kind, text) in wanted.names {
        params.distinguished_name.push(kind.clone(), *text);
    }
    let day_one = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = day_one + Duration::from_secs(NOW - 3600);
    params.not_after = day_one + Duration::from_secs(instant::seconds(wanted.until));
    params.serial_number = Some(SerialNumber::from(77));
    params.is_ca = wanted.is_ca;
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = by.is_some();
    match by {
        Some((certificate, signer)) => {
            let issuer = Issuer::from_ca_cert_der(certificate, signer).expect("an issuer");
            params.signed_by(key, &issuer).expect("a certificate").into()
        }
        None => params.self_signed(key).expect("a certificate").into(),
    }
}

const ROOT: &[(DnType, &str)] = &[(DnType::OrganizationName, "Istio"), (DnType::CommonName, "Root CA")];
const MIDDLE: &[(DnType, &str)] =
    &[(DnType::OrganizationName, "Istio"), (DnType::CommonName, "Intermediate CA")];

/// Root, intermediate, and the certificate that signs; and the last one's key.
struct Elsewhere {
    root: CertificateDer<'static>,
    middle: CertificateDer<'static>,
    signing: CertificateDer<'static>,
    key: PrivateKey,
}

impl Elsewhere {
    fn new(is_ca: IsCa, until: SystemTime) -> Self {
        Self::with_key(PrivateKey::generate(Algorithm::EcdsaP384).expect("a key"), is_ca, until)
    }

    fn with_key(key: PrivateKey, is_ca: IsCa, until: SystemTime) -> Self {
        let (root_key, middle_key) = (super::key(), super::key());
        let signs = || IsCa::Ca(BasicConstraints::Unconstrained);
        let root = sign(&Wanted { names: ROOT, is_ca: signs(), until: days(3650) }, &root_key, None);
        let above = Some((&root, &root_key));
        let middle = sign(&Wanted { names: MIDDLE, is_ca: signs(), until: days(1000) }, &middle_key, above);
        let names = &[(DnType::CommonName, "Mesh CA"), (DnType::LocalityName, "cluster-1")];
        let signing = sign(&Wanted { names, is_ca, until }, &key, Some((&middle, &middle_key)));
        Self { root, middle, signing, key }
    }

    fn good() -> Self {
        Self::new(IsCa::Ca(BasicConstraints::Constrained(0)), days(90))
    }

    fn material(&self) -> Material {
        Material {
            ca_cert: pem::of_certificates([&self.signing]).into_bytes(),
            ca_key: zeroize::Zeroizing::new(self.key.to_pem().as_bytes().to_vec()),
            root_cert: pem::of_certificates([&self.root]).into_bytes(),
            cert_chain: pem::of_certificates([&self.signing, &self.middle]).into_bytes(),
        }
    }
}

#[test]
fn a_good_one_signs() {
    let elsewhere = Elsewhere::good();
    let authority = Authority::plugged_in(&elsewhere.material(), now()).expect("a good one");
    let issued = issue(&authority, &key());
    assert_eq!(issued.chain[1..], [elsewhere.signing.clone(), elsewhere.middle.clone()]);
    assert!(is_believed(&issued.chain, authority.roots(), now()));
    assert_eq!(authority.roots().roots(), [elsewhere.root]);
    assert_eq!(authority.validity().not_after, days(90));
}

#[test]
fn a_root_may_be_plugged_in_too() {
    let key = key();
    let signs = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = sign(&Wanted { names: ROOT, is_ca: signs, until: days(10) }, &key, None);
    let text = pem::of_certificates([&root]).into_bytes();
    let material = Material {
        ca_key: zeroize::Zeroizing::new(key.to_pem().as_bytes().to_vec()),
        root_cert: text.clone(),
        ca_cert: text,
        cert_chain: b"\n".to_vec(),
    };
    let authority = Authority::plugged_in(&material, now()).expect("a root");
    assert_eq!(issue(&authority, &super::key()).chain.len(), 1, "peers have the root");
}

#[test]
fn a_bad_one_is_refused_and_said_why() {
    let good = Elsewhere::good();
    let with = |change: &dyn Fn(&mut Material)| {
        let mut material = good.material();
        change(&mut material);
        Authority::plugged_in(&material, now()).map(drop).expect_err("it is bad").to_string()
    };
    let other = Elsewhere::good();
    let text = |certificate| pem::of_certificates([certificate]).into_bytes();
    assert_eq!(
        with(&|material| material.ca_key = other.material().ca_key),
        PluggedError::KeyMismatch.to_string()
    );
    assert_eq!(with(&|material| material.ca_key.clear()), "read `ca-key.pem`");
    assert_eq!(with(&|material| material.root_cert.clear()), "read `root-cert.pem`");
    let chain = "`cert-chain.pem` does not lead from `ca-cert.pem` to `root-cert.pem`";
    assert!(with(&|material| material.root_cert = text(&other.root)).starts_with(chain));
    assert!(with(&|material| material.cert_chain = text(&other.middle)).starts_with(chain));
    assert!(with(&|material| material.cert_chain.clear()).contains("UnknownIssuer"));

    let leaf = Elsewhere::new(IsCa::ExplicitNoCa, days(90));
    let refused = Authority::plugged_in(&leaf.material(), now()).map(drop);
    assert!(matches!(refused, Err(PluggedError::NotAnAuthority)), "{refused:?}");

    let late = Authority::plugged_in(&good.material(), days(91)).map(drop);
    assert!(matches!(late, Err(PluggedError::NotValid { file: "ca-cert.pem", .. })), "{late:?}");
    let early = Authority::plugged_in(&good.material(), now() - HOUR * 2).map(drop);
    assert!(matches!(early, Err(PluggedError::NotValid { .. })), "{early:?}");
    let broken = Elsewhere::new(IsCa::Ca(BasicConstraints::Constrained(0)), days(2000));
    let expired = Authority::plugged_in(&broken.material(), days(1500)).map(drop);
    assert!(matches!(expired, Err(PluggedError::NotValid { file: "cert-chain.pem", .. })), "{expired:?}");
}

#[test]
fn no_leaf_outlives_the_chain() {
    let long = Elsewhere::new(IsCa::Ca(BasicConstraints::Unconstrained), days(2000));
    let authority = Authority::plugged_in(&long.material(), now()).expect("a good one");
    assert_eq!(authority.validity().not_after, days(1000), "the intermediate's");
}

/// Chains are built by comparing names byte for byte.
#[test]
fn a_name_that_would_come_out_different_is_refused() {
    let key = key();
    let names =
        &[(DnType::OrganizationalUnitName, "one"), (DnType::CustomDnType(vec![2, 5, 4, 11]), "another")];
    let signs = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = sign(&Wanted { names, is_ca: signs, until: days(10) }, &key, None);
    let text = pem::of_certificates([&root]).into_bytes();
    let ca_key = zeroize::Zeroizing::new(key.to_pem().as_bytes().to_vec());
    let material = Material { ca_key, root_cert: text.clone(), ca_cert: text, cert_chain: Vec::new() };
    let refused = Authority::plugged_in(&material, now()).map(drop);
    assert!(matches!(refused, Err(PluggedError::Subject)), "{refused:?}");
}
