//! Tests of reading and writing YAML.

use proptest::prelude::*;
use serde_json::json;

use super::reader::{Document, read};
use super::to_yaml;
use crate::test_cases;

/// The only document of a text, without faults.
fn one(text: &str) -> serde_json::Value {
    let documents = read(text);
    let [Document { root: Some(root), faults }] = documents.as_slice() else { panic!("{documents:?}") };
    assert!(faults.is_empty(), "{faults:?}");
    root.to_json()
}

/// The faults of a text, as `line:column message (help)`.
fn faults(text: &str) -> Vec<String> {
    read(text)
        .into_iter()
        .flat_map(|document| document.faults)
        .map(|fault| {
            format!("{}:{} {} ({})", fault.position.line, fault.position.column, fault.message, fault.help)
        })
        .collect()
}

#[test]
fn unquoted_scalars_mean_what_they_mean_to_kubectl() {
    let cases = [
        ("yes", json!(true)),
        ("Off", json!(false)),
        ("y", json!(true)),
        ("~", json!(null)),
        ("", json!(null)),
        ("0777", json!(511)),
        ("0o17", json!(15)),
        ("0x1F", json!(31)),
        ("0b101", json!(5)),
        ("1_000", json!(1000)),
        ("-12", json!(-12)),
        ("+12", json!(12)),
        ("08", json!(8)),
        ("1.10", json!(1.1)),
        (".5", json!(0.5)),
        ("1e3", json!(1000.0)),
        ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
        ("2001-01-01", json!("2001-01-01")),
        ("12:30:45", json!("12:30:45")),
        ("1.2.3", json!("1.2.3")),
        ("v1", json!("v1")),
        ("\"yes\"", json!("yes")),
        ("'1.10'", json!("1.10")),
        ("!!str 1.10", json!("1.10")),
        ("! 12", json!("12")),
        ("!!int 12", json!(12)),
        ("yEs", json!("yEs")),
        ("e3", json!("e3")),
    ];
    for (text, value) in cases {
        assert_eq!(one(&format!("a: {text}\n"))["a"], value, "{text}");
    }
}

#[test]
fn keys_are_text() {
    assert_eq!(one("on: 1\n80: 2\n~: 3\n1.10: 4\n"), json!({"on": 1, "80": 2, "~": 3, "1.10": 4}));
}

#[test]
fn anchors_are_copied_and_merge_keys_taken_in() {
    let text = "base: &base {a: 1, b: 2}\nmore: &more {c: 3}\none:\n  b: 5\n  <<: *base\ntwo:\n  <<: [*base, *more]\nthree: *base\n\"<<\": 7\n";
    let value = one(text);
    assert_eq!(value["one"], json!({"b": 5, "a": 1}));
    assert_eq!(value["two"], json!({"a": 1, "b": 2, "c": 3}));
    assert_eq!(value["three"], json!({"a": 1, "b": 2}));
    assert_eq!(value["<<"], json!(7));
}

#[test]
fn documents_are_read_past_a_broken_one() {
    let documents = read("a: 1\n---\nb: [1\n---\nc: 3\n...\n---\n# nothing\n---\nd: 4\n");
    let roots: Vec<_> = documents.iter().map(|d| d.root.as_ref().map(super::Node::to_json)).collect();
    let expected =
        vec![Some(json!({"a": 1})), None, Some(json!({"c": 3})), Some(json!(null)), Some(json!({"d": 4}))];
    assert_eq!(roots, expected);
    assert_eq!(documents[1].faults.len(), 1);
}

#[test]
fn line_ends_and_byte_order_marks_do_not_matter() {
    assert_eq!(
        one("\u{feff}a: 1\r\nb:\r\n- x\r\n- |\r\n  y\r\n  z\r\n"),
        json!({"a": 1, "b": ["x", "y\nz\n"]})
    );
    assert!(read("").is_empty());
    assert!(read("# only a comment\n").is_empty());
}

#[test]
fn positions_count_characters_from_one() {
    assert_eq!(
        faults("ä: 1\nb: {é: 1, é: 2}\n"),
        [
            "2:11 the key `é` stands twice in the same map, first in line 2 (remove one of the two; in a list, each element begins with `- `)"
        ]
    );
}

#[test]
fn aliases_are_bounded() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = level - 1;
        let aliases = vec![format!("*a{below}"); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let found = faults(&text);
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("the aliases of this file add more than 8 MiB to it"), "{found:?}");

    let mut deep = "a0: &a0 {x: 1}\n".to_owned();
    for level in 1..200 {
        deep.push_str(&format!("a{level}: &a{level} {{x: *a{}}}\n", level - 1));
    }
    assert!(faults(&deep)[0].contains("more than 100 levels deep"));
    assert!(faults(&format!("a: {}", "[".repeat(5000)))[0].contains("more than 100 levels deep"));
    assert!(faults("a: &a [*a]\n")[0].contains("refers to the value that it is a part of"));
}

#[test]
fn syntax_errors_say_what_to_do() {
    test_cases::check("syntax", faults);
}

#[test]
fn written_yaml_is_laid_out_as_kubectl_does() {
    let value = json!({
        "kind": "X",
        "list": ["a", {"b": 1, "c": [true]}, [1, 2], []],
        "empty": {},
        "quoted": ["yes", "1.10", "", "a: b", "*", " x", "null", "x ", "0x1"],
        "text": "one\n  two\n\nthree\n",
        "open": "one\ntwo",
        "on": null,
    });
    let text = to_yaml(&value);
    assert_eq!(text, include_str!("../../cases/written.yaml"));
    assert_eq!(one(&text), value);
}

/// Any JSON value, with texts that YAML likes to read as something else.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let text = prop_oneof![
        any::<String>(),
        "[ -~\n\t]{0,12}",
        "[a-z:# \\-\n'\"{}*&!|>%@`,\\[\\]?~0-9.]{0,8}",
        prop::sample::select(vec![
            "yes", "~", "null", "1e3", "-", "? a", "- a", "---", "...", "<<", "=", "0o7", "1_0", "\u{feff}",
            "\r\n", "a\r"
        ])
        .prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_filter_map("finite", |f| serde_json::Number::from_f64(f).map(Into::into)),
        text.clone().prop_map(serde_json::Value::String),
    ];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::Array),
            prop::collection::btree_map(text.clone(), inner, 0..5)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_as_the_same(value in any_json()) {
        let value = json!({"a": value});
        let text = to_yaml(&value);
        prop_assert_eq!(one(&text), value, "{}", text);
    }
}
