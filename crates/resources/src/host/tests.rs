//! Tests of host names.

use super::*;

#[test]
fn names_are_checked_part_by_part() {
    let good = ["reviews", "reviews.default.svc.cluster.local", "a.example.com.", "A1.b", "10", "x-1.y2"];
    for name in good {
        let numeric = name == "10";
        assert_eq!(check_name(name).is_ok(), !numeric, "{name}");
    }
    let bad = [
        ("", HostError::Empty),
        ("a..b", HostError::InvalidLabel(String::new())),
        ("-a.b", HostError::InvalidLabel("-a".to_owned())),
        ("a_b.c", HostError::InvalidLabel("a_b".to_owned())),
        ("*.b", HostError::MisplacedWildcard),
        ("a.1", HostError::NumericEnd("1".to_owned())),
        ("http://a", HostError::NotOnlyHost("http://".to_owned())),
        ("a:80", HostError::NotOnlyHost(":80".to_owned())),
    ];
    for (name, error) in bad {
        assert_eq!(check_name(name), Err(error), "{name}");
    }
    assert_eq!(check_name(&"a".repeat(256)), Err(HostError::TooLong));
    assert!(check_name(&"a".repeat(64)).is_err());
}

#[test]
fn wildcards_stand_in_front() {
    for name in ["*", "*.example.com", "*-x.example.com", "*x.example.com", "a.b"] {
        assert_eq!(check_wildcard_name(name), Ok(()), "{name}");
    }
    for name in ["a.*.b", "**", "*.*", "*.-a", "*-"] {
        assert_eq!(check_wildcard_name(name).is_ok(), name == "*-", "{name}");
    }
}

#[test]
fn wildcards_cover_names_and_narrower_wildcards() {
    assert!(covers("*", "foo.com") && covers("*.com", "foo.com") && covers("*.com", "*.foo.com"));
    assert!(!covers("*.foo.com", "foo.com") && !covers("foo.com", "*.com") && !covers("*.foo.com", "*.com"));
    assert!(overlap("*.foo.com", "*.com") && overlap("a", "a") && !overlap("a", "b"));
}

#[test]
fn short_names_are_completed() {
    assert_eq!(full_name("reviews", "prod", "cluster.local"), "reviews.prod.svc.cluster.local");
    for name in ["reviews.prod", "*.com", "*", "10.0.0.1", "::1", ""] {
        assert_eq!(full_name(name, "prod", "cluster.local"), name);
    }
}
