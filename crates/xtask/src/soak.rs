//! `cargo xtask soak`: what is long by nature.

use std::process::Command;

use anyhow::{Result, bail};

use crate::process::{check, workspace};

/// How much to run.
pub(crate) struct Options {
    pub(crate) seed: Option<u64>,
    pub(crate) configurations: u32,
    pub(crate) requests: u32,
}

/// Runs the soak of that name.
pub(crate) fn run(name: &str, options: &Options) -> Result<()> {
    match name {
        "differential" => differential(options),
        other => bail!("no soak `{other}`: there is `differential`"),
    }
}

fn differential(options: &Options) -> Result<()> {
    let mut command = Command::new("cargo");
    command.args(["test", "--package", "tests", "--locked", "--test", "differential", "--"]);
    command.arg("--metrics");
    match options.seed {
        Some(seed) => command.args(["--seed", &seed.to_string()]),
        None => command.arg("--fresh"),
    };
    command.args(["--configurations", &options.configurations.to_string()]);
    command.args(["--requests", &options.requests.to_string()]);
    check(command.current_dir(workspace()))
}
