//! `cargo xtask soak`: what is long by nature.

use std::process::Command;

use anyhow::{Result, bail};

use crate::process::{check, workspace};
use crate::test::release_binary;

/// What happens to a mesh under load.
const FAULTS: [&str; 3] = ["outage", "churn", "restarts"];

/// How much to run.
pub(crate) struct Options {
    pub(crate) seed: Option<u64>,
    pub(crate) configurations: u32,
    pub(crate) requests: u32,
    pub(crate) seconds: Option<u32>,
    pub(crate) rate: Option<u32>,
    pub(crate) restarts: Option<u32>,
}

/// Runs the soak of that name.
pub(crate) fn run(name: &str, options: &Options) -> Result<()> {
    match name {
        "differential" => differential(options),
        "kills" => kills(),
        fault if FAULTS.contains(&fault) => faults(fault, options),
        other => bail!("no soak `{other}`: there are differential, kills, {}", FAULTS.join(", ")),
    }
}

fn differential(options: &Options) -> Result<()> {
    let mut command = Command::new("cargo");
    command.args(["test", "--package", "tests", "--locked", "--test", "differential", "--"]);
    match options.seed {
        Some(seed) => command.args(["--seed", &seed.to_string()]),
        None => command.arg("--fresh"),
    };
    command.args(["--configurations", &options.configurations.to_string()]);
    command.args(["--requests", &options.requests.to_string()]);
    check(command.current_dir(workspace()))
}

/// A thousand kills of an authority that keeps its state.
fn kills() -> Result<()> {
    let mut command = Command::new("cargo");
    command.args([
        "run",
        "--package",
        "control-plane",
        "--locked",
        "--example",
        "authority_kills",
        "--",
        "1000",
    ]);
    check(command.current_dir(workspace()))
}

fn faults(name: &str, options: &Options) -> Result<()> {
    let mut command = Command::new("cargo");
    command.args(["test", "--package", "tests", "--locked", "--test", "soak", "--", name, "--long"]);
    let numbers =
        [("--seconds", options.seconds), ("--rate", options.rate), ("--restarts", options.restarts)];
    for (flag, number) in numbers {
        if let Some(number) = number {
            command.args([flag, &number.to_string()]);
        }
    }
    check(command.current_dir(workspace()).env("LATEEN_BINARY", release_binary()?))
}
