//! Who may use whom: `layers.toml` against the manifests.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::Metadata;
use crate::process::workspace;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Layers {
    pub(super) pure: Vec<String>,
    impure: Vec<String>,
    tests_only: Vec<String>,
    may_use: BTreeMap<String, Vec<String>>,
}

pub(super) fn read() -> Result<Layers> {
    let text = std::fs::read_to_string(workspace().join("layers.toml")).context("read layers.toml")?;
    toml::from_str(&text).context("parse layers.toml")
}

pub(super) fn check(metadata: &Metadata) -> Result<Vec<String>> {
    let layers = read()?;
    let names: Vec<&str> = metadata.members().map(|package| package.name.as_str()).collect();
    let mut problems = Vec::new();
    for package in metadata.members() {
        let Some(allowed) = layers.may_use.get(&package.name) else {
            problems.push(format!("layers.toml: no row for crate `{}`: say what it may use", package.name));
            continue;
        };
        for dependency in &package.dependencies {
            let is_dev = dependency.kind.as_deref() == Some("dev");
            let name = dependency.name.as_str();
            if names.contains(&name) {
                let is_allowed = allowed.iter().any(|row| row == "*" || row == name);
                let is_testkit = is_dev && layers.tests_only.iter().any(|row| row == name);
                if !is_allowed && !is_testkit && !is_dev {
                    problems.push(format!(
                        "crate `{}` uses `{name}`, which its row in layers.toml does not name",
                        package.name
                    ));
                }
            }
            let is_build = dependency.kind.as_deref() == Some("build");
            if !is_dev
                && !is_build
                && layers.pure.contains(&package.name)
                && layers.impure.iter().any(|row| row == name)
            {
                problems.push(format!("pure crate `{}` depends on `{name}`", package.name));
            }
        }
    }
    Ok(problems)
}
