//! Authorities from elsewhere come, change, are wrong, and go.

use std::path::Path;

use super::*;

/// A root from elsewhere, in Istio's four files.
fn files(lifetime: Duration) -> [(&'static str, String); 4] {
    let key = PrivateKey::generate(Algorithm::EcdsaP256).expect("a key");
    let serial = serial().expect("random numbers");
    let root = Authority::self_signed(key, &TrustDomain::default(), lifetime, now(), serial).expect("a root");
    let text = root.roots().to_pem();
    [
        ("ca-cert.pem", text.clone()),
        ("ca-key.pem", root.key().to_pem().as_str().to_owned()),
        ("root-cert.pem", text.clone()),
        ("cert-chain.pem", text),
    ]
}

fn put(folder: &Path, files: &[(&str, String)]) -> Bundle {
    std::fs::create_dir_all(folder).expect("a folder");
    for (name, text) in files {
        std::fs::write(folder.join(name), text).expect("written");
    }
    Bundle::from_pem(files[2].1.as_bytes()).expect("roots")
}

fn options(folder: &tempfile::TempDir) -> CaOptions {
    CaOptions { plugged_in: Some(folder.path().join("cacerts")), ..CaOptions::new(folder.path().join("ca")) }
}

#[test]
fn a_folder_is_taken_up_and_followed() {
    let folder = folder();
    let place = folder.path().join("cacerts");
    let ca = Ca::open(options(&folder), now()).expect("an authority");
    let own = ca.bundle();
    grant(&ca, now());

    let first = put(&place, &files(DAY * 300));
    ca.maintain(now());
    assert_eq!(ca.bundle(), first.and(&own), "certificates of our own root are about");
    assert!(matches!(ca.rotate(now()), Err(CaError::IsPluggedIn(_))));

    let mut wrong = files(DAY * 300);
    wrong[1].1 = files(DAY)[1].1.clone();
    put(&place, &wrong);
    ca.maintain(now());
    ca.maintain(now());
    assert_eq!(ca.bundle(), first.and(&own), "a wrong key changes nothing");
    grant(&ca, now());

    let second = put(&place, &files(DAY * 300));
    ca.maintain(now());
    assert_eq!(ca.bundle(), second.and(&own).and(&first));
    drop(ca);
    let ca = Ca::open(options(&folder), now()).expect("an authority");
    assert_eq!(ca.bundle(), second.and(&own).and(&first), "after a restart");
    ca.maintain(now() + DAY * 2);
    assert_eq!(ca.bundle(), second);

    std::fs::remove_dir_all(&place).expect("removed");
    ca.maintain(now() + DAY * 2);
    assert_eq!(ca.bundle(), own.and(&second), "our own root again");
}

#[test]
fn a_wrong_folder_is_told_at_the_start() {
    let folder = folder();
    let mut wrong = files(DAY);
    wrong[2].1 = files(DAY)[2].1.clone();
    put(&folder.path().join("cacerts"), &wrong);
    let error = Ca::open(options(&folder), now()).map(drop).expect_err("it is wrong");
    assert!(telling(&error).contains("does not lead from `ca-cert.pem` to `root-cert.pem`"), "{error}");
    std::fs::remove_file(folder.path().join("cacerts/root-cert.pem")).expect("removed");
    let error = Ca::open(options(&folder), now()).map(drop).expect_err("it is incomplete");
    assert!(telling(&error).contains("read `root-cert.pem`"), "{}", telling(&error));
}

#[test]
fn a_secret_is_taken_up_where_there_is_no_folder() {
    let folder = folder();
    let ca = Ca::open(options(&folder), now()).expect("an authority");
    let secret = |files: &[(&str, String)]| {
        let file = |name: &str| {
            files.iter().find(|(found, _)| *found == name).map(|(_, text)| text.clone().into_bytes())
        };
        Plugged::of("a Secret", &file).expect("complete")
    };
    let own = ca.bundle();
    let files = files(DAY * 300);
    ca.offer_secret(secret(&files), now());
    let theirs = Bundle::from_pem(files[2].1.as_bytes()).expect("roots");
    assert_eq!(ca.bundle(), theirs, "nothing was signed before");
    ca.maintain(now());
    assert_eq!(ca.bundle(), theirs, "it stays");
    grant(&ca, now());
    ca.offer_secret(secret(&[]), now());
    assert_eq!(ca.bundle(), own.and(&theirs));
}

#[test]
fn revocation_lists_of_the_authority_alone_are_used() {
    let folder = folder();
    let place = folder.path().join("cacerts");
    put(&place, &files(DAY * 300));
    std::fs::write(place.join("ca-crl.pem"), "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
        .expect("written");
    let ca = Ca::open(options(&folder), now()).expect("an authority");
    assert_eq!(ca.revocation_lists(), Vec::new(), "what is no list is told, and the rest goes on");
    grant(&ca, now());
}
