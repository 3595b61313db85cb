//! The program that takes packet-filter rules: `nft`, or `iptables-restore` where there is none.

use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::failure::{Failure, Step};

/// Where administrators' programs lie; an ordinary user's search path often leaves them out.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program that is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    /// `nft`.
    Nftables,
    /// `iptables-restore` and its companions.
    Iptables,
}

/// Finds what is installed; `nft` first, for it needs no module for its matches and no lock file.
pub(crate) async fn find() -> Result<Backend, Failure> {
    for (backend, program) in [(Backend::Nftables, "nft"), (Backend::Iptables, "iptables-restore")] {
        let found =
            command(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().await;
        if found.is_ok_and(|status| status.success()) {
            return Ok(backend);
        }
    }
    Err(Failure::new("redirect traffic", "neither `nft` nor `iptables-restore` is installed")
        .remedy("`sudo apt install nftables`"))
}

/// Feeds `text` to `program`, and fails with what the program said.
pub(crate) async fn feed(program: &str, arguments: &[&str], text: &str) -> Result<(), Failure> {
    let step = || format!("apply packet-filter rules with `{program}`");
    let mut child = command(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .step(step())?;
    let mut input = child.stdin.take().ok_or_else(|| Failure::new(step(), "no input"))?;
    input.write_all(text.as_bytes()).await.step(step())?;
    drop(input);
    let output = child.wait_with_output().await.step(step())?;
    if output.status.success() {
        return Ok(());
    }
    Err(Failure::new(step(), String::from_utf8_lossy(&output.stderr).trim()))
}

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", SEARCH_PATH).stdin(Stdio::null()).kill_on_drop(true);
    command
}
