//! What the source files themselves must hold: a module comment, the field's
//! names, and no I/O in pure crates.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{Metadata, layers};
use crate::process::workspace;

/// File and crate names that say nothing.
const EMPTY_NAMES: [&str; 9] =
    ["util", "utils", "common", "misc", "helper", "helpers", "manager", "core", "base"];

/// What a pure crate may not name.
const IMPURE_PATHS: [&str; 8] = [
    "std::fs::",
    "std::env::var",
    "std::net::Tcp",
    "std::net::Udp",
    "std::process::",
    "Instant::now",
    "SystemTime::now",
    "std::thread::spawn",
];

pub(super) fn check(metadata: &Metadata) -> Result<Vec<String>> {
    let pure = layers::read()?.pure;
    let mut problems = Vec::new();
    for package in metadata.members() {
        let folder = workspace().join("crates").join(&package.name);
        for file in rust_files(&folder)? {
            let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
            let shown = file.strip_prefix(workspace()).unwrap_or(&file).display().to_string();
            let is_test = is_test(&file, &folder);
            if !is_test && !text.starts_with("//!") && !text.starts_with("#!") {
                problems.push(format!("{shown}:1: a file starts with its `//!` comment"));
            }
            let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if EMPTY_NAMES.contains(&stem) {
                problems.push(format!("{shown}: `{stem}` names no subject"));
            }
            if pure.contains(&package.name) && !is_test {
                problems.extend(impurities(&shown, &text));
            }
        }
    }
    Ok(problems)
}

fn impurities(shown: &str, text: &str) -> Vec<String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    lines
        .filter_map(|(index, line)| {
            let path = IMPURE_PATHS.iter().find(|path| line.contains(**path))?;
            Some(format!("{shown}:{}: `{path}` in a pure crate: take it as an argument", index + 1))
        })
        .collect()
}

/// Tests and build scripts may touch the world.
fn is_test(file: &Path, folder: &Path) -> bool {
    let below = file.strip_prefix(folder).unwrap_or(file);
    below.components().any(|part| part.as_os_str().to_str().is_some_and(|name| name.starts_with("test")))
        || below == Path::new("build.rs")
        || is_declared_as_test(file)
}

/// Whether the module's parent has it under `#[cfg(test)]`.
fn is_declared_as_test(file: &Path) -> bool {
    let (Some(folder), Some(stem)) = (file.parent(), file.file_stem().and_then(|stem| stem.to_str())) else {
        return false;
    };
    let declaration = format!("#[cfg(test)]\nmod {stem};");
    let parents = [folder.join("lib.rs"), folder.join("mod.rs"), folder.with_extension("rs")];
    parents.iter().any(|parent| std::fs::read_to_string(parent).is_ok_and(|text| text.contains(&declaration)))
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
