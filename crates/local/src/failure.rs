//! A step that could not be taken, and what a person can do about it.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A failed step of building the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What was tried, in words that follow "cannot".
    pub step: String,
    /// What the system said.
    pub detail: String,
    /// What to change.
    pub remedy: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "cannot {}: {}", self.step, self.detail)?;
        if self.remedy.is_empty() {
            return Ok(());
        }
        write!(formatter, " ({})", self.remedy)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    /// A failure without a known remedy.
    pub(crate) fn new(step: impl Into<String>, detail: impl fmt::Display) -> Failure {
        Failure { step: step.into(), detail: detail.to_string(), remedy: String::new() }
    }

    /// The same with a remedy.
    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Failure {
        self.remedy = remedy.into();
        self
    }
}

/// Names the step that an operation belongs to.
pub(crate) trait Step<T> {
    /// Turns an error into a [`Failure`] of `step`.
    fn step(self, step: impl Into<String>) -> Result<T, Failure>;
}

impl<T, E: fmt::Display> Step<T> for Result<T, E> {
    fn step(self, step: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(step, error))
    }
}

/// What keeps this machine from making namespaces, found by looking at its settings.
///
/// `root` is the directory that `/proc` stands in.
pub(crate) fn namespace_remedy(root: &Path, is_root: bool) -> String {
    let setting = |name: &str| {
        std::fs::read_to_string(root.join("proc/sys").join(name)).map(|text| text.trim().to_owned()).ok()
    };
    if setting("kernel/apparmor_restrict_unprivileged_userns").is_some_and(|value| value != "0") && !is_root {
        return "AppArmor keeps ordinary users from making namespaces: run as root, or \
                `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`"
            .to_owned();
    }
    if setting("kernel/unprivileged_userns_clone").is_some_and(|value| value == "0") && !is_root {
        return "user namespaces are off for ordinary users: run as root, or \
                `sudo sysctl kernel.unprivileged_userns_clone=1`"
            .to_owned();
    }
    if setting("user/max_user_namespaces").is_some_and(|value| value == "0") && !is_root {
        return "user namespaces are off: run as root, or `sudo sysctl user.max_user_namespaces=15000`"
            .to_owned();
    }
    if is_root {
        return "root without CAP_SYS_ADMIN, or a seccomp profile: in a container, start it with \
                `--privileged`, or with `--security-opt seccomp=unconfined --cap-add SYS_ADMIN --cap-add NET_ADMIN`"
            .to_owned();
    }
    "a container's seccomp profile may forbid it: start the container with \
     `--security-opt seccomp=unconfined`, or run as root"
        .to_owned()
}

#[cfg(test)]
mod tests;
