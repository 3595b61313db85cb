//! Carrying out the operations of a mount plan.

use std::ffi::CString;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind_recursive, unmount};

use super::super::plan::Kind;
use super::{Operation, bind};
use crate::failure::{Failure, Step};
use crate::place;

/// Does one after the other.
pub(super) fn run(operations: &[Operation]) -> Result<(), Failure> {
    for (number, operation) in operations.iter().enumerate() {
        let done = match operation {
            Operation::Root(new) => new_root(new),
            Operation::Overlay { directory, missing } => overlay(number, directory, missing),
            Operation::Make { path, kind } => make(path, *kind),
            Operation::Bind(mount) => bind(mount),
        };
        done?;
    }
    Ok(())
}

/// Makes a directory, or an empty file, with the directories above it.
fn make(path: &Path, kind: Kind) -> Result<(), Failure> {
    let result = match kind {
        Kind::Directory => std::fs::create_dir_all(path),
        Kind::File => path
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::File::options().create(true).append(true).open(path).map(drop)),
    };
    result.step(format!("make `{}`", path.display()))
}

/// Covers `directory` with itself and what is missing below it.
///
/// What is missing is made in the upper layer before the overlay stands: in a user namespace nobody may make
/// anything in a directory that belongs to the host's root.
fn overlay(number: usize, directory: &Path, missing: &[(PathBuf, Kind)]) -> Result<(), Failure> {
    let stage = Path::new(place::STAGE).join(number.to_string());
    let (upper, work) = (stage.join("upper"), stage.join("work"));
    for path in [&upper, &work] {
        make(path, Kind::Directory)?;
    }
    for (path, kind) in missing {
        make(&upper.join(path), *kind)?;
    }
    look_like(directory, &upper)?;
    let step = || format!("lay `{}` over itself", directory.display());
    let options =
        format!("lowerdir={},upperdir={},workdir={}", escaped(directory), upper.display(), work.display());
    let attempt = |options: String| {
        let options = CString::new(options).map_err(|_| rustix::io::Errno::INVAL)?;
        mount(
            "overlay",
            directory,
            "overlay",
            MountFlags::NOSUID | MountFlags::NODEV,
            Some(options.as_c_str()),
        )
    };
    // Attributes of a user namespace's own, where the kernel knows them; it needs none for what is done here.
    if attempt(format!("{options},userxattr")).is_ok() || attempt(options).is_ok() {
        return Ok(());
    }
    // No overlay in this kernel, or mounts below the directory that must not be uncovered.
    let copy = stage.join("copy");
    make(&copy, Kind::Directory)?;
    mirror(directory, &copy)?;
    for (path, kind) in missing {
        make(&copy.join(path), *kind).map_err(|failure| {
            failure.remedy("mount the volume at a path that exists, or directly below an existing one")
        })?;
    }
    look_like(directory, &copy)?;
    mount_bind_recursive(&copy, directory).step(step())
}

/// A root of bind mounts, with new directories in it.
fn new_root(new: &[(PathBuf, Kind)]) -> Result<(), Failure> {
    let root = Path::new(place::STAGE).join("root");
    make(&root, Kind::Directory)?;
    mount("tmpfs", &root, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, Some(c"mode=755"))
        .step("mount a new root")?;
    mirror(Path::new("/"), &root)?;
    for (path, kind) in new {
        make(&root.join(path), *kind)?;
    }
    let old = root.join(".old");
    make(&old, Kind::Directory)?;
    rustix::process::pivot_root(&root, &old).step("turn to the new root")?;
    rustix::process::chdir("/").step("enter the new root")?;
    unmount("/.old", UnmountFlags::DETACH).step("let go of the old root")?;
    std::fs::remove_dir("/.old").step("remove the old root's place")
}

/// Fills `copy` with what `directory` holds, by links and bind mounts.
fn mirror(directory: &Path, copy: &Path) -> Result<(), Failure> {
    let step = || format!("read `{}`", directory.display());
    for entry in std::fs::read_dir(directory).step(step())? {
        let entry = entry.step(step())?;
        let (source, target) = (entry.path(), copy.join(entry.file_name()));
        let kind = entry.file_type().step(step())?;
        if kind.is_symlink() {
            let link = std::fs::read_link(&source).step(step())?;
            symlink(link, &target).step(format!("link `{}`", target.display()))?;
            continue;
        }
        make(&target, if kind.is_dir() { Kind::Directory } else { Kind::File })?;
        mount_bind_recursive(&source, &target).step(format!("bind `{}`", source.display()))?;
    }
    Ok(())
}

/// Gives `copy` the mode of `original`, and its owner where that is possible.
fn look_like(original: &Path, copy: &Path) -> Result<(), Failure> {
    let step = || format!("copy the mode of `{}`", original.display());
    let metadata = std::fs::metadata(original).step(step())?;
    // In a user namespace most owners cannot be given.
    let _ = std::os::unix::fs::chown(copy, Some(metadata.uid()), Some(metadata.gid()));
    std::fs::set_permissions(copy, PermissionsExt::from_mode(metadata.mode() & 0o7777)).step(step())
}

/// Overlay options take `,`, `:` and `\` only with a backslash before them.
fn escaped(path: &Path) -> String {
    let mut text = String::new();
    for character in path.display().to_string().chars() {
        if matches!(character, ',' | ':' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    text
}
