//! A folder of YAML files, watched: an edited file takes effect, a broken one
//! keeps its last good objects.
//!
//! Objects that are put in get a file each, `NAMESPACE/kind-name.yaml`, unless
//! a file holds them already: then their document in it is replaced, and the
//! others stay as they were written, comments and all. Files are replaced
//! whole, by rename, so that neither a reader nor a crash sees half of one.

mod edit;
mod files;
mod watcher;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use resources::path::Path as FieldPath;
use resources::{Code, Object, ObjectKey, Parsed, Problem};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::State;
use edit::{Changes, Lost};
use files::Staged;

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
    /// A file holds an object among others, and a mistake in it hides where.
    #[error("`{}` holds {key}, but is broken; mend the file first", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// The object.
        key: Box<ObjectKey>,
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
#[derive(Clone, Default)]
struct Known {
    text: String,
    parsed: Parsed,
}

impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        let same = |(one, other): (&Arc<Object>, &Arc<Object>)| Arc::ptr_eq(one, other);
        self.text == other.text
            && self.parsed.problems == other.parsed.problems
            && self.parsed.objects.len() == other.parsed.objects.len()
            && self.parsed.objects.iter().zip(&other.parsed.objects).all(same)
    }
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
        shared.read_all(Emptied::Take)?;
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
    /// applied, until the folder's own file is edited. Waits for the disk, so
    /// it belongs on a thread that may block.
    ///
    /// # Errors
    /// A file cannot be written, or is broken so that the object cannot be
    /// found in it: then nothing is written. When a file cannot be put in its
    /// place, those before it are written.
    pub fn put(&self, objects: &[Arc<Object>]) -> Result<u64, DirectoryError> {
        self.shared.put(objects)
    }

    /// Takes objects out of the files that hold them; the revision without
    /// them. Waits for the disk, so it belongs on a thread that may block.
    ///
    /// # Errors
    /// A file cannot be written, or is broken so that the object cannot be
    /// found in it: then nothing is written. When a file cannot be put in its
    /// place, those before it are written.
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
    fn read_all(&self, emptied: Emptied) -> Result<Reading, DirectoryError> {
        // Locked before the first look, so that what is put in meanwhile is not taken for missing.
        let mut known = self.lock();
        let texts = files::read_folder(&self.root)?;
        let before = known.len();
        known.retain(|path, _| texts.contains_key(path));
        let mut changed = known.len() != before;
        let mut reading = Reading::Complete;
        for (path, text) in texts {
            let last = known.get(&path);
            let fresh = match text {
                Ok(text) if last.is_some_and(|last| last.text == text) => continue,
                Ok(text) if emptied == Emptied::Wait && is_emptied(last, &text) => {
                    reading = Reading::Waiting;
                    continue;
                }
                Ok(text) => read(&self.root, &path, text, last),
                Err(reason) => unreadable(&path, &reason, last),
            };
            if last.is_none_or(|last| *last != fresh) {
                known.insert(path, fresh);
                changed = true;
            }
        }
        if changed {
            self.publish(&known);
        }
        Ok(reading)
    }

    fn put(&self, objects: &[Arc<Object>]) -> Result<u64, DirectoryError> {
        let mut known = self.lock();
        let holders = holders(&known);
        let mut changes: BTreeMap<PathBuf, Changes> = BTreeMap::new();
        for object in objects {
            let path = holders.get(&object.key).and_then(|paths| paths.first().copied().cloned());
            let path = path.unwrap_or_else(|| files::path_of(&self.root, &object.key));
            changes.entry(path).or_default().insert(object.key.clone(), Some(Arc::clone(object)));
        }
        self.change(&mut known, &changes)
    }

    fn remove(&self, keys: &[ObjectKey]) -> Result<u64, DirectoryError> {
        let mut known = self.lock();
        let holders = holders(&known);
        let mut changes: BTreeMap<PathBuf, Changes> = BTreeMap::new();
        for key in keys {
            for path in holders.get(key).into_iter().flatten() {
                changes.entry((*path).clone()).or_default().insert(key.clone(), None);
            }
        }
        self.change(&mut known, &changes)
    }

    /// Writes the changes: nothing when one of the files is broken or the disk
    /// is full, else file by file. Publishes what is written, even when a later
    /// file fails.
    fn change(
        &self,
        known: &mut BTreeMap<PathBuf, Known>,
        changes: &BTreeMap<PathBuf, Changes>,
    ) -> Result<u64, DirectoryError> {
        let planned = changes
            .iter()
            .map(|(path, changes)| Ok((path.as_path(), self.plan(known, path, changes)?)))
            .collect::<Result<Vec<_>, DirectoryError>>()?;
        let texts = planned.iter().filter_map(|(path, planned)| match planned {
            Planned::Written(file) => Some((*path, file.text.as_str())),
            Planned::Kept(_) | Planned::Deleted => None,
        });
        let mut staged = Staged::write(texts)?;
        let place = || {
            planned.into_iter().try_for_each(|(path, planned)| match planned {
                Planned::Kept(file) => {
                    known.insert(path.to_owned(), file);
                    Ok(())
                }
                Planned::Written(file) => {
                    staged.put_in_place(path)?;
                    known.insert(path.to_owned(), file);
                    Ok(())
                }
                Planned::Deleted => {
                    files::delete(path)?;
                    known.remove(path);
                    Ok(())
                }
            })
        };
        let placed = place();
        let revision = self.publish(known);
        placed?;
        let folders: BTreeSet<&Path> = changes.keys().filter_map(|path| path.parent()).collect();
        folders.into_iter().filter(|folder| folder.is_dir()).try_for_each(files::flush_folder)?;
        Ok(revision)
    }

    /// What becomes of a file.
    fn plan(
        &self,
        known: &BTreeMap<PathBuf, Known>,
        path: &Path,
        changes: &Changes,
    ) -> Result<Planned, DirectoryError> {
        let mut file = known.get(path).cloned().unwrap_or_default();
        let parsed = parse(&self.root, path, &file.text);
        let says_so = |key: &ObjectKey, change: &Option<Arc<Object>>| {
            let current = parsed.objects.iter().find(|object| object.key == *key);
            matches!((current, change), (Some(current), Some(change)) if current.raw == change.raw)
        };
        let is_written = !changes.iter().all(|(key, change)| says_so(key, change));
        if is_written {
            let text = edit::edit(&file.text, &parsed, &file.parsed.objects, changes)
                .map_err(|Lost(key)| DirectoryError::Broken { path: path.to_owned(), key: Box::new(key) })?;
            let held = std::mem::take(&mut file.parsed.objects);
            let kept = held.into_iter().filter(|object| !changes.contains_key(&object.key)).collect();
            let last = Known { text: String::new(), parsed: Parsed { objects: kept, problems: Vec::new() } };
            file = read(&self.root, path, text, Some(&last));
            if file.parsed.objects.is_empty() && file.parsed.problems.is_empty() {
                return Ok(Planned::Deleted);
            }
        }
        for object in changes.values().flatten() {
            file.parsed.objects.retain(|held| held.key != object.key);
            file.parsed.objects.push(Arc::clone(object));
        }
        Ok(if is_written { Planned::Written(file) } else { Planned::Kept(file) })
    }

    fn publish(&self, known: &BTreeMap<PathBuf, Known>) -> u64 {
        let mut state = State { revision: self.state.borrow().revision + 1, ..State::default() };
        for file in known.values() {
            state.problems.extend(file.parsed.problems.iter().cloned());
            for object in &file.parsed.objects {
                match state.objects.get(&object.key) {
                    None => _ = state.objects.insert(object.key.clone(), Arc::clone(object)),
                    // Of a key in two files the first file's object counts.
                    Some(first) => state.problems.push(written_twice(object, first)),
                }
            }
        }
        let revision = state.revision;
        self.state.send_replace(Arc::new(state));
        revision
    }
}

/// What becomes of a file that a change concerns.
enum Planned {
    /// It says so already.
    Kept(Known),
    /// It gets another text.
    Written(Known),
    /// It says nothing any more.
    Deleted,
}

/// Whether a file that had objects may be found empty: an editor empties a file before it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Emptied {
    /// Look again a little later.
    Wait,
    /// Take it as it is.
    Take,
}

/// Whether everything was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Everything.
    Complete,
    /// All but files that were found empty.
    Waiting,
}

fn is_emptied(last: Option<&Known>, text: &str) -> bool {
    text.trim().is_empty() && last.is_some_and(|last| !last.parsed.objects.is_empty())
}

fn parse(root: &Path, path: &Path, text: &str) -> Parsed {
    resources::parse(&path.display().to_string(), text, &files::namespace_of(root, path))
}

/// Reads a file's text; objects that a mistake in it hides stay as they were.
fn read(root: &Path, path: &Path, text: String, last: Option<&Known>) -> Known {
    let mut parsed = parse(root, path, &text);
    let errors = || parsed.problems.iter().filter(|problem| problem.is_error());
    // An error that belongs to an object hides that object; any other may hide all.
    let hides =
        |key: &ObjectKey| errors().any(|problem| problem.object.as_ref().is_none_or(|object| object == key));
    let hidden: Vec<Arc<Object>> = last
        .into_iter()
        .flat_map(|last| &last.parsed.objects)
        .filter(|held| parsed.objects.iter().all(|object| object.key != held.key) && hides(&held.key))
        .cloned()
        .collect();
    parsed.objects.extend(hidden);
    Known { text, parsed }
}

/// A file that cannot be read keeps its objects and says why.
fn unreadable(path: &Path, reason: &io::Error, last: Option<&Known>) -> Known {
    let message = format!("this file cannot be read: {reason}");
    let problem = Problem::of_file(&path.display().to_string(), Code::Unreadable, message, "");
    let objects = last.map(|last| last.parsed.objects.clone()).unwrap_or_default();
    Known { text: String::new(), parsed: Parsed { objects, problems: vec![problem] } }
}

fn written_twice(object: &Object, first: &Object) -> Problem {
    let message = format!("{} is written in `{}` too, which counts", object.key, first.source.file);
    Problem::at(object, &FieldPath::root(), Code::DuplicateObject, message, "remove one of the two")
}

/// The files that hold each object.
fn holders(known: &BTreeMap<PathBuf, Known>) -> BTreeMap<ObjectKey, Vec<&PathBuf>> {
    let mut holders: BTreeMap<ObjectKey, Vec<&PathBuf>> = BTreeMap::new();
    for (path, file) in known {
        for object in &file.parsed.objects {
            holders.entry(object.key.clone()).or_default().push(path);
        }
    }
    holders
}

#[cfg(test)]
mod tests;
