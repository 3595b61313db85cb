//! Root, root by sudo, root of a small namespace, and anybody else.

use super::*;

#[test]
fn the_caller_is_known_by_its_id_and_what_is_mapped() {
    let all = "         0          0 4294967295\n";
    let one = "         0       1000          1\n";
    let cases = [
        (0, all, None, Caller::Root { uid: NOBODY, gid: NOBODY }),
        (0, all, Some(1000), Caller::Root { uid: 1000, gid: 1000 }),
        (0, one, None, Caller::User { uid: 0, gid: 0 }),
        (0, "0 1000 1\n1 100000 65536\n", None, Caller::Root { uid: NOBODY, gid: NOBODY }),
        (1000, all, None, Caller::User { uid: 1000, gid: 1000 }),
    ];
    for (uid, map, sudo, expected) in cases {
        assert_eq!(Caller::from(uid, uid, map, sudo, sudo), expected, "{uid} {map}");
    }
}
