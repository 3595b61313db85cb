//! Every field of our certificates, read by our reader and by OpenSSL's.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::*;
use crate::pem;

/// What OpenSSL says of a certificate.
fn openssl(arguments: &[&str], der: &CertificateDer<'_>) -> String {
    let mut child = Command::new("openssl")
        .args(["x509", "-noout", "-nameopt", "RFC2253"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("openssl is installed (`cargo xtask tools`)");
    let text = pem::of_certificates([der]);
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("openssl reads");
    let output = child.wait_with_output().expect("openssl ends");
    assert!(output.status.success(), "openssl refuses the certificate");
    String::from_utf8(output.stdout).expect("text")
}

const EXTENSIONS: [&str; 2] = [
    "-ext",
    "basicConstraints,keyUsage,extendedKeyUsage,subjectAltName,subjectKeyIdentifier,authorityKeyIdentifier",
];

/// Extensions by name, each with its value; identifiers of keys shortened.
fn extensions(der: &CertificateDer<'_>) -> Vec<(String, String)> {
    let text = openssl(&EXTENSIONS, der);
    let mut found: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("    ") {
            None => found.push((line.trim().to_owned(), String::new())),
            Some(value) => found.last_mut().expect("a name comes first").1.push_str(value.trim()),
        }
    }
    found.sort();
    found
}

fn value<'a>(extensions: &'a [(String, String)], name: &str) -> &'a str {
    &extensions.iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("no {name}")).1
}

#[test]
fn a_workloads_certificate_is_istios() {
    let authority = root(1);
    let key = key();
    let issued = issue(&authority, &key);
    let [leaf] = &issued.chain[..] else { panic!("a root's leaf has no intermediate") };
    assert_eq!(certificate::identity(leaf), Ok(reviews()));

    let extensions = extensions(leaf);
    let names: Vec<&str> = extensions.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "X509v3 Authority Key Identifier:",
            "X509v3 Basic Constraints: critical",
            "X509v3 Extended Key Usage:",
            "X509v3 Key Usage: critical",
            "X509v3 Subject Alternative Name: critical",
            "X509v3 Subject Key Identifier:",
        ]
    );
    let value = |name| value(&extensions, name);
    assert_eq!(value("X509v3 Basic Constraints: critical"), "CA:FALSE");
    assert_eq!(value("X509v3 Key Usage: critical"), "Digital Signature, Key Encipherment");
    assert_eq!(
        value("X509v3 Extended Key Usage:"),
        "TLS Web Server Authentication, TLS Web Client Authentication"
    );
    assert_eq!(
        value("X509v3 Subject Alternative Name: critical"),
        "URI:spiffe://cluster.local/ns/default/sa/bookinfo-reviews"
    );
    let above = super::fields::extensions(authority.certificate());
    assert_eq!(
        value("X509v3 Authority Key Identifier:"),
        super::fields::value(&above, "X509v3 Subject Key Identifier:")
    );

    let text = openssl(
        &["-subject", "-issuer", "-serial", "-startdate", "-enddate", "-dateopt", "iso_8601", "-pubkey"],
        leaf,
    );
    let expected = "subject=\nissuer=CN=root-41010101,O=cluster.local\n\
        serial=49090909090909090909090909090909\n\
        notBefore=2027-01-15 07:58:00Z\nnotAfter=2027-01-16 08:00:00Z\n";
    assert!(text.starts_with(expected), "{text}");
    let algorithm = openssl(&["-text"], leaf);
    assert!(algorithm.contains("Signature Algorithm: ecdsa-with-SHA256"), "{algorithm}");
    assert!(algorithm.contains("NIST CURVE: P-256"), "{algorithm}");
    assert!(algorithm.contains("Version: 3 (0x2)"), "{algorithm}");
    assert!(is_believed(&issued.chain, authority.roots(), now()));
}

#[test]
fn a_root_signs_and_proves_nobody() {
    let authority = root(1);
    let root = authority.certificate();
    let extensions = extensions(root);
    let value = |name| value(&extensions, name);
    assert_eq!(value("X509v3 Basic Constraints: critical"), "CA:TRUE");
    assert_eq!(value("X509v3 Key Usage: critical"), "Certificate Sign, CRL Sign");
    assert_eq!(value("X509v3 Subject Alternative Name:"), "URI:spiffe://cluster.local");
    let text = openssl(&["-subject", "-issuer", "-enddate", "-dateopt", "iso_8601"], root);
    assert_eq!(
        text,
        "subject=CN=root-41010101,O=cluster.local\n\
         issuer=CN=root-41010101,O=cluster.local\nnotAfter=2037-01-12 08:00:00Z\n"
    );
    assert_eq!(certificate::identity(root), Err(CertificateError::IsAuthority));
}

#[test]
fn a_server_is_named_by_host() {
    let authority = root(1);
    let names = ServerNames {
        dns: vec!["istiod.istio-system.svc".to_owned()],
        addresses: vec![IpAddr::from([127, 0, 0, 1])],
    };
    let issued =
        authority.issue_server(&key(), &names, HOUR, now(), Serial::of([2; 16])).expect("a certificate");
    let extensions = extensions(&issued.chain[0]);
    assert_eq!(
        value(&extensions, "X509v3 Subject Alternative Name: critical"),
        "DNS:istiod.istio-system.svc, IP Address:127.0.0.1"
    );
    assert_eq!(certificate::identity(&issued.chain[0]), Err(CertificateError::NotOneIdentity(0)));
}

#[test]
fn rsa_signs_and_is_signed() {
    let rsa = || PrivateKey::generate(Algorithm::Rsa2048).expect("a key");
    let authority = Authority::self_signed(rsa(), &TrustDomain::default(), HOUR, now(), Serial::of([1; 16]))
        .expect("a root");
    let issued = issue(&authority, &rsa());
    assert!(is_believed(&issued.chain, authority.roots(), now()));
    let text = openssl(&["-text"], &issued.chain[0]);
    assert!(text.contains("Signature Algorithm: sha256WithRSAEncryption"), "{text}");
    assert!(text.contains("Public-Key: (2048 bit)"), "{text}");
}

#[test]
fn nothing_outlives_its_authority() {
    let authority = Authority::self_signed(key(), &TrustDomain::default(), HOUR, now(), Serial::of([1; 16]))
        .expect("a root");
    let issued = issue(&authority, &key());
    assert_eq!(issued.validity.not_after, now() + HOUR, "a day was asked for");
    let request = request::read(&request::make(&key(), None).expect("a request")).expect("a request");
    let late = now() + HOUR + Duration::from_secs(1);
    let refused = authority.issue(&request, &reviews(), HOUR, late, Serial::of([1; 16]));
    assert!(matches!(refused, Err(SignError::Expired)), "{refused:?}");
}
