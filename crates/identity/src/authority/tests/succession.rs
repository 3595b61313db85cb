//! One root after another: no moment at which a peer is not believed.

use super::*;
use crate::pem;

#[test]
fn old_and_new_believe_each_other() {
    let old = root(1);
    let new = root(2);
    let before = issue(&old, &key());
    let vouched =
        old.vouch(&new, &TrustDomain::default(), now(), Serial::of([3; 16])).expect("a certificate");
    let (old_roots, new_roots) = (old.roots().clone(), new.roots().clone());
    let both = new_roots.and(&old_roots);
    let new = new.vouched_for(vec![vouched]);
    let after = issue(&new, &key());
    for (chain, roots, believed, what) in [
        (&before.chain, &old_roots, true, "old leaf, old peer"),
        (&before.chain, &both, true, "old leaf, peer with both"),
        (&after.chain, &old_roots, true, "new leaf, old peer"),
        (&after.chain, &both, true, "new leaf, peer with both"),
        (&after.chain, &new_roots, true, "new leaf, peer with the new root"),
        (&before.chain, &new_roots, false, "old leaf when the old root is gone"),
    ] {
        assert_eq!(is_believed(chain, roots, now()), believed, "{what}");
    }
    assert_eq!(both.roots().len(), 2);
    assert_eq!(both.and(&both), both, "each once");
    assert_eq!(Bundle::from_pem(both.to_pem().as_bytes()), Ok(both.clone()));
    assert_eq!(both.valid_at(now()), both);
    assert_eq!(both.valid_at(now() + HOUR * 24 * 3651), Bundle::default());
}

#[test]
fn a_root_comes_back_with_its_key_alone() {
    let authority = root(1);
    let certificate = authority.certificate().clone();
    let key_text = authority.key().to_pem();
    let same = PrivateKey::from_pem(key_text.as_bytes()).expect("the key");
    let restored = Authority::restore(same, certificate.clone()).expect("the same root");
    assert!(is_believed(&issue(&restored, &key()).chain, authority.roots(), now()));
    let other = Authority::restore(key(), certificate);
    assert!(matches!(other, Err(SignError::KeyMismatch)), "{other:?}");
    assert_eq!(format!("{restored:?}"), r#"Authority { subject: "O=cluster.local, CN=root-41010101", .. }"#);
    assert_eq!(pem::certificates(restored.roots().to_pem().as_bytes()).expect("PEM").len(), 1);
}
