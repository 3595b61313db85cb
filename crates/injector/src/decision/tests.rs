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

fn namespace(injection: &str, revision: &str) -> Namespace {
    let mut labels = BTreeMap::new();
    for (key, value) in [(INJECTION, injection), (REVISION, revision)] {
        if !value.is_empty() {
            labels.insert(key.to_owned(), value.to_owned());
        }
    }
    Namespace { name: "default".to_owned(), labels }
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
        let mut settings = Settings { tags: vec!["stable".to_owned()], ..Settings::default() };
        let (pod, namespace) = (pod(label, "", revision), namespace(injection, ns_revision));
        let described = format!("{injection} {ns_revision} {label} {revision}");
        assert_eq!(decide(&pod, &namespace, &settings).is_injected(), seen, "{described}");
        settings.namespaces_by_default = true;
        assert_eq!(decide(&pod, &namespace, &settings).is_injected(), seen_by_default, "{described}");
    }
}

#[test]
fn policy_and_the_pods_own_word() {
    let cases = [
        (Policy::Off, "", "true", false),
        (Policy::Off, "", "", false),
        (Policy::Off, "true", "", false),
        (Policy::Disabled, "", "", false),
        (Policy::Disabled, "", "false", false),
        (Policy::Disabled, "", "true", true),
        (Policy::Disabled, "true", "", true),
        (Policy::Enabled, "", "", true),
        (Policy::Enabled, "", "false", false),
        (Policy::Enabled, "", "true", true),
        (Policy::Enabled, "true", "false", true),
        (Policy::Enabled, "false", "true", false),
        (Policy::Enabled, "", "no", true),
        (Policy::Disabled, "", "yes", false),
        (Policy::Disabled, "", "TRUE", false),
    ];
    for (policy, label, annotation, expected) in cases {
        let settings = Settings { policy, ..Settings::default() };
        let decision = inject_required(&pod(label, annotation, ""), &namespace("", ""), &settings);
        assert_eq!(
            decision.is_injected(),
            expected,
            "{policy:?} {label} {annotation}: {}",
            decision.reason()
        );
    }
}

#[test]
fn some_pods_are_never_injected() {
    let settings = Settings { namespaces_by_default: true, ..Settings::default() };
    let system = Namespace { name: "kube-system".to_owned(), ..namespace("enabled", "") };
    assert!(!decide(&pod("", "", ""), &system, &settings).is_injected());
    let mut on_host = pod("true", "", "");
    on_host["spec"]["hostNetwork"] = json!(true);
    assert!(!decide(&on_host, &namespace("enabled", ""), &settings).is_injected());
    let mut done = pod("true", "", "");
    done["metadata"]["annotations"][STATUS] = json!("{}");
    assert!(!decide(&done, &namespace("enabled", ""), &settings).is_injected());
}

#[test]
fn selectors_decide_for_pods_that_say_nothing() {
    let selector = |value: &str| LabelSelector {
        match_labels: [("job".to_owned(), value.to_owned())].into(),
        ..LabelSelector::default()
    };
    let settings = Settings {
        policy: Policy::Disabled,
        never_inject: vec![selector("never"), LabelSelector::default()],
        always_inject: vec![selector("always"), selector("never")],
        ..Settings::default()
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
        assert_eq!(
            inject_required(&pod, &namespace("", ""), &settings).is_injected(),
            expected,
            "{job} {label}"
        );
    }
}
