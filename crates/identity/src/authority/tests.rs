//! Certificates field by field, and authorities from elsewhere.

mod fields;
mod plugged;
mod succession;

use super::*;
use crate::key::Algorithm;
use crate::{instant, request};

/// 2027-01-15T08:00:00Z.
const NOW: u64 = 1_800_000_000;
const HOUR: Duration = Duration::from_secs(3600);

fn now() -> SystemTime {
    instant::at(NOW)
}

fn key() -> PrivateKey {
    PrivateKey::generate(Algorithm::EcdsaP256).expect("a key")
}

fn root(number: u8) -> Authority {
    let lifetime = HOUR * 24 * 3650;
    Authority::self_signed(key(), &TrustDomain::default(), lifetime, now(), Serial::of([number; 16]))
        .expect("a root")
}

fn reviews() -> SpiffeId {
    "spiffe://cluster.local/ns/default/sa/bookinfo-reviews".parse().expect("an identity")
}

fn issue(authority: &Authority, key: &PrivateKey) -> Issued {
    let asked = "spiffe://cluster.local/ns/victim/sa/admin".parse().expect("an identity");
    let request = request::make(key, Some(&asked)).expect("a request");
    let request = request::read(&request).expect("our own request");
    authority.issue(&request, &reviews(), HOUR * 24, now(), Serial::of([9; 16])).expect("a certificate")
}

/// Whether a peer that knows `roots` believes the chain.
fn is_believed(chain: &[CertificateDer<'_>], roots: &Bundle, at: SystemTime) -> bool {
    use rustls_pki_types::UnixTime;
    use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage};

    let anchors: Vec<_> =
        roots.roots().iter().map(|root| webpki::anchor_from_trusted_cert(root).expect("a root")).collect();
    let [leaf, intermediates @ ..] = chain else { return false };
    let leaf = EndEntityCert::try_from(leaf).expect("a leaf");
    let time = UnixTime::since_unix_epoch(Duration::from_secs(instant::seconds(at)));
    [KeyUsage::server_auth(), KeyUsage::client_auth()].into_iter().all(|usage| {
        leaf.verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, intermediates, time, usage, None, None).is_ok()
    })
}
