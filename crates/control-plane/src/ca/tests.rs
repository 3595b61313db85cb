//! An authority's life: kills, rotations, authorities from elsewhere, tokens
//! and forged requests.

mod kills;
mod plugged;
mod rotation;

use identity::certificate;
use identity::request::make;

use super::*;

/// 2027-01-15T08:00:00Z.
const NOW: u64 = 1_800_000_000;

fn now() -> SystemTime {
    instant::at(NOW)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn open(folder: &tempfile::TempDir) -> Ca {
    Ca::open(CaOptions::new(folder.path().join("ca")), now()).expect("an authority")
}

fn reviews() -> SpiffeId {
    "spiffe://cluster.local/ns/default/sa/bookinfo-reviews".parse().expect("an identity")
}

fn csr() -> String {
    make(&PrivateKey::generate(Algorithm::EcdsaP256).expect("a key"), None).expect("a request")
}

fn grant(ca: &Ca, at: SystemTime) -> Grant {
    ca.issue(&csr(), &reviews(), None, at).expect("a certificate")
}

#[test]
fn a_day_is_the_default_and_ninety_the_most() {
    let folder = folder();
    let ca = open(&folder);
    let until = |asked: Option<Duration>| {
        let grant = ca.issue(&csr(), &reviews(), asked, now()).expect("a certificate");
        let facts = certificate::facts(&grant.issued.chain[0]).expect("a certificate");
        assert_eq!(facts.validity, grant.issued.validity);
        facts.validity.not_after
    };
    assert_eq!(until(None), now() + DAY);
    assert_eq!(until(Some(DAY / 24)), now() + DAY / 24);
    assert_eq!(until(Some(DAY * 3650)), now() + DAY * 90);
}

/// Names, the CA bit and usages that a request asks for are not even looked at.
#[test]
fn whoever_asks_gets_himself() {
    let folder = folder();
    let ca = open(&folder);
    let key = PrivateKey::generate(Algorithm::EcdsaP256).expect("a key");
    let victim = "spiffe://cluster.local/ns/istio-system/sa/istiod".parse().expect("an identity");
    let csr = make(&key, Some(&victim)).expect("a request");
    let grant = ca.issue(&csr, &reviews(), None, now()).expect("a certificate");
    let leaf = &grant.issued.chain[0];
    assert_eq!(certificate::identity(leaf), Ok(reviews()));
    assert!(!certificate::facts(leaf).expect("a certificate").is_authority);
    let refused = ca.issue("nonsense", &reviews(), None, now());
    assert!(matches!(refused, Err(CaError::Request(_))));
    let text = ca.metrics_text(now());
    for line in [
        "citadel_server_csr_count 2",
        "citadel_server_csr_parsing_err_count 1",
        "citadel_server_success_cert_issuance_count 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn no_serial_number_comes_twice() {
    let folder = folder();
    let ca = open(&folder);
    let key = PrivateKey::generate(Algorithm::EcdsaP256).expect("a key");
    let csr = make(&key, None).expect("a request");
    let serial = || {
        let grant = ca.issue(&csr, &reviews(), None, now()).expect("a certificate");
        certificate::facts(&grant.issued.chain[0]).expect("a certificate").serial
    };
    assert_ne!(serial(), serial(), "the same key, twice");
}

#[test]
fn a_token_proves_who_its_bearer_is_once_and_soon() {
    let folder = folder();
    let ca = open(&folder);
    let mint = || ca.mint_token("default", "bookinfo-reviews", now()).expect("a token");
    let token = mint();
    assert_eq!(ca.redeem_token(token.as_str(), now()), Ok(reviews()));
    assert_eq!(ca.redeem_token(token.as_str(), now()), Err(TokenError::Unknown), "a replay");
    assert_eq!(ca.redeem_token("", now()), Err(TokenError::Unknown));
    let late = now() + tokens::LIFETIME + Duration::from_secs(1);
    let token = mint();
    assert_eq!(ca.redeem_token(token.as_str(), late), Err(TokenError::Expired));
    assert_eq!(ca.redeem_token(token.as_str(), now()), Err(TokenError::Unknown), "it is gone");
    assert_ne!(mint().as_str(), mint().as_str());
    assert!(matches!(ca.mint_token("a/b", "c", now()), Err(TokenError::Identity(_))));
    assert!(ca.metrics_text(now()).contains("citadel_server_authentication_failure_count 4\n"));
}

#[test]
fn renewal_is_at_half_life() {
    assert_eq!(renewal(now(), now() + DAY), DAY / 2);
    assert_eq!(renewal(now(), now()), Duration::ZERO);
    assert_eq!(renewal(now(), now() - DAY), Duration::ZERO);
}
