//! What an apply says that it does.

use std::sync::Arc;

use resources::Object;

use super::{Action, apply, delete};
use crate::Objects;

fn object(text: &str) -> Arc<Object> {
    let parsed = resources::parse("test.yaml", text, "default");
    assert_eq!(parsed.problems, []);
    Arc::clone(parsed.objects.first().expect("an object"))
}

#[test]
fn objects_are_new_changed_or_the_same() {
    let held = object(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, uid: x, resourceVersion: \"7\"}, data: {k: v}}",
    );
    let held: Objects = [(held.key.clone(), held)].into_iter().collect();
    let cases = [
        ("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {k: v}}", Action::Unchanged),
        (
            "{kind: ConfigMap, apiVersion: v1, metadata: {namespace: default, name: a}, data: {k: v}}",
            Action::Unchanged,
        ),
        ("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {k: w}}", Action::Configured),
        (
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: {a: b}}, data: {k: v}}",
            Action::Configured,
        ),
        (
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: other}, data: {k: v}}",
            Action::Created,
        ),
    ];
    for (text, action) in cases {
        assert_eq!(apply(&held, &[object(text)])[0].1, action, "{text}");
    }
    let keys = [object(cases[0].0).key.clone(), object(cases[4].0).key.clone()];
    let actions: Vec<Action> = delete(&held, &keys).into_iter().map(|(_, action)| action).collect();
    assert_eq!(actions, [Action::Deleted, Action::NotFound]);
}
