//! Host names.

use super::*;

#[test]
fn short_names_are_completed() {
    for (host, full) in [
        ("reviews", "reviews.a.svc.cluster.local"),
        ("reviews.b", "reviews.b"),
        ("*", "*"),
        ("*.com", "*.com"),
        ("example.com", "example.com"),
        ("::1", "::1"),
    ] {
        assert_eq!(full_name(host, "a"), full);
    }
}

#[test]
fn patterns_cover_names_and_narrower_patterns() {
    for (pattern, host, expected) in [
        ("*", "a.b", true),
        ("*.b", "a.b", true),
        ("*.b", "b", false),
        ("*.b", "*.a.b", true),
        ("*.a.b", "*.b", false),
        ("a.b", "a.b", true),
        ("a.b", "*.b", false),
    ] {
        assert_eq!(covers(pattern, host), expected, "{pattern} {host}");
    }
}

#[test]
fn names_are_more_specific_than_wildcards() {
    let mut patterns = ["*", "*.b", "a.b", "*.a.b"];
    patterns.sort_by_key(|pattern| specificity(pattern));
    assert_eq!(patterns, ["a.b", "*.a.b", "*.b", "*"]);
}
