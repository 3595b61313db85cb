//! Built things by what they were built from.
//!
//! A key holds everything its builder reads. Objects are compared by identity
//! ([`Shared`]): the snapshot keeps an object's allocation as long as its
//! content stays, so equal identity means equal content, and holding the
//! allocation in the key means that no other object takes its address.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// An `Arc` that is compared and hashed by identity.
pub struct Shared<T: ?Sized>(Arc<T>);

impl<T> Shared<T> {
    /// A new identity.
    pub fn new(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T: ?Sized> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: ?Sized> From<Arc<T>> for Shared<T> {
    fn from(value: Arc<T>) -> Self {
        Self(value)
    }
}

impl<T: ?Sized> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: ?Sized> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T: ?Sized> Eq for Shared<T> {}

impl<T: ?Sized> Hash for Shared<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).cast::<()>().hash(state);
    }
}

impl<T: fmt::Debug + ?Sized> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What was built, by key.
#[derive(Debug)]
pub struct Memo<K, V> {
    entries: HashMap<K, Arc<V>>,
    builds: u64,
}

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), builds: 0 }
    }
}

impl<K: Hash + Eq, V> Memo<K, V> {
    /// What `build` makes of `key`, or made of it before.
    pub fn get(&mut self, key: K, build: impl FnOnce(&K) -> V) -> Arc<V> {
        if let Some(value) = self.entries.get(&key) {
            return Arc::clone(value);
        }
        self.builds += 1;
        let value = Arc::new(build(&key));
        self.entries.insert(key, Arc::clone(&value));
        value
    }

    /// What was built of `key`, if it was.
    pub fn known(&self, key: &K) -> Option<Arc<V>> {
        self.entries.get(key).cloned()
    }

    /// How often something was built.
    pub fn builds(&self) -> u64 {
        self.builds
    }

    /// Forgets what nobody else holds any more.
    pub fn sweep(&mut self) {
        self.entries.retain(|_, value| Arc::strong_count(value) > 1);
    }
}

/// One allocation for equal values.
#[derive(Debug)]
pub struct Interner<T> {
    values: HashMap<Arc<T>, ()>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { values: HashMap::new() }
    }
}

impl<T: Hash + Eq> Interner<T> {
    /// The one allocation that holds `value`.
    pub fn intern(&mut self, value: T) -> Shared<T> {
        if let Some((known, ())) = self.values.get_key_value(&value) {
            return Shared(Arc::clone(known));
        }
        let value = Arc::new(value);
        self.values.insert(Arc::clone(&value), ());
        Shared(value)
    }

    /// Forgets what nobody else holds any more.
    pub fn sweep(&mut self) {
        self.values.retain(|value, ()| Arc::strong_count(value) > 1);
    }
}
