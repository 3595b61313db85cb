//! One root after another, through restarts.

use super::*;

#[test]
fn both_roots_are_believed_until_the_old_ones_certificates_are_gone() {
    let folder = folder();
    let ca = open(&folder);
    let mut changed = ca.changed();
    let old = ca.bundle();
    let before = grant(&ca, now());
    assert_eq!(before.issued.chain.len(), 1);

    ca.rotate(now()).expect("a new root");
    assert!(changed.has_changed().expect("the authority is there"));
    changed.mark_unchanged();
    let both = ca.bundle();
    assert_eq!(both.roots().len(), 2);
    assert_eq!(both.roots()[1], old.roots()[0], "the newest first");
    let after = grant(&ca, now());
    assert_eq!(after.bundle, both);
    assert_eq!(after.issued.chain.len(), 2, "the old root vouches for the new one");
    drop(ca);

    let ca = open(&folder);
    assert_eq!(ca.bundle(), both, "after a restart");
    assert_eq!(grant(&ca, now()).issued.chain[1], after.issued.chain[1]);
    ca.maintain(before.issued.validity.not_after);
    assert_eq!(ca.bundle(), both, "while a certificate of the old root holds");
    ca.maintain(before.issued.validity.not_after + Duration::from_secs(1));
    let new = ca.bundle();
    assert_eq!(new.roots(), &both.roots()[..1], "then no longer");
    assert_eq!(grant(&ca, now()).issued.chain.len(), 1, "nobody needs the old one's word");
    drop(ca);
    assert_eq!(open(&folder).bundle(), new, "after a restart");
}

/// What was signed for long keeps the root for long, through restarts too.
#[test]
fn the_longest_certificate_counts() {
    let folder = folder();
    let ca = open(&folder);
    ca.issue(&csr(), &reviews(), Some(DAY * 30), now()).expect("a certificate");
    drop(ca);
    let ca = open(&folder);
    ca.rotate(now()).expect("a new root");
    ca.maintain(now() + DAY * 30);
    assert_eq!(ca.bundle().roots().len(), 2);
    ca.maintain(now() + DAY * 31);
    assert_eq!(ca.bundle().roots().len(), 1);
}

#[test]
fn a_root_is_replaced_before_it_ends() {
    let folder = folder();
    let options = CaOptions { root_lifetime: DAY * 100, ..CaOptions::new(folder.path().join("ca")) };
    let ca = Ca::open(options, now()).expect("an authority");
    grant(&ca, now());
    ca.maintain(now() + DAY * 79);
    assert_eq!(ca.bundle().roots().len(), 1);
    ca.maintain(now() + DAY * 81);
    assert_eq!(ca.bundle().roots().len(), 2);
    let facts = certificate::facts(&ca.bundle().roots()[0]).expect("a root");
    assert_eq!(facts.validity.not_after, now() + DAY * 181);
}
