//! Keys of every kind, in every form that tools write them.

use super::*;

#[test]
fn every_kind_is_made_and_read_again() {
    for algorithm in [Algorithm::EcdsaP256, Algorithm::EcdsaP384, Algorithm::Rsa2048] {
        let key = PrivateKey::generate(algorithm).expect("a key");
        let read = PrivateKey::from_pem(key.to_pem().as_bytes()).expect("the same key");
        assert_eq!(read.public_key_info(), key.public_key_info(), "{algorithm:?}");
        assert_eq!(read.to_der(), key.to_der(), "{algorithm:?}");
    }
}

#[test]
fn what_is_no_key_of_ours_is_refused() {
    let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key").serialize_pem();
    for (text, is_pem) in [(ed25519.as_str(), true), ("", false), ("-----BEGIN PRIVATE KEY-----\n", false)] {
        match PrivateKey::from_pem(text.as_bytes()) {
            Err(KeyError::Unsupported) => assert!(is_pem, "{text}"),
            Err(KeyError::Pem(_)) => assert!(!is_pem, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn no_key_is_printed() {
    let key = PrivateKey::generate(Algorithm::EcdsaP256).expect("a key");
    assert_eq!(format!("{key:?}"), "PrivateKey(PKCS_ECDSA_P256_SHA256)");
}
