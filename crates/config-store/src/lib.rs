//! Where resources come from and go to.
//!
//! A source publishes [`State`]s, each with a revision of its own:
//! [`directory::Directory`] is a watched folder of YAML files,
//! [`memory::Memory`] holds what programs make. [`merge::merge`] joins several
//! into one. [`plan`] says what an apply would change before it does.
//!
//! The crate reads and writes; what an object means, and whether it is valid,
//! is `resources`' to say.

pub mod directory;
pub mod memory;
pub mod merge;
pub mod plan;

use std::collections::BTreeMap;
use std::sync::Arc;

use resources::{Object, ObjectKey, Problem};

/// Objects by key.
pub type Objects = BTreeMap<ObjectKey, Arc<Object>>;

/// Everything that a source holds at one moment.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Grows with every change.
    pub revision: u64,
    /// The objects; of a broken file, its last good ones.
    pub objects: Objects,
    /// What is wrong now.
    pub problems: Vec<Problem>,
}
