//! A folder of YAML files, watched: an edited file takes effect, a broken one
//! keeps its last good objects.
//!
//! Objects that are put in get a file each, `NAMESPACE/kind-name.yaml`, unless
//! a file holds them already. Files are replaced whole, by rename, so that
//! neither a reader nor a crash sees half of one.

mod files;
mod watcher;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use resources::{Object, ObjectKey, Parsed};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::State;

/// A watched folder; dropped, it is no longer watched.
pub struct Directory {
    shared: Arc<Shared>,
    watcher: JoinHandle<()>,
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// A file or folder cannot be read or written.
    #[error("{action} `{}`", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The folder cannot be watched.
    #[error("watch `{}`", path.display())]
    Watch {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: notify::Error,
    },
}

/// What the folder and its watcher share.
struct Shared {
    root: PathBuf,
    known: Mutex<BTreeMap<PathBuf, Known>>,
    state: watch::Sender<Arc<State>>,
}

/// A file as it was last read or written.
struct Known {
    text: String,
    parsed: Parsed,
}

impl Directory {
    /// Reads the folder, made when it is missing, and watches it from now on.
    ///
    /// # Errors
    /// The folder cannot be made, read or watched.
    pub fn open(root: &Path) -> Result<Self, DirectoryError> {
        files::create_folder(root)?;
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            known: Mutex::default(),
            state: watch::Sender::default(),
        });
        let events = watcher::start(root)?;
        shared.read_all()?;
        let watcher = tokio::spawn(watcher::follow(events, Arc::clone(&shared)));
        Ok(Self { shared, watcher })
    }

    /// Tells of every newer state.
    pub fn subscribe(&self) -> watch::Receiver<Arc<State>> {
        self.shared.state.subscribe()
    }

    /// The newest state.
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.shared.state.borrow())
    }

    /// Writes objects; the revision that holds them.
    ///
    /// They keep their own source: a person is told of the file that he
    /// applied, until the folder's own file is edited.
    ///
    /// # Errors
    /// A file cannot be written; those before it are.
    pub fn put(&self, objects: &[Arc<Object>]) -> Result<u64, DirectoryError> {
        self.shared.put(objects)
    }

    /// Takes objects out of the files that hold them; the revision without
    /// them.
    ///
    /// # Errors
    /// A file cannot be written; those before it are.
    pub fn remove(&self, keys: &[ObjectKey]) -> Result<u64, DirectoryError> {
        self.shared.remove(keys)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads every file that differs from what is known of it.
    fn read_all(&self) -> Result<u64, DirectoryError> {
        let texts = files::read_folder(&self.root)?;
        let mut known = self.lock();
        let before = known.len();
        known.retain(|path, _| texts.contains_key(path));
        let mut changed = known.len() != before;
        for (path, text) in texts {
            let last = known.get(&path);
            if last.is_some_and(|last| last.text == text) {
                continue;
            }
            let fresh = read(&self.root, &path, &text, last);
            known.insert(path, Known { text, parsed: fresh });
            changed = true;
        }
        Ok(if changed { self.publish(&known) } else { self.state.borrow().revision })
    }

    fn put(&self, objects: &[Arc<Object>]) -> Result<u64, DirectoryError> {
        let mut known = self.lock();
        let mut touched: BTreeSet<PathBuf> = BTreeSet::new();
        for object in objects {
            let path = holder(&known, &object.key).unwrap_or_else(|| files::path_of(&self.root, &object.key));
            let file = known.entry(path.clone()).or_insert_with(Known::empty);
            file.parsed.objects.retain(|held| held.key != object.key);
            file.parsed.objects.push(Arc::clone(object));
            touched.insert(path);
        }
        self.write(&mut known, &touched)
    }

    fn remove(&self, keys: &[ObjectKey]) -> Result<u64, DirectoryError> {
        let mut known = self.lock();
        let mut touched: BTreeSet<PathBuf> = BTreeSet::new();
        for key in keys {
            while let Some(path) = holder(&known, key) {
                if let Some(file) = known.get_mut(&path) {
                    file.parsed.objects.retain(|held| held.key != *key);
                }
                touched.insert(path);
            }
        }
        self.write(&mut known, &touched)
    }

    /// Writes the touched files from their objects; empty ones go.
    fn write(
        &self,
        known: &mut BTreeMap<PathBuf, Known>,
        touched: &BTreeSet<PathBuf>,
    ) -> Result<u64, DirectoryError> {
        for path in touched {
            let Some(file) = known.get_mut(path) else { continue };
            if file.parsed.objects.is_empty() {
                files::delete(path)?;
                known.remove(path);
                continue;
            }
            file.text = files::text_of(&file.parsed.objects);
            file.parsed.problems.clear();
            files::replace(path, &file.text)?;
        }
        Ok(self.publish(known))
    }

    fn publish(&self, known: &BTreeMap<PathBuf, Known>) -> u64 {
        let mut state = State { revision: self.state.borrow().revision + 1, ..State::default() };
        for file in known.values() {
            state.problems.extend(file.parsed.problems.iter().cloned());
            for object in &file.parsed.objects {
                // Of a key in two files the first file's object counts.
                state.objects.entry(object.key.clone()).or_insert_with(|| Arc::clone(object));
            }
        }
        let revision = state.revision;
        self.state.send_replace(Arc::new(state));
        revision
    }
}

impl Known {
    fn empty() -> Self {
        Self { text: String::new(), parsed: Parsed::default() }
    }
}

/// Reads a file's text; objects that it breaks stay as they were.
fn read(root: &Path, path: &Path, text: &str, last: Option<&Known>) -> Parsed {
    let mut fresh = resources::parse(&path.display().to_string(), text, &files::namespace_of(root, path));
    if fresh.has_errors() {
        for held in last.into_iter().flat_map(|last| &last.parsed.objects) {
            if fresh.objects.iter().all(|object| object.key != held.key) {
                fresh.objects.push(Arc::clone(held));
            }
        }
    }
    fresh
}

/// The file that holds an object.
fn holder(known: &BTreeMap<PathBuf, Known>, key: &ObjectKey) -> Option<PathBuf> {
    let holds = |file: &Known| file.parsed.objects.iter().any(|object| object.key == *key);
    known.iter().find(|(_, file)| holds(file)).map(|(path, _)| path.clone())
}

#[cfg(test)]
mod tests;
