//! Which names resemble one.

use super::{distance, list, nearest};

#[test]
fn letters_are_counted() {
    for (one, other, count) in
        [("", "", 0), ("reviews", "reviews", 0), ("review", "reviews", 1), ("a", "", 1)]
    {
        assert_eq!(distance(one, other), count, "{one} {other}");
    }
    assert_eq!(distance("ratings", "retings"), 1);
}

#[test]
fn what_resembles_comes_first() {
    let names = ["details.default.svc", "reviews.default.svc", "ratings.default.svc"];
    assert!(nearest("revews:9080", names.into_iter()).starts_with("reviews.default.svc, "));
}

#[test]
fn long_lists_end() {
    let names = (0..9).map(|number| number.to_string());
    assert_eq!(list(names), "0, 1, 2, 3, 4, 5 and 3 more");
}
