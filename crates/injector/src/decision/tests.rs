//! The whole table of namespace, pod, annotation and policy.

use serde_json::json;

use super::*;

fn pod(label: &str, annotation: &str, revision: &str) -> Value {
    let mut pod = json!({"metadata": {"labels": {}, "annotations": {}}, "spec": {}});
    if !label.is_empty() {
        pod["metadata"]["labels"][INJECT] = json!(label);
    }
    if !annotation.is_empty() {
        pod["metadata"]["annotations"][INJECT] = json!(annotation);
    }
    if !revision.is_empty() {
        pod["metadata"]["labels"][REVISION] = json!(revision);
    }
    pod
}

fn namespace(injection: &str, revision: &str) -> BTreeMap<String, String> {
    let pairs = [(INJECTION, injection), (REVISION, revision)];
    pairs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn is_injected(decision: Result<Decision, InjectError>) -> bool {
    decision.expect("a decision") == Decision::Sidecar
}

#[test]
fn webhooks_see_what_labels_say() {
    // Namespace's istio-injection and revision, pod's label and revision; seen, and seen when enabled by default.
    let cases = [
        ("", "", "", "", false, true),
        ("", "", "true", "", true, true),
        ("", "", "false", "", false, false),
        ("", "", "", "default", true, true),
        ("", "", "", "canary", false, false),
        ("", "", "", "stable", true, true),
        ("", "", "false", "default", false, false),
        ("enabled", "", "", "", true, true),
        ("enabled", "", "false", "", false, false),
        ("enabled", "", "", "canary", true, true),
        ("enabled", "canary", "", "", true, true),
        ("disabled", "", "true", "", false, false),
        ("disabled", "default", "true", "", false, false),
        ("sometimes", "", "true", "", false, false),
        ("", "default", "", "", true, true),
        ("", "stable", "", "", true, true),
        ("", "default", "false", "", false, false),
        ("", "canary", "", "", false, false),
        ("", "canary", "true", "", false, false),
    ];
    for (injection, ns_revision, label, revision, seen, seen_by_default) in cases {
        let revisions = vec!["default".to_owned(), "stable".to_owned()];
        let mut policy = Policy { revisions, ..Policy::default() };
        let (pod, namespace) = (pod(label, "", revision), namespace(injection, ns_revision));
        let described = format!("{injection} {ns_revision} {label} {revision}");
        assert_eq!(is_injected(decide(&pod, "default", &namespace, &policy)), seen, "{described}");
        policy.by_default = true;
        assert_eq!(is_injected(decide(&pod, "default", &namespace, &policy)), seen_by_default, "{described}");
    }
}

#[test]
fn policy_and_the_pods_own_word() {
    let cases = [
        (Mode::Off, "", "true", false),
        (Mode::Off, "", "", false),
        (Mode::Off, "true", "", false),
        (Mode::Disabled, "", "", false),
        (Mode::Disabled, "", "false", false),
        (Mode::Disabled, "", "true", true),
        (Mode::Disabled, "true", "", true),
        (Mode::Enabled, "", "", true),
        (Mode::Enabled, "", "false", false),
        (Mode::Enabled, "", "true", true),
        (Mode::Enabled, "true", "false", true),
        (Mode::Enabled, "false", "true", false),
        (Mode::Enabled, "", "no", true),
        (Mode::Disabled, "", "yes", false),
        (Mode::Disabled, "", "TRUE", false),
    ];
    for (mode, label, annotation, expected) in cases {
        let policy = Policy { mode, ..Policy::default() };
        let decision = decide_seen(&pod(label, annotation, ""), "default", &policy);
        assert_eq!(is_injected(decision), expected, "{mode:?} {label} {annotation}");
    }
}

#[test]
fn selectors_decide_for_pods_that_say_nothing() {
    let selector = |value: &str| LabelSelector {
        match_labels: [("job".to_owned(), value.to_owned())].into(),
        ..LabelSelector::default()
    };
    let policy = Policy {
        mode: Mode::Disabled,
        never: vec![selector("never"), LabelSelector::default()],
        always: vec![selector("always"), selector("never")],
        ..Policy::default()
    };
    for (job, label, expected) in [
        ("always", "", true),
        ("never", "", false),
        ("never", "true", true),
        ("always", "false", false),
        ("", "", false),
    ] {
        let mut pod = pod(label, "", "");
        pod["metadata"]["labels"]["job"] = json!(job);
        assert_eq!(is_injected(decide_seen(&pod, "default", &policy)), expected, "{job} {label}");
    }
}

#[test]
fn templates_are_named_or_seen() {
    let with = |templates: &str| {
        let mut pod = pod("true", "", "");
        pod["metadata"]["annotations"][TEMPLATES] = json!(templates);
        decide_seen(&pod, "default", &Policy::default())
    };
    assert_eq!(with("gateway"), Ok(Decision::Gateway));
    assert_eq!(with("sidecar"), Ok(Decision::Sidecar));
    assert_eq!(with("waypoint"), Err(InjectError::Template("waypoint".to_owned())));
    let mut gateway = pod("true", "", "");
    gateway["spec"]["containers"] = json!([{"name": PROXY_CONTAINER, "image": "auto"}]);
    assert_eq!(decide_seen(&gateway, "default", &Policy::default()), Ok(Decision::Gateway));
}
