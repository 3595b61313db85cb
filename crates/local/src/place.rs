//! Where things lie inside the world.

use std::path::PathBuf;

/// Programs that every container finds first.
pub(crate) const BINARIES: &str = "/run/lateen/bin";

/// The name of this program there.
pub(crate) const OWN_NAME: &str = "lateen";

/// Directories of pods; closed to containers.
pub(crate) const PODS: &str = "/run/lateen/pods";

/// The search path of a container that sets none.
pub(crate) const SEARCH_PATH: &str =
    "/run/lateen/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The directory of one pod.
pub(crate) fn pod(uid: &str) -> PathBuf {
    PathBuf::from(PODS).join(uid)
}

/// A directory of the world in which a container prepares its mounts, in a mount namespace of its own.
pub(crate) const STAGE: &str = "/run/lateen/stage";

/// What is private to the world: the host never sees what is made below.
pub(crate) const PRIVATE: &str = "/run";
