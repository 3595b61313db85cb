//! Who runs the mesh, and what follows for its namespaces and users.

use serde::{Deserialize, Serialize};

/// The user and group id of nobody.
const NOBODY: u32 = 65534;

/// The caller of `up`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Caller {
    /// Root with every id mapped: containers may have users of their own.
    Root {
        /// The user of a container that names none.
        uid: u32,
        /// The group of a container that names none.
        gid: u32,
    },
    /// Somebody with one user id: the world is a user namespace, and everything in it is this user.
    User {
        /// The user.
        uid: u32,
        /// The group.
        gid: u32,
    },
}

impl Caller {
    /// The caller of this process.
    #[expect(clippy::disallowed_methods, reason = "who called sudo is told by the environment alone")]
    pub(crate) fn current() -> Caller {
        let uid_map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        let id = |name: &str| std::env::var(name).ok()?.parse().ok().filter(|id| *id != 0);
        Caller::from(
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
            &uid_map,
            id("SUDO_UID"),
            id("SUDO_GID"),
        )
    }

    /// Root inside a namespace that maps few ids cannot become another user, and counts as a user.
    fn from(uid: u32, gid: u32, uid_map: &str, sudo_uid: Option<u32>, sudo_gid: Option<u32>) -> Caller {
        if uid != 0 || !maps(uid_map, NOBODY) || !maps(uid_map, capture::PROXY_ID) {
            return Caller::User { uid, gid };
        }
        Caller::Root { uid: sudo_uid.unwrap_or(NOBODY), gid: sudo_gid.unwrap_or(NOBODY) }
    }

    /// Whether the caller is root.
    pub(crate) fn is_root(self) -> bool {
        matches!(self, Caller::Root { .. })
    }
}

/// Whether a map as in `/proc/PID/uid_map` has a place for `id`.
fn maps(uid_map: &str, id: u32) -> bool {
    uid_map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        let (Some(Ok(first)), Some(Ok(_)), Some(Ok(count))) =
            (numbers.next(), numbers.next(), numbers.next())
        else {
            return false;
        };
        (first..first + count).contains(&u64::from(id))
    })
}

#[cfg(test)]
mod tests;
