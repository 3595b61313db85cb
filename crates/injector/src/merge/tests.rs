//! What is merged and what is replaced.

use serde_json::json;

use super::*;

#[test]
fn named_elements_are_merged_and_others_replaced() {
    let base = json!({
        "args": ["a", "b"],
        "env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"x": 1}}],
        "ports": [{"containerPort": 1, "name": "one"}],
        "securityContext": {"runAsUser": 1, "capabilities": {"drop": ["ALL"]}},
    });
    let patch = json!({
        "args": ["c"],
        "env": [{"name": "C", "value": "3"}, {"name": "A", "value": "2"}],
        "ports": [{"containerPort": 2}],
        "securityContext": {"runAsUser": 5, "capabilities": {"drop": ["NET_RAW"]}},
        "image": null,
    });
    let expected = json!({
        "args": ["c"],
        "env": [{"name": "A", "value": "2"}, {"name": "B", "valueFrom": {"x": 1}}, {"name": "C", "value": "3"}],
        "ports": [{"containerPort": 1, "name": "one"}, {"containerPort": 2}],
        "securityContext": {"runAsUser": 5, "capabilities": {"drop": ["NET_RAW"]}},
        "image": null,
    });
    assert_eq!(merge(base, patch), expected);
}
