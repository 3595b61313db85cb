//! Workloads are found by the names that people use.

use serde_json::json;

use super::*;

fn pod(namespace: &str, name: &str, owner: &str, is_ready: bool) -> serde_json::Value {
    let app = owner.split('-').next().unwrap_or_default();
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app": app},
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{owner}-abc"), "uid": "1"},
            ],
        },
        "spec": {"containers": [{"name": "a", "image": "a"}]},
        "status": {
            "phase": "Running",
            "podIP": "10.44.0.1",
            "conditions": [{"type": "Ready", "status": if is_ready { "True" } else { "False" }}],
        },
    })
}

fn service(name: &str, app: &str) -> serde_json::Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"app": app}, "ports": [{"name": "http", "port": 80}]},
    })
}

#[test]
fn workloads_are_found_as_people_name_them() {
    let objects: Objects = [
        pod("default", "reviews-v1-abc-1", "reviews-v1", false),
        pod("default", "reviews-v2-abc-2", "reviews-v2", true),
        pod("default", "reviews-view-abc-3", "reviews-view", true),
        pod("other", "far-abc-1", "far", true),
        pod("istio-system", "istio-ingressgateway-abc-1", "istio-ingressgateway", true),
        service("opinions", "reviews"),
    ]
    .iter()
    .flat_map(|raw| {
        let parsed = resources::parse_json("test", raw, "default");
        assert!(!parsed.has_errors(), "{:?}", parsed.problems);
        parsed.objects
    })
    .map(|object| (object.key.clone(), object))
    .collect();
    let cases = [
        ("reviews-v1-abc-1", Ok("reviews-v1-abc-1")),
        ("pod/reviews-v1-abc-1", Ok("reviews-v1-abc-1")),
        ("reviews-v1", Ok("reviews-v1-abc-1")),
        ("reviews", Ok("reviews-v2-abc-2")),
        ("deploy/reviews", Ok("reviews-v2-abc-2")),
        ("svc/opinions", Ok("reviews-v2-abc-2")),
        ("istio-ingressgateway", Ok("istio-ingressgateway-abc-1")),
        ("pod/reviews", Err("no pod of `pod/reviews` in namespace `default`")),
        ("far", Err("try `-n other`")),
        ("nobody", Err("there are reviews-v1, reviews-v2, reviews-view")),
        ("job/x", Err("`job` is no kind")),
    ];
    for (from, expected) in cases {
        match (find(&objects, from, "default"), expected) {
            (Ok(found), Ok(name)) => assert_eq!(found.key.name, name, "{from}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{from}: {error}"),
            (found, _) => panic!("{from}: {:?}", found.map(|found| &found.key)),
        }
    }
}
