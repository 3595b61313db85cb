//! Files that are either old or new, never something between, whatever ends
//! the process, and whenever.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// What has just been done; tests end the process there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing yet.
    Begun,
    /// The new file is there, and empty.
    Created,
    /// Half of it is written.
    HalfWritten,
    /// All of it is written.
    Written,
    /// It is on the disk.
    Synced,
    /// It stands in place of the old one.
    Renamed,
    /// And that is on the disk.
    Done,
}

/// Makes a folder that is its owner's alone.
pub(super) fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
}

/// Puts a file in place of an old one; only its owner can read it.
pub(super) fn replace(
    folder: &Path,
    name: &str,
    content: &[u8],
    after: &mut dyn FnMut(Step) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = folder.join(format!("{name}.new"));
    after(Step::Begun)?;
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        // What a process left behind that was ended in between.
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    after(Step::Created)?;
    let (first, second) = content.split_at(content.len() / 2);
    file.write_all(first)?;
    after(Step::HalfWritten)?;
    file.write_all(second)?;
    after(Step::Written)?;
    file.sync_all()?;
    after(Step::Synced)?;
    std::fs::rename(&temporary, folder.join(name))?;
    after(Step::Renamed)?;
    File::open(folder)?.sync_all()?;
    after(Step::Done)
}
