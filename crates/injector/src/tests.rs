//! Who is injected, and what an injected pod looks like.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::decision::{Decision, Mode, Policy, decide};
use crate::{InjectError, Settings, inject};

fn pod(metadata: Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [{
            "name": "app",
            "image": "app",
            "ports": [{"containerPort": 9080, "name": "web"}],
            "readinessProbe": {"httpGet": {"path": "/health", "port": "web"}, "periodSeconds": 1},
            "livenessProbe": {"exec": {"command": ["true"]}},
        }]},
    })
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Namespace label, pod label, pod annotation, mode, and whether a sidecar is
/// injected.
#[test]
fn namespace_pod_and_policy_decide_together() {
    let cases = [
        (None, None, None, Mode::Enabled, false),
        (Some("enabled"), None, None, Mode::Enabled, true),
        (Some("enabled"), Some("false"), None, Mode::Enabled, false),
        (Some("enabled"), None, Some("false"), Mode::Enabled, false),
        (Some("enabled"), Some("true"), Some("false"), Mode::Enabled, true),
        (Some("enabled"), Some("yes"), Some("false"), Mode::Enabled, true),
        (None, Some("true"), None, Mode::Enabled, true),
        (Some("disabled"), Some("true"), None, Mode::Enabled, false),
        (Some("enabled"), None, None, Mode::Disabled, false),
        (Some("enabled"), None, Some("true"), Mode::Disabled, true),
        (Some("enabled"), None, Some("false"), Mode::Disabled, false),
        (Some("enabled"), Some("true"), None, Mode::Off, false),
    ];
    for (namespace, label, annotation, mode, expected) in cases {
        let mut metadata = json!({"labels": {}, "annotations": {}});
        if let Some(label) = label {
            metadata["labels"]["sidecar.istio.io/inject"] = label.into();
        }
        if let Some(annotation) = annotation {
            metadata["annotations"]["sidecar.istio.io/inject"] = annotation.into();
        }
        let namespace_labels =
            namespace.map(|value| labels(&[("istio-injection", value)])).unwrap_or_default();
        let policy = Policy { mode, ..Policy::default() };
        let decision = decide(&pod(metadata), "default", &namespace_labels, &policy).expect("a decision");
        assert_eq!(
            decision == Decision::Sidecar,
            expected,
            "{namespace:?} {label:?} {annotation:?} {mode:?}: {decision:?}"
        );
    }
}

#[test]
fn host_network_exempt_namespaces_and_injected_pods_are_left_alone() {
    let enabled = labels(&[("istio-injection", "enabled")]);
    let mut host = pod(json!({}));
    host["spec"]["hostNetwork"] = json!(true);
    let injected = pod(json!({"annotations": {"sidecar.istio.io/status": "{}"}}));
    let plain = pod(json!({}));
    for (pod, namespace) in [(&host, "default"), (&injected, "default"), (&plain, "kube-system")] {
        let decision = decide(pod, namespace, &enabled, &Policy::default()).expect("a decision");
        assert!(matches!(decision, Decision::Skip(_)), "{decision:?}");
    }
}

#[test]
fn a_sidecar_pod_has_rules_proxy_probes_metrics_and_labels() {
    let metadata = json!({
        "name": "reviews-v1-6f9b-x2",
        "namespace": "default",
        "labels": {"app": "reviews", "version": "v1", "pod-template-hash": "6f9b"},
        "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "9080"},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "reviews-v1-6f9b"}],
    });
    let patched = inject(pod(metadata), &Decision::Sidecar, &Settings::default()).expect("a patched pod");
    let spec = &patched["spec"];
    let [init, proxy] = [&spec["initContainers"][0], &spec["initContainers"][1]];
    assert_eq!((&init["name"], &proxy["name"]), (&json!("istio-init"), &json!("istio-proxy")));
    assert_eq!(proxy["restartPolicy"], "Always");
    let rules: Vec<&str> = init["args"].as_array().expect("args").iter().filter_map(Value::as_str).collect();
    assert!(rules.windows(2).any(|pair| pair == ["-d", "15090,15021,15020"]), "{rules:?}");

    assert_eq!(
        spec["containers"][0]["readinessProbe"]["httpGet"],
        json!({"path": "/app-health/app/readyz", "port": 15020})
    );
    assert_eq!(spec["containers"][0]["livenessProbe"], json!({"exec": {"command": ["true"]}}));
    let variable = |name: &str| {
        let variables = proxy["env"].as_array().expect("env");
        variables.iter().find(|variable| variable["name"] == name).map(|variable| variable["value"].clone())
    };
    let probers: Value =
        serde_json::from_str(variable("ISTIO_KUBE_APP_PROBERS").expect("set").as_str().expect("text"))
            .expect("JSON");
    assert_eq!(probers["/app-health/app/readyz"]["httpGet"], json!({"path": "/health", "port": 9080}));
    assert_eq!(variable("ISTIO_META_WORKLOAD_NAME"), Some(json!("reviews-v1")));
    assert_eq!(
        variable("ISTIO_META_OWNER"),
        Some(json!("kubernetes://apis/apps/v1/namespaces/default/deployments/reviews-v1"))
    );
    let metadata = &patched["metadata"];
    assert_eq!(metadata["annotations"]["prometheus.io/port"], "15020");
    assert_eq!(metadata["labels"]["service.istio.io/canonical-name"], "reviews");
    assert_eq!(metadata["labels"]["service.istio.io/canonical-revision"], "v1");
    assert!(metadata["annotations"]["sidecar.istio.io/status"].is_string());
    let again = decide(&patched, "default", &labels(&[("istio-injection", "enabled")]), &Policy::default());
    assert!(matches!(again, Ok(Decision::Skip(_))));
}

#[test]
fn a_gateway_keeps_what_its_own_container_says() {
    let mut gateway = pod(json!({"namespace": "istio-system", "labels": {"istio": "ingressgateway"}}));
    gateway["spec"]["containers"] =
        json!([{"name": "istio-proxy", "image": "auto", "env": [{"name": "X", "value": "1"}]}]);
    let policy = Policy { by_default: true, ..Policy::default() };
    let decision = decide(&gateway, "istio-system", &BTreeMap::new(), &policy).expect("a decision");
    assert_eq!(decision, Decision::Gateway);
    let patched = inject(gateway, &decision, &Settings::default()).expect("a patched pod");
    let proxy = &patched["spec"]["containers"][0];
    assert_eq!(proxy["image"], "lateen/lateen");
    assert_eq!(proxy["args"][1], "router");
    let names: Vec<&str> = proxy["env"]
        .as_array()
        .expect("env")
        .iter()
        .filter_map(|variable| variable["name"].as_str())
        .collect();
    assert!(names.contains(&"X") && names.contains(&"POD_NAME"), "{names:?}");
    assert!(patched["spec"].get("initContainers").is_none());
}

#[test]
fn a_bad_annotation_is_told_with_its_value() {
    let metadata = json!({"annotations": {"traffic.sidecar.istio.io/excludeOutboundPorts": "80,http"}});
    let error = inject(pod(metadata), &Decision::Sidecar, &Settings::default()).expect_err("an error");
    assert!(matches!(&error, InjectError::Annotation { value, .. } if value == "80,http"), "{error}");
    let metadata = json!({"annotations": {"proxy.istio.io/config": "{"}});
    assert!(inject(pod(metadata), &Decision::Sidecar, &Settings::default()).is_err());
}
