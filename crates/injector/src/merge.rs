//! Two pods become one, as Kubernetes' strategic merge patch has it.
//!
//! Objects are merged, and lists whose elements have a name are merged element by element; everything else is
//! replaced.

use serde_json::{Map, Value};

/// The lists whose elements are merged, and the field by which they are known.
const KEYED: [(&str, &str); 9] = [
    ("containers", "name"),
    ("initContainers", "name"),
    ("volumes", "name"),
    ("imagePullSecrets", "name"),
    ("env", "name"),
    ("ports", "containerPort"),
    ("volumeMounts", "mountPath"),
    ("hostAliases", "ip"),
    ("sysctls", "name"),
];

/// `patch` laid over `base`.
pub(crate) fn merge(base: Value, patch: Value) -> Value {
    match (base, patch) {
        (Value::Object(base), Value::Object(patch)) => Value::Object(objects(base, patch)),
        (base, Value::Null) => base,
        (_, patch) => patch,
    }
}

fn objects(mut base: Map<String, Value>, patch: Map<String, Value>) -> Map<String, Value> {
    for (name, value) in patch {
        let before = base.remove(&name).unwrap_or(Value::Null);
        let key = KEYED.iter().find(|(list, _)| *list == name).map(|(_, key)| *key);
        let merged = match (before, value, key) {
            (Value::Array(before), Value::Array(after), Some(key)) => Value::Array(lists(before, after, key)),
            (before, value, _) => merge(before, value),
        };
        base.insert(name, merged);
    }
    base
}

fn lists(mut base: Vec<Value>, patch: Vec<Value>, key: &str) -> Vec<Value> {
    for element in patch {
        let known =
            base.iter_mut().find(|known| known.get(key).is_some() && known.get(key) == element.get(key));
        match known {
            Some(known) => *known = merge(known.take(), element),
            None => base.push(element),
        }
    }
    base
}

#[cfg(test)]
mod tests;
