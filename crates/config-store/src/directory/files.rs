//! Names, texts and the safe replacement of files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use resources::ObjectKey;

use super::DirectoryError;

/// The folder of kinds that live in no namespace.
const CLUSTER_FOLDER: &str = "_cluster";

/// Namespace of objects in files that stand in no namespace's folder.
const DEFAULT_NAMESPACE: &str = "default";

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DirectoryError {
    move |source| DirectoryError::File { action, path: path.to_owned(), source }
}

/// Makes a folder and those above it.
pub(super) fn create_folder(path: &Path) -> Result<(), DirectoryError> {
    fs::create_dir_all(path).map_err(failed("create", path))
}

/// Where an object goes that no file holds.
pub(super) fn path_of(root: &Path, key: &ObjectKey) -> PathBuf {
    let folder = if key.namespace.is_empty() { CLUSTER_FOLDER } else { &key.namespace };
    root.join(folder).join(format!("{}-{}.yaml", key.kind.as_str().to_lowercase(), key.name))
}

/// The namespace of objects in a file that name none: its folder's.
pub(super) fn namespace_of(root: &Path, path: &Path) -> String {
    let below = path.parent().and_then(|folder| folder.strip_prefix(root).ok()).and_then(Path::to_str);
    match below {
        Some(name) if !name.is_empty() && name != CLUSTER_FOLDER => name.to_owned(),
        _ => DEFAULT_NAMESPACE.to_owned(),
    }
}

/// Files and what is in them, or why they cannot be read.
pub(super) type Texts = BTreeMap<PathBuf, io::Result<String>>;

/// The text of every YAML file in the folder and one level below it.
pub(super) fn read_folder(root: &Path) -> Result<Texts, DirectoryError> {
    let mut texts = Texts::new();
    for path in entries(root)? {
        if path.is_dir() {
            for path in entries(&path)? {
                read_file(path, &mut texts);
            }
        } else {
            read_file(path, &mut texts);
        }
    }
    Ok(texts)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, DirectoryError> {
    let list = || fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
    match list() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(failed("list", folder)),
    }
}

fn read_file(path: PathBuf, texts: &mut Texts) {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let is_hidden = path.file_name().and_then(|name| name.to_str()).is_none_or(|name| name.starts_with('.'));
    if is_hidden || !matches!(extension, Some("yaml" | "yml" | "json")) || path.is_dir() {
        return;
    }
    match fs::read_to_string(&path) {
        // An editor replaces files: between its two steps there is none.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        text => _ = texts.insert(path, text),
    }
}

/// Texts that stand beside the files whose place they take, on the disk.
///
/// What is not put in place is removed.
#[derive(Debug, Default)]
pub(super) struct Staged {
    beside: BTreeMap<PathBuf, PathBuf>,
}

/// From so many files on, flushing the whole file system is faster than
/// flushing each.
const MANY: usize = 32;

impl Staged {
    /// Writes the texts beside their files and waits until the disk has them.
    pub(super) fn write<'t>(
        texts: impl IntoIterator<Item = (&'t Path, &'t str)>,
    ) -> Result<Staged, DirectoryError> {
        let mut staged = Staged::default();
        let mut files = Vec::new();
        for (path, text) in texts {
            let folder = path.parent().unwrap_or(path);
            create_folder(folder)?;
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("object");
            let beside = folder.join(format!(".{name}.new"));
            staged.beside.insert(path.to_owned(), beside.clone());
            let mut file = File::create(&beside).map_err(failed("write", path))?;
            file.write_all(text.as_bytes()).map_err(failed("write", path))?;
            // Open files are bounded, so many are flushed together below.
            if files.len() < MANY {
                files.push((file, path));
            }
        }
        match (staged.beside.len() > MANY, files.first()) {
            (true, Some((file, path))) => {
                rustix::fs::syncfs(file).map_err(|error| failed("flush", path)(error.into()))?;
            }
            _ => {
                for (file, path) in &files {
                    file.sync_all().map_err(failed("write", path))?;
                }
            }
        }
        Ok(staged)
    }

    /// Puts a text in its file's place.
    pub(super) fn put_in_place(&mut self, path: &Path) -> Result<(), DirectoryError> {
        let Some(beside) = self.beside.remove(path) else { return Ok(()) };
        fs::rename(&beside, path).map_err(failed("write", path))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        for beside in self.beside.values() {
            // A file that is left is hidden and read by nobody.
            let _ = fs::remove_file(beside);
        }
    }
}

/// Waits until the disk has the names in a folder.
pub(super) fn flush_folder(folder: &Path) -> Result<(), DirectoryError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("flush", folder))
}

/// Deletes a file; one that is gone already is fine.
pub(super) fn delete(path: &Path) -> Result<(), DirectoryError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("delete", path)(error)),
        _ => Ok(()),
    }
}
