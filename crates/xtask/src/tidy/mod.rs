//! `cargo xtask tidy`: what the compiler does not check.

mod dependencies;
mod layers;
mod sources;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::process::{output, workspace};

/// What `cargo metadata` says, as far as the checks read it.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

impl Metadata {
    fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }
}

/// Runs every check and prints every problem.
pub(crate) fn run() -> Result<()> {
    let metadata = metadata()?;
    let mut problems = layers::check(&metadata)?;
    problems.extend(sources::check(&metadata)?);
    problems.extend(dependencies::check(&metadata)?);
    for problem in &problems {
        eprintln!("{problem}");
    }
    if !problems.is_empty() {
        bail!("tidy found {} problems", problems.len());
    }
    Ok(())
}

/// Where cargo puts what it builds.
pub(crate) fn target_directory() -> Result<PathBuf> {
    Ok(metadata()?.target_directory)
}

/// The dependency graph of the platform that the mesh runs on.
fn metadata() -> Result<Metadata> {
    let mut command = Command::new("cargo");
    command.args([
        "metadata",
        "--format-version=1",
        "--locked",
        "--filter-platform=x86_64-unknown-linux-gnu",
    ]);
    let text = output(command.current_dir(workspace()))?;
    serde_json::from_slice(&text).context("read `cargo metadata`")
}
