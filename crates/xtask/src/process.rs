//! Running other programs, and saying which one failed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Runs `program` to its end; a failure names the whole command line.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<()> {
    check(Command::new(program).args(arguments).current_dir(workspace()))
}

/// Runs a prepared command to its end.
pub(crate) fn check(command: &mut Command) -> Result<()> {
    let line = format!("{command:?}");
    let status = command.status().with_context(|| format!("start {line}"))?;
    if !status.success() {
        bail!("{line} ended with {status}");
    }
    Ok(())
}

/// Runs a prepared command and returns what it printed.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let line = format!("{command:?}");
    let output = command.output().with_context(|| format!("start {line}"))?;
    if !output.status.success() {
        bail!("{line} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}

/// The workspace's folder.
pub(crate) fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("xtask stands two levels below the workspace").to_owned()
}
