//! `$LATEEN_HOME`: where a mesh keeps its files, and the lock that makes it one mesh.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A mesh's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

/// What went wrong with the directory.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// The directory cannot be made or entered.
    #[error("cannot use `{}` as the mesh's directory", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another mesh runs there.
    #[error("a mesh is running in `{}`{}: `lateen down` ends it", path.display(), pid_text(*pid))]
    Running {
        /// The directory.
        path: PathBuf,
        /// Its launcher, when known.
        pid: Option<u32>,
    },
    /// The lock cannot be had.
    #[error("cannot lock `{}`", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

fn pid_text(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

/// The lock on a home; the mesh runs as long as somebody holds it.
///
/// Launcher and world share it, so that it is free only when both are gone.
#[derive(Debug)]
pub struct Lock(pub(crate) File);

impl Home {
    /// Makes the directory where it is missing, for its owner alone.
    pub fn open(path: &Path) -> Result<Home, HomeError> {
        let failed = |source| HomeError::Directory { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        Ok(Home { root: path.canonicalize().map_err(failed)? })
    }

    /// A home that was opened before, by another process of the mesh.
    pub(crate) fn opened(root: PathBuf) -> Home {
        Home { root }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Resources, as files.
    pub fn resources(&self) -> PathBuf {
        self.root.join("resources")
    }

    /// Logs of the mesh and of every container.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The log of one container.
    pub fn container_log(&self, namespace: &str, pod: &str, container: &str) -> PathBuf {
        self.logs().join(namespace).join(pod).join(format!("{container}.log"))
    }

    /// The log of launcher and supervisor.
    pub fn mesh_log(&self) -> PathBuf {
        self.logs().join("mesh.log")
    }

    /// The user's additions to what images stand for.
    pub fn images(&self) -> PathBuf {
        self.root.join("images.yaml")
    }

    /// The socket on which the supervisor answers HTTP.
    pub fn control_socket(&self) -> PathBuf {
        self.root.join("control.sock")
    }

    /// The socket that takes commands to run in a pod.
    pub fn exec_socket(&self) -> PathBuf {
        self.root.join("exec.sock")
    }

    fn lock_file(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// Takes the lock; waits a moment for a mesh that is just ending.
    pub fn lock(&self, patience: Duration) -> Result<Lock, HomeError> {
        let path = self.lock_file();
        let failed = |source| HomeError::Lock { path: path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        let deadline = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::park_timeout(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(HomeError::Running { path: self.root.clone(), pid: self.launcher() });
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
        Ok(Lock(file))
    }

    /// Whether somebody holds the lock.
    pub fn is_running(&self) -> bool {
        match File::open(self.lock_file()) {
            Ok(file) => matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)),
            Err(_) => false,
        }
    }

    /// The launcher that took the lock last.
    pub(crate) fn launcher(&self) -> Option<u32> {
        std::fs::read_to_string(self.lock_file()).ok()?.trim().parse().ok()
    }
}

#[cfg(test)]
mod tests;
