//! Requests that ask for too much, and requests that lie.

use rcgen::{BasicConstraints, IsCa, KeyPair, KeyUsagePurpose};

use super::*;
use crate::key::Algorithm;

fn key() -> PrivateKey {
    PrivateKey::generate(Algorithm::EcdsaP256).expect("a key")
}

#[test]
fn the_public_key_is_taken() {
    for algorithm in [Algorithm::EcdsaP256, Algorithm::EcdsaP384, Algorithm::Rsa2048] {
        let key = PrivateKey::generate(algorithm).expect("a key");
        let text = make(&key, None).expect("a request");
        assert_eq!(read(&text).expect("read").public_key_info(), key.public_key_info(), "{algorithm:?}");
    }
}

#[test]
fn what_is_asked_for_is_not_even_kept() {
    let key = key();
    let mut params = CertificateParams::new(vec!["victim.example".to_owned()]).expect("params");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let greedy = params.serialize_request(&key).expect("a request");
    let modest = make(&key, None).expect("a request");
    let (greedy, modest) = (read(&pem::of_request(greedy.der())), read(&modest));
    assert_eq!(
        format!("{:?}", greedy.expect("a good signature")),
        format!("{:?}", modest.expect("a good signature"))
    );
}

#[test]
fn a_key_of_somebody_else_is_refused() {
    let (own, other) = (key(), key());
    let text = make(&own, None).expect("a request");
    let mut der = pem::request(text.as_bytes()).expect("a request");
    let (from, to) = (own.public_key_info(), other.public_key_info());
    let at = der.windows(from.len()).position(|window| window == from).expect("the key is there");
    der[at..at + to.len()].copy_from_slice(&to);
    assert_eq!(read(&pem::of_request(&der)).expect_err("a lie"), RequestError::Signature);
}

#[test]
fn a_broken_signature_is_refused() {
    let der = pem::request(make(&key(), None).expect("a request").as_bytes()).expect("a request");
    let last = der.len() - 1;
    let mut broken = der.clone();
    broken[last] ^= 1;
    assert_eq!(read(&pem::of_request(&broken)).expect_err("broken"), RequestError::Signature);
    let mut longer = der.clone();
    longer.push(0);
    assert_eq!(read(&pem::of_request(&longer)).expect_err("more follows"), RequestError::Malformed);
    for length in [0, 1, 10, last] {
        let error = read(&pem::of_request(&der[..length])).expect_err("cut off");
        assert!(matches!(error, RequestError::Malformed | RequestError::Pem(_)), "{length}: {error}");
    }
}

#[test]
fn weak_and_strange_keys_are_refused() {
    for algorithm in [&rcgen::PKCS_ED25519, &rcgen::PKCS_ECDSA_P521_SHA512] {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let request = CertificateParams::default().serialize_request(&key).expect("a request");
        let error = read(&pem::of_request(request.der())).expect_err("a strange key");
        assert_eq!(error, RequestError::WeakKey, "{algorithm:?}");
    }
    assert_eq!((bits(&[0, 0, 1]), bits(&[0x80, 0]), bits(&[])), (1, 16, 0));
}

/// A key of 512 bits, which no library of ours makes: the number alone is
/// written into a request of 2,048.
#[test]
fn a_short_rsa_key_is_refused() {
    let key = PrivateKey::generate(Algorithm::Rsa2048).expect("a key");
    let mut der = pem::request(make(&key, None).expect("a request").as_bytes()).expect("a request");
    // The modulus is the one integer of 257 bytes: 00 and 2,048 bits.
    let header = [0x02, 0x82, 0x01, 0x01, 0x00];
    let at = der.windows(5).position(|window| window == header).expect("the modulus") + header.len();
    der[at..at + 192].fill(0);
    assert_eq!(read(&pem::of_request(&der)).expect_err("short"), RequestError::WeakKey);
}

#[test]
fn a_megabyte_is_not_parsed() {
    let text = format!("{}{}", make(&key(), None).expect("a request"), " ".repeat(1 << 20));
    assert_eq!(read(&text).expect_err("large"), RequestError::TooLarge);
}
