//! Variables as Istio's templates set them.

use super::*;

fn read(variables: &[(&str, &str)]) -> Result<IdentitySettings, String> {
    let environment =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    IdentitySettings::from_environment(&environment).map_err(|error| error.to_string())
}

#[test]
fn defaults_are_istios() {
    let settings = read(&[]).expect("defaults");
    assert_eq!(settings.lifetime, Duration::from_secs(86_400));
    assert_eq!((settings.grace_ratio, settings.grace_jitter), (0.5, 0.01));
    assert_eq!(settings.algorithm, Algorithm::EcdsaP256);
    assert_eq!(settings.credential, Credential::None);
    assert_eq!(settings.ca_address("istiod.istio-system.svc:15010"), "istiod.istio-system.svc:15012");
    assert_eq!(settings.ca_address("istiod.example:443"), "istiod.example:443");
}

#[test]
fn what_is_set_holds() {
    let settings = read(&[
        ("CA_ADDR", "ca.example:15012"),
        ("SECRET_TTL", "1h30m0s"),
        ("WORKLOAD_RSA_KEY_SIZE", "4096"),
        ("TRUST_DOMAIN", "example.org"),
        ("LATEEN_CREDENTIALS", "stdin"),
    ])
    .expect("right");
    assert_eq!(settings.ca_address("istiod.istio-system.svc:15010"), "ca.example:15012");
    assert_eq!(settings.lifetime, Duration::from_secs(5400));
    assert_eq!(settings.algorithm, Algorithm::Rsa4096);
    assert_eq!(settings.trust_domain.as_str(), "example.org");
    assert_eq!(settings.credential, Credential::StandardInput);
}

#[test]
fn what_is_wrong_is_named() {
    for (name, value) in [
        ("SECRET_TTL", "0s"),
        ("SECRET_TTL", "soon"),
        ("SECRET_GRACE_PERIOD_RATIO", "1.5"),
        ("WORKLOAD_RSA_KEY_SIZE", "512"),
        ("ECC_SIGNATURE_ALGORITHM", "DSA"),
        ("LATEEN_CREDENTIALS", "/tmp/token"),
        ("TRUST_DOMAIN", "a/b"),
    ] {
        let error = read(&[(name, value)]).map(drop).expect_err(name);
        assert!(error.contains(name), "{error}");
    }
}
