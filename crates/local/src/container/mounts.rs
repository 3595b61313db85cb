//! The container's file system: the host's, with the pod's volumes and files in their places.
//!
//! A place that the host does not have is made without touching the host: below the world's private `/run` it is
//! simply made; a new top-level path needs a root directory of bind mounts; anything else gets an overlay of the
//! nearest directory that is there. An overlay of `/` itself is refused by the kernel.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use rustix::mount::{MountFlags, mount, mount_bind, mount_remount};

use super::plan::{Kind, Mount};
use crate::failure::{Failure, Step};
use crate::place;

mod apply;

/// What is found at a path, links not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    Nothing,
    File,
    Directory,
    Link(PathBuf),
}

/// One thing to do; in order.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Operation {
    /// A new root with these directories beside what `/` holds.
    Root(Vec<(PathBuf, Kind)>),
    /// An overlay of `directory`, with these paths below it.
    Overlay { directory: PathBuf, missing: Vec<(PathBuf, Kind)> },
    /// A path below a place that is the pod's own.
    Make { path: PathBuf, kind: Kind },
    /// A file or directory put in its place.
    Bind(Mount),
}

/// Puts volumes and files in their places, and covers what is hidden.
pub(super) fn apply(mounts: &[Mount], hidden: &[PathBuf]) -> Result<(), Failure> {
    mount("tmpfs", place::STAGE, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, Some(c"mode=755"))
        .step("mount a place to work in")?;
    let operations = plan(mounts, &look);
    apply::run(&operations)?;
    // What a volume covers is hidden already.
    let hidden = hidden.iter().map(PathBuf::as_path).filter(|directory| directory.exists());
    for directory in hidden.chain([Path::new(place::PODS), Path::new(place::STAGE)]) {
        mount("tmpfs", directory, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, Some(c"mode=755,size=4k"))
            .and_then(|()| {
                let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
                mount_remount(directory, flags, c"")
            })
            .step(format!("cover `{}`", directory.display()))?;
    }
    Ok(())
}

fn bind(mount: &Mount) -> Result<(), Failure> {
    let target = mount.target.display();
    if mount.kind == Kind::Directory && !mount.source.exists() {
        // A part of an empty volume is made when it is first mounted, for whoever comes.
        std::fs::create_dir_all(&mount.source).step(format!("make the volume's part for `{target}`"))?;
        std::fs::set_permissions(&mount.source, std::os::unix::fs::PermissionsExt::from_mode(0o777))
            .step(format!("open the volume's part for `{target}`"))?;
    }
    mount_bind(&mount.source, &mount.target).step(format!("mount `{target}`"))?;
    if mount.read_only {
        let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
        mount_remount(&mount.target, flags, c"").step(format!("make `{target}` read-only"))?;
    }
    Ok(())
}

fn look(path: &Path) -> Found {
    match std::fs::symlink_metadata(path) {
        Err(_) => Found::Nothing,
        Ok(metadata) if metadata.is_symlink() => std::fs::read_link(path).map_or(Found::Nothing, Found::Link),
        Ok(metadata) if metadata.is_dir() => Found::Directory,
        Ok(_) => Found::File,
    }
}

/// What has to be done, when paths are as `look` finds them.
fn plan(mounts: &[Mount], look: &dyn Fn(&Path) -> Found) -> Vec<Operation> {
    let mut mounts: Vec<Mount> = mounts.to_vec();
    // What holds another comes first.
    mounts.sort_by_key(|mount| mount.target.components().count());
    let mut new_in_root = Vec::new();
    let mut overlays: BTreeMap<PathBuf, Vec<(PathBuf, Kind)>> = BTreeMap::new();
    let mut binds: Vec<Operation> = Vec::new();
    let mut placed: Vec<PathBuf> = Vec::new();
    for mut mount in mounts {
        let (existing, missing) = resolve(&mount.target, look);
        if mount.optional && !missing.as_os_str().is_empty() {
            continue;
        }
        let target = if missing.as_os_str().is_empty() { existing.clone() } else { existing.join(&missing) };
        mount.target.clone_from(&target);
        let kind = mount.kind;
        if placed.iter().any(|parent| target.starts_with(parent) && target != *parent) {
            binds.push(Operation::Make { path: target.clone(), kind });
        } else if missing.as_os_str().is_empty() {
            // It is there.
        } else if existing.starts_with(place::PRIVATE) {
            binds.push(Operation::Make { path: target.clone(), kind });
        } else if existing == Path::new("/") {
            new_in_root.push((missing, kind));
        } else {
            overlays.entry(existing).or_default().push((missing, kind));
        }
        placed.push(target);
        binds.push(Operation::Bind(mount));
    }
    let mut operations = Vec::new();
    if !new_in_root.is_empty() {
        operations.push(Operation::Root(new_in_root));
    }
    // The map's order puts a directory before those below it.
    operations
        .extend(overlays.into_iter().map(|(directory, missing)| Operation::Overlay { directory, missing }));
    operations.extend(binds);
    operations
}

/// Links that a path may lead through.
const MAX_LINKS: usize = 40;

/// Splits a path into the part that exists, links followed, and the rest.
fn resolve(path: &Path, look: &dyn Fn(&Path) -> Found) -> (PathBuf, PathBuf) {
    let mut existing = PathBuf::from("/");
    let mut left: Vec<PathBuf> = components(path);
    let mut links = 0;
    while let Some(next) = left.first().cloned() {
        if next == Path::new("..") {
            // Links before it were followed, so the parent is the one that is written.
            existing.pop();
            left.remove(0);
            continue;
        }
        let candidate = existing.join(&next);
        match look(&candidate) {
            Found::Link(target) if links < MAX_LINKS => {
                links += 1;
                left.remove(0);
                if target.is_absolute() {
                    existing = PathBuf::from("/");
                }
                let mut through = components(&target);
                through.append(&mut left);
                left = through;
            }
            Found::Directory => {
                existing = candidate;
                left.remove(0);
            }
            Found::File if left.len() == 1 => {
                existing = candidate;
                left.remove(0);
            }
            Found::Nothing | Found::File | Found::Link(_) => break,
        }
    }
    (existing, left.iter().collect())
}

fn components(path: &Path) -> Vec<PathBuf> {
    path.components()
        .filter(|component| matches!(component, Component::Normal(_) | Component::ParentDir))
        .map(|component| PathBuf::from(component.as_os_str()))
        .collect()
}

#[cfg(test)]
mod tests;
