//! What an apply or a delete would change.

use std::sync::Arc;

use resources::{Object, ObjectKey};
use serde_json::Value;

use crate::Objects;

/// What becomes of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is new.
    Created,
    /// It differs from what was there.
    Configured,
    /// It says what was there.
    Unchanged,
    /// It goes.
    Deleted,
    /// It was not there.
    NotFound,
}

impl Action {
    /// As kubectl says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
            Self::Deleted => "deleted",
            Self::NotFound => "not found",
        }
    }
}

/// Metadata that no user writes.
const STAMPS: [&str; 6] =
    ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"];

/// What applying `wanted` to `held` does to each. What a cluster or a program
/// adds, `status` and stamps in the metadata, does not count.
pub fn apply(held: &Objects, wanted: &[Arc<Object>]) -> Vec<(Arc<Object>, Action)> {
    let action = |object: &Arc<Object>| match held.get(&object.key) {
        None => Action::Created,
        Some(known) if written(&known.raw) == written(&object.raw) => Action::Unchanged,
        Some(_) => Action::Configured,
    };
    wanted.iter().map(|object| (Arc::clone(object), action(object))).collect()
}

/// The part of an object that users write.
fn written(raw: &Value) -> Value {
    let mut raw = raw.clone();
    if let Some(object) = raw.as_object_mut() {
        object.remove("status");
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|name, _| !STAMPS.contains(&name.as_str()));
        }
    }
    raw
}

/// What deleting `keys` from `held` does to each.
pub fn delete(held: &Objects, keys: &[ObjectKey]) -> Vec<(ObjectKey, Action)> {
    let action = |key| if held.contains_key(key) { Action::Deleted } else { Action::NotFound };
    keys.iter().map(|key| (key.clone(), action(key))).collect()
}

#[cfg(test)]
mod tests;
