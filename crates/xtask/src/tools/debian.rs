//! Tools that Debian packages.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::process::check;

/// Where programs stand, also for a caller whose PATH lacks `sbin`.
const FOLDERS: [&str; 4] = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];

/// Installs `package` unless `program` is there; as an ordinary user, says
/// what to type.
pub(crate) fn install(package: &str, program: &str) -> Result<()> {
    if FOLDERS.iter().any(|folder| Path::new(folder).join(program).is_file()) {
        return Ok(());
    }
    if !is_root() {
        bail!("`{program}` is missing: run `sudo apt-get install {package}`");
    }
    eprintln!("installing {package}");
    check(Command::new("apt-get").args(["update", "-qq"]))?;
    check(
        Command::new("apt-get")
            .args(["install", "-y", "-qq", package])
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0)
}
