//! `cargo xtask test`: the parts in order, what each took, and its budget.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::process::{check, run as program, workspace};
use crate::{retry, tidy, tools};

/// Names parts not to run, separated by commas.
const SKIP: &str = "LATEEN_SKIP";

struct Part {
    name: &'static str,
    run: fn() -> Result<()>,
}

/// Cheap parts first: a slip in formatting is told before an hour is spent.
const PARTS: [Part; 8] = [
    Part { name: "format", run: || program("cargo", &["fmt", "--all", "--check"]) },
    Part { name: "tidy", run: tidy::run },
    Part { name: "tools", run: || tools::run(&[]) },
    Part { name: "clippy", run: clippy },
    Part { name: "unit", run: unit },
    Part { name: "binary", run: || program("cargo", &["build", "--release", "--locked"]) },
    Part { name: "mesh", run: mesh },
    Part { name: "docs", run: docs },
];

enum Outcome {
    Passed(Duration),
    Failed(Duration),
    Skipped,
}

/// Runs the named parts, or all; every part runs, whatever failed before it.
pub(crate) fn run(names: &[String]) -> Result<()> {
    if let Some(unknown) = names.iter().find(|name| PARTS.iter().all(|part| part.name != **name)) {
        bail!("no part `{unknown}`: the parts are {}", PARTS.map(|part| part.name).join(", "));
    }
    let skipped = skipped();
    let mut outcomes = Vec::new();
    for part in PARTS.iter().filter(|part| names.is_empty() || names.iter().any(|name| name == part.name)) {
        if skipped.iter().any(|name| name == part.name) {
            outcomes.push((part.name, Outcome::Skipped));
            continue;
        }
        eprintln!("\n=== {}", part.name);
        let start = Instant::now();
        let result = (part.run)();
        let took = start.elapsed();
        if let Err(error) = &result {
            eprintln!("{}: {error:#}", part.name);
        }
        outcomes
            .push((part.name, if result.is_ok() { Outcome::Passed(took) } else { Outcome::Failed(took) }));
    }
    report(&outcomes)
}

#[expect(clippy::disallowed_methods, reason = "the one setting of the test command")]
fn skipped() -> Vec<String> {
    std::env::var(SKIP)
        .unwrap_or_default()
        .split(',')
        .map(str::to_owned)
        .filter(|name| !name.is_empty())
        .collect()
}

fn report(outcomes: &[(&str, Outcome)]) -> Result<()> {
    let text =
        std::fs::read_to_string(workspace().join("crates/xtask/budget.toml")).context("read the budget")?;
    let budget: BTreeMap<String, u64> = toml::from_str(&text).context("parse budget.toml")?;
    println!("\n{:<10} {:<8} {:>8} {:>8}", "part", "result", "took", "budget");
    let (mut passed, mut failed) = (0, 0);
    for (name, outcome) in outcomes {
        let allowed = Duration::from_secs(60 * budget.get(*name).copied().unwrap_or(0));
        let (word, took) = match outcome {
            Outcome::Passed(took) => ("ok", *took),
            Outcome::Failed(took) => ("FAILED", *took),
            Outcome::Skipped => ("skipped", Duration::ZERO),
        };
        let over = if took > allowed { "  over its budget" } else { "" };
        println!("{name:<10} {word:<8} {:>7}s {:>7}s{over}", took.as_secs(), allowed.as_secs());
        match outcome {
            Outcome::Passed(_) => passed += 1,
            Outcome::Failed(_) => failed += 1,
            Outcome::Skipped => {}
        }
    }
    println!("\nparts: {passed} passed, {failed} failed");
    if failed > 0 {
        bail!("{failed} of {} parts failed", outcomes.len());
    }
    Ok(())
}

fn clippy() -> Result<()> {
    program("cargo", &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])
}

/// Everything that needs no mesh: unit tests, case files, documentation tests.
fn unit() -> Result<()> {
    retry::run(&["--workspace", "--exclude", "tests"], &[], cargo)
}

/// The whole mesh in network namespaces, with the binary that people run.
fn mesh() -> Result<()> {
    let binary = release_binary()?;
    retry::run(&["--package", "tests"], &["--test-threads=1"], || {
        let mut command = cargo();
        command.env("LATEEN_BINARY", &binary);
        command
    })
}

fn cargo() -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(workspace());
    command
}

/// The binary that people run.
pub(crate) fn release_binary() -> Result<PathBuf> {
    let binary = tidy::target_directory()?.join("release/lateen");
    if !binary.is_file() {
        bail!("`{}` is not there: run `cargo xtask test binary` first", binary.display());
    }
    Ok(binary)
}

fn docs() -> Result<()> {
    let mut command = Command::new("cargo");
    command.args(["doc", "--workspace", "--no-deps", "--exclude", "xds", "--locked"]);
    check(command.current_dir(workspace()).env("RUSTDOCFLAGS", "-D warnings"))
}
