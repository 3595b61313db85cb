//! The process of a container: everything that is settled before it starts.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a container runs, and as whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    /// Program and arguments.
    pub(crate) command: Vec<String>,
    /// The whole environment.
    pub(crate) environment: Vec<(String, String)>,
    /// Where it starts; `/` when not said.
    pub(crate) directory: PathBuf,
    /// Volumes and files of the pod.
    pub(crate) mounts: Vec<Mount>,
    /// Directories that it must not look into.
    pub(crate) hidden: Vec<PathBuf>,
    /// As whom it runs.
    pub(crate) identity: Identity,
}

/// A file or directory at another place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mount {
    /// What.
    pub(crate) source: PathBuf,
    /// Where.
    pub(crate) target: PathBuf,
    /// Whether it is a directory.
    pub(crate) kind: Kind,
    /// Whether it cannot be written.
    pub(crate) read_only: bool,
    /// Whether it is left out where the host has no such place.
    pub(crate) optional: bool,
}

/// File or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// A file.
    File,
    /// A directory.
    Directory,
}

/// As whom a container runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// User.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
    /// Further groups.
    pub(crate) groups: Vec<u32>,
    /// Names of the capabilities that it keeps; only root keeps any.
    pub(crate) capabilities: Vec<String>,
    /// Where the user and group are set.
    pub(crate) space: UserSpace,
}

/// Where a container's user and group are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum UserSpace {
    /// In the world's user namespace.
    World,
    /// In a user namespace of its own, in which the world's root is this user and group.
    Own,
}
