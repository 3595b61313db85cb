//! References in text, and variables from every source.

use super::*;
use crate::kubelet::context::tests::example;

#[test]
fn references_are_expanded() {
    let known = BTreeMap::from([("A".to_owned(), "1".to_owned()), ("B".to_owned(), "$(A)".to_owned())]);
    let cases = [
        ("$(A)", "1"),
        ("x$(A)y$(B)", "x1y$(A)"),
        ("$(NONE)", "$(NONE)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A ${A} $(A", "$A ${A} $(A"),
        ("100$", "100$"),
    ];
    for (text, expected) in cases {
        assert_eq!(expand(text, &known), expected, "{text}");
    }
}

#[test]
fn variables_come_from_every_source() {
    let example = example();
    let context = example.context();
    let first = [("PATH".to_owned(), "/bin".to_owned())];
    let variables = variables(&context, &context.pod.spec.containers[0], &first).expect("variables");
    let text: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        text,
        [
            "PATH=/bin:/own",
            "C_color=blue",
            "C_size=big",
            "POD=app-1",
            "IP=10.44.0.7",
            "APP=shop",
            "NOTE=some text",
            "COLOR=blue",
            "PASSWORD=secret",
            "CPU=2",
            "MEMORY=64",
            "JOINED=app-1:blue",
        ]
    );
}

#[test]
fn what_is_missing_is_named() {
    let example = example();
    let context = example.context();
    for (variable, expected) in [
        (
            r#"{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "none"}}}"#,
            "no key `none`",
        ),
        (
            r#"{"name": "X", "valueFrom": {"secretKeyRef": {"name": "nobody", "key": "x"}}}"#,
            "Secret `nobody`",
        ),
        (r#"{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "spec.none"}}}"#, "spec.none"),
    ] {
        let variable: EnvVar = serde_json::from_str(variable).expect("a variable");
        let container = Container { env: vec![variable], ..Container::default() };
        let reason = variables(&context, &container, &[]).expect_err("a reason").message;
        assert!(reason.contains(expected), "{reason}");
    }
    let optional: EnvVar = serde_json::from_str(
        r#"{"name": "X", "valueFrom": {"secretKeyRef": {"name": "nobody", "key": "x", "optional": true}}}"#,
    )
    .expect("a variable");
    let container = Container { env: vec![optional], ..Container::default() };
    assert!(variables(&context, &container, &[]).expect("nothing").is_empty());
}
