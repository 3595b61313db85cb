//! What an apply or a delete would change.

use std::sync::Arc;

use resources::{Object, ObjectKey};

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

/// What applying `wanted` to `held` does to each.
pub fn apply(held: &Objects, wanted: &[Arc<Object>]) -> Vec<(Arc<Object>, Action)> {
    let action = |object: &Arc<Object>| match held.get(&object.key) {
        None => Action::Created,
        Some(known) if known.raw == object.raw => Action::Unchanged,
        Some(_) => Action::Configured,
    };
    wanted.iter().map(|object| (Arc::clone(object), action(object))).collect()
}

/// What deleting `keys` from `held` does to each.
pub fn delete(held: &Objects, keys: &[ObjectKey]) -> Vec<(ObjectKey, Action)> {
    let action = |key| if held.contains_key(key) { Action::Deleted } else { Action::NotFound };
    keys.iter().map(|key| (key.clone(), action(key))).collect()
}
