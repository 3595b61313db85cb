//! Licences, bans and duplicate majors: `deny.toml` against the lock file.

use std::collections::{BTreeMap, BTreeSet};

use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::{Metadata, Package};
use crate::process::{output, workspace};

#[derive(Deserialize)]
struct Deny {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
    skip: Vec<Skip>,
}

#[derive(Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

#[derive(Deserialize)]
struct Skip {
    #[serde(rename = "crate")]
    name: String,
}

pub(super) fn check(metadata: &Metadata) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(workspace().join("deny.toml")).context("read deny.toml")?;
    let deny: Deny = toml::from_str(&text).context("parse deny.toml")?;
    let compiled = compiled()?;
    let packages: Vec<&Package> = metadata
        .packages
        .iter()
        .filter(|package| compiled.contains(&(package.name.clone(), package.version.clone())))
        .collect();
    let mut problems = Vec::new();
    for package in &packages {
        let named = format!("{} {}", package.name, package.version);
        if !is_allowed(package.license.as_deref(), &deny.licenses.allow) {
            problems.push(format!("{named}: licence {:?} is not in deny.toml", package.license));
        }
        if let Some(ban) = deny.bans.deny.iter().find(|ban| ban.name == package.name) {
            problems.push(format!("{named}: banned in deny.toml: {}", ban.reason));
        }
    }
    problems.extend(duplicates(&packages, &deny.bans.skip));
    Ok(problems)
}

/// Name and version of all that is compiled for Linux: `cargo metadata` also
/// lists optional dependencies that only a weak feature names.
fn compiled() -> Result<BTreeSet<(String, String)>> {
    let mut command = Command::new("cargo");
    command.args([
        "tree",
        "--workspace",
        "--locked",
        "--edges=normal,build",
        "--prefix=none",
        "--format={p}",
    ]);
    command.arg("--target=x86_64-unknown-linux-gnu");
    let text = output(command.current_dir(workspace()))?;
    let packages = String::from_utf8_lossy(&text)
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned()))
        })
        .collect();
    Ok(packages)
}

/// Whether one alternative of every required part of `expression` is allowed.
fn is_allowed(expression: Option<&str>, allowed: &[String]) -> bool {
    let Some(expression) = expression else { return false };
    let flat = expression.replace(['(', ')'], " ").replace('/', " OR ");
    flat.split(" AND ")
        .all(|part| part.split(" OR ").any(|name| allowed.iter().any(|known| known == name.trim())))
}

fn duplicates(packages: &[&Package], skip: &[Skip]) -> Vec<String> {
    let mut majors: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for package in packages {
        majors.entry(&package.name).or_default().insert(major(&package.version));
    }
    majors
        .iter()
        .filter(|(name, versions)| versions.len() > 1 && !skip.iter().any(|skip| skip.name == **name))
        .map(|(name, versions)| {
            let list: Vec<&str> = versions.iter().map(String::as_str).collect();
            format!(
                "{name}: several majors ({}): unify them, or add a skip with its reason to deny.toml",
                list.join(", ")
            )
        })
        .collect()
}

/// The part of a version that semver lets break: `1`, or `0.12`.
fn major(version: &str) -> String {
    let mut parts = version.split('.');
    match (parts.next(), parts.next()) {
        (Some("0"), Some(minor)) => format!("0.{minor}"),
        (Some(major), _) => major.to_owned(),
        _ => version.to_owned(),
    }
}
