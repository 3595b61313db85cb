use super::*;

const DEFAULT: Normalization =
    Normalization { normalize: true, merge_slashes: false, escaped_slashes: EscapedSlashes::Keep };
const MERGE: Normalization = Normalization { merge_slashes: true, ..DEFAULT };
const DECODE: Normalization =
    Normalization { normalize: true, merge_slashes: true, escaped_slashes: EscapedSlashes::Decode };

fn normal(how: Normalization, path: &str) -> Option<String> {
    match how.apply(path) {
        Normalized::Same => Some(path.to_owned()),
        Normalized::Changed(path) => Some(path),
        Normalized::Redirect(path) => Some(format!("-> {path}")),
        Normalized::Refused => None,
    }
}

#[test]
fn paths_are_normalised_as_configured() {
    let table = [
        (DEFAULT, "/a/b", Some("/a/b")),
        (DEFAULT, "/a/../b?x=/../y", Some("/b?x=/../y")),
        (DEFAULT, "/a/./b", Some("/a/b")),
        (DEFAULT, "/a/b/..", Some("/a/")),
        (DEFAULT, "/../../admin", Some("/admin")),
        (DEFAULT, "/a/%2e%2E/admin", Some("/admin")),
        (DEFAULT, "/%61dmin", Some("/admin")),
        (DEFAULT, "/\\admin", Some("//admin")),
        (DEFAULT, "/a\\..\\admin", Some("/admin")),
        (DEFAULT, "//admin", Some("//admin")),
        (DEFAULT, "/admin%2f", Some("/admin%2f")),
        (DEFAULT, "/admin%00", None),
        (DEFAULT, "/a%zz", Some("/a%zz")),
        (DEFAULT, "*", Some("*")),
        (MERGE, "//a///b", Some("/a/b")),
        (DECODE, "/a%2Fb%5Cc", Some("/a/b/c")),
        (DECODE, "/a%2f..%2fadmin", Some("/admin")),
        (Normalization { escaped_slashes: EscapedSlashes::Reject, ..DEFAULT }, "/a%2fb", None),
        (
            Normalization { escaped_slashes: EscapedSlashes::Redirect, ..DEFAULT },
            "/a%2fb?c",
            Some("-> /a/b?c"),
        ),
        (Normalization::default(), "/a/../b", Some("/a/../b")),
    ];
    for (how, path, expected) in table {
        assert_eq!(normal(how, path).as_deref(), expected, "{path}");
    }
}

#[test]
fn query_parameters_are_found_as_written() {
    assert_eq!(query_parameter("/a?b=c&d=%20", "d"), Some("%20"));
    assert_eq!(query_parameter("/a?b", "b"), Some(""));
    assert_eq!(query_parameter("/a?b=1&b=2", "b"), Some("1"));
    assert_eq!(query_parameter("/a", "b"), None);
    assert_eq!(split_query("/a?b#c"), ("/a", "?b"));
}
