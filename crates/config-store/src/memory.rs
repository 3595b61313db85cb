//! Objects that programs make and no file holds.

use std::sync::Arc;

use resources::{Object, ObjectKey};
use tokio::sync::watch;

use crate::{Objects, State};

/// A source without files; clones share their objects.
#[derive(Debug, Clone)]
pub struct Memory {
    state: Arc<watch::Sender<Arc<State>>>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { state: Arc::new(watch::Sender::default()) }
    }
}

impl Memory {
    /// A source that holds `objects`.
    pub fn holding(objects: impl IntoIterator<Item = Arc<Object>>) -> Self {
        let memory = Self::default();
        memory.change(|held| held.extend(objects.into_iter().map(|object| (object.key.clone(), object))));
        memory
    }

    /// Tells of every newer state.
    pub fn subscribe(&self) -> watch::Receiver<Arc<State>> {
        self.state.subscribe()
    }

    /// Puts an object in, in place of the one with its key; the new revision.
    pub fn upsert(&self, object: Arc<Object>) -> u64 {
        self.change(|held| _ = held.insert(object.key.clone(), object))
    }

    /// Takes an object out; the new revision.
    pub fn remove(&self, key: &ObjectKey) -> u64 {
        self.change(|held| _ = held.remove(key))
    }

    /// Holds `objects` and nothing else; the new revision.
    pub fn replace(&self, objects: Objects) -> u64 {
        self.change(|held| *held = objects)
    }

    fn change(&self, change: impl FnOnce(&mut Objects)) -> u64 {
        let mut revision = 0;
        self.state.send_modify(|state| {
            let state = Arc::make_mut(state);
            change(&mut state.objects);
            state.revision += 1;
            revision = state.revision;
        });
        revision
    }
}
