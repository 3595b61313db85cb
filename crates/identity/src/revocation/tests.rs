//! Revocation lists of our authority and of strangers.

use std::time::Duration;

use rcgen::{
    CertificateRevocationListParams, Issuer, KeyIdMethod, RevokedCertParams, SerialNumber, date_time_ymd,
};

use super::*;
use crate::TrustDomain;
use crate::authority::{Authority, Serial};
use crate::key::{Algorithm, PrivateKey};

fn authority(number: u8) -> Authority {
    let key = PrivateKey::generate(Algorithm::EcdsaP256).expect("a key");
    let now = instant::at(1_000_000_000);
    let lifetime = Duration::from_secs(3600);
    Authority::self_signed(key, &TrustDomain::default(), lifetime, now, Serial::of([number; 16]))
        .expect("a root")
}

fn list(authority: &Authority) -> String {
    let issuer = Issuer::from_ca_cert_der(authority.certificate(), authority.key()).expect("an issuer");
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2001, 9, 9),
        next_update: date_time_ymd(2001, 9, 10),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: SerialNumber::from(0x1234),
            revocation_time: date_time_ymd(2001, 9, 9),
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(&issuer).expect("a list").pem().expect("PEM")
}

#[test]
fn a_list_of_ours_is_read() {
    let ours = authority(1);
    let lists = read(list(&ours).as_bytes(), &[ours.certificate().clone()]).expect("our list");
    let [list] = &lists[..] else { panic!("{lists:?}") };
    assert_eq!(list.serials, ["1234"]);
    // 2001-09-10T00:00:00Z
    assert_eq!(list.next_update, Some(instant::at(1_000_080_000)));
    assert!(!list.is_overdue(instant::at(1_000_080_000)));
    assert!(list.is_overdue(instant::at(1_000_080_001)));
}

#[test]
fn a_strangers_list_is_refused() {
    let (ours, stranger) = (authority(1), authority(1));
    assert_ne!(ours.certificate(), stranger.certificate(), "the same name, another key");
    let refused = read(list(&stranger).as_bytes(), &[ours.certificate().clone()]);
    assert!(matches!(refused, Err(RevocationError::Unsigned { .. })), "{refused:?}");
    assert_eq!(read(b"", &[]), Ok(Vec::new()));
}
