//! `lateen init`: what the init container does, the rules that capture a pod's
//! traffic, written by `nft` or `iptables-restore`.

use std::io::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use capture::arguments::{Backend, Invocation};
use capture::{DnsCapture, Family, iptables, nftables, rules};
use clap::Args;

use crate::failure::Outcome;

/// Writes the rules that capture a pod's traffic.
#[derive(Args, Debug)]
#[command(
    disable_help_flag = true,
    after_help = "Example: lateen init -p 15001 -z 15006 -u 1337 -m REDIRECT -i '*' -b '*' -d 15090,15021,15020"
)]
pub struct Init {
    /// The flags of `istio-iptables`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    flags: Vec<String>,
}

/// The resolver's configuration.
const RESOLVER: &str = "/etc/resolv.conf";

/// Where programs stand, also for a container whose PATH lacks `sbin`.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/// Runs `lateen init`.
pub fn run(arguments: &Init) -> Outcome {
    let mut invocation = capture::arguments::parse(&arguments.flags)?;
    if let DnsCapture::Servers(servers) = &mut invocation.options.dns {
        *servers = name_servers(&std::fs::read_to_string(RESOLVER).unwrap_or_default());
    }
    for family in &invocation.families {
        apply(&invocation, *family)?;
    }
    Ok(())
}

/// The name servers of a resolver's configuration.
fn name_servers(text: &str) -> Vec<IpAddr> {
    let addresses = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    addresses.filter_map(|address| address.trim().parse().ok()).collect()
}

fn apply(invocation: &Invocation, family: Family) -> Result<()> {
    let rules = rules::build(&invocation.options, family);
    let (program, flags, text) = match backend(invocation.backend)? {
        Program::Nft(path) => (path, &["-f", "-"][..], nftables::render(&rules)),
        Program::Iptables(folder) => {
            let name = if family == Family::V4 { "iptables-restore" } else { "ip6tables-restore" };
            (folder.join(name), &["--noflush", "--wait"][..], iptables::render(&rules))
        }
    };
    if invocation.dry_run {
        anstream::print!("{text}");
        return Ok(());
    }
    feed(&program, flags, &text)
}

enum Program {
    Nft(PathBuf),
    /// The folder of its programs.
    Iptables(PathBuf),
}

fn backend(wanted: Backend) -> Result<Program> {
    let find = |name: &str| FOLDERS.iter().map(PathBuf::from).find(|folder| folder.join(name).is_file());
    let nft = find("nft").map(|folder| Program::Nft(folder.join("nft")));
    let iptables = find("iptables-restore").map(Program::Iptables);
    let (found, missing) = match wanted {
        Backend::Nftables => (nft, "`nft`"),
        Backend::Iptables => (iptables, "`iptables-restore`"),
        Backend::Any => (nft.or(iptables), "neither `nft` nor `iptables-restore`"),
    };
    found.with_context(|| format!("{missing} in {}: install nftables", FOLDERS.join(", ")))
}

fn feed(program: &PathBuf, flags: &[&str], text: &str) -> Result<()> {
    let mut child = Command::new(program)
        .args(flags)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start `{}`", program.display()))?;
    child.stdin.take().context("the child has no standard input")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output().with_context(|| format!("wait for `{}`", program.display()))?;
    if !output.status.success() {
        bail!(
            "`{}` refused the rules: {}",
            program.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}
