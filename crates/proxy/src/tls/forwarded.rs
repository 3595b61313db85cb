//! What `x-forwarded-client-cert` says about a client, in Envoy's words.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use routing::hcm::CertificateDetails;

use crate::tls::certificate::TlsFacts;

/// The element about one connection.
pub fn element(facts: &TlsFacts, details: CertificateDetails) -> String {
    let mut parts = Vec::new();
    if let Some(own) = facts.own.as_ref().and_then(|own| own.uris.first()) {
        parts.push(format!("By={own}"));
    }
    let Some(peer) = &facts.peer else { return parts.join(";") };
    parts.push(format!("Hash={}", peer.fingerprint()));
    if details.certificate {
        parts.push(format!("Cert=\"{}\"", pem(&peer.chain[..peer.chain.len().min(1)])));
    }
    if details.chain {
        parts.push(format!("Chain=\"{}\"", pem(&peer.chain)));
    }
    if details.subject {
        parts.push(format!("Subject=\"{}\"", peer.subject));
    }
    if details.uri {
        match &peer.uris[..] {
            [] => parts.push("URI=".to_owned()),
            uris => parts.extend(uris.iter().map(|uri| format!("URI={uri}"))),
        }
    }
    if details.dns {
        parts.extend(peer.hosts.iter().map(|host| format!("DNS={host}")));
    }
    parts.join(";")
}

/// Certificates as PEM in URL encoding.
pub fn pem(chain: &[impl AsRef<[u8]>]) -> String {
    let mut text = String::new();
    for certificate in chain {
        text.push_str("-----BEGIN%20CERTIFICATE-----%0A");
        let encoded = STANDARD.encode(certificate.as_ref());
        for line in encoded.as_bytes().chunks(64) {
            for byte in line {
                match byte {
                    b'+' => text.push_str("%2B"),
                    b'/' => text.push_str("%2F"),
                    b'=' => text.push_str("%3D"),
                    other => text.push(char::from(*other)),
                }
            }
            text.push_str("%0A");
        }
        text.push_str("-----END%20CERTIFICATE-----%0A");
    }
    text
}
