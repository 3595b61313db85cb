//! Tests that fail are run once more, alone: on a busy machine a deadline can
//! pass that no code is to blame for.  What passes then is named as unsteady,
//! for somebody to mend; what fails again has failed.

use std::io::{BufRead as _, BufReader};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// With more failures than these it is no accident.
const FEW: usize = 3;

/// What a run of `cargo test` said of its failures.
#[derive(Debug, Default, PartialEq, Eq)]
struct Failures {
    /// As cargo's own arguments: `-p proxy --lib`.
    targets: Vec<String>,
    /// The tests' names.
    tests: Vec<String>,
}

/// Runs `cargo test` by `command`; where a few tests fail, those again.
///
/// `base` makes the command without what selects packages and tests.
pub(crate) fn run(selection: &[&str], options: &[&str], base: impl Fn() -> Command) -> Result<()> {
    let mut command = base();
    command.args(["test", "--locked", "--no-fail-fast"]).args(selection).arg("--").args(options);
    let (passed, output) = tee(&mut command)?;
    if passed {
        return Ok(());
    }
    let failures = Failures::read(&output);
    let count = failures.tests.len();
    if failures.targets.is_empty() || count == 0 || count > FEW {
        bail!("{command:?} failed");
    }
    eprintln!("=== once more: {}", failures.tests.join(", "));
    for target in &failures.targets {
        let mut again = base();
        again.args(["test", "--locked"]).args(target.split(' ')).args(["--", "--exact"]);
        again.args(options).args(&failures.tests);
        if !tee(&mut again)?.0 {
            bail!("{again:?} failed twice");
        }
    }
    eprintln!("UNSTEADY, passed when run again: {}", failures.tests.join(", "));
    Ok(())
}

/// Runs a command, showing what it prints and keeping it.
fn tee(command: &mut Command) -> Result<(bool, Vec<String>)> {
    let (reader, writer) = std::io::pipe().context("make a pipe")?;
    let mut child = command
        .stdout(writer.try_clone().context("copy a pipe")?)
        .stderr(writer)
        .spawn()
        .with_context(|| format!("start {command:?}"))?;
    // The command holds our ends of the pipe until it is told of others.
    command.stdout(std::process::Stdio::inherit()).stderr(std::process::Stdio::inherit());
    let mut lines = Vec::new();
    for line in BufReader::new(reader).split(b'\n') {
        let line = String::from_utf8_lossy(&line.context("read what it prints")?).into_owned();
        println!("{line}");
        lines.push(line);
    }
    Ok((child.wait().context("wait for its end")?.success(), lines))
}

impl Failures {
    /// Reads the lists that the test harness and cargo print at their ends.
    fn read(lines: &[String]) -> Failures {
        let mut failures = Failures::default();
        let mut in_list = false;
        for line in lines {
            match line.strip_prefix("    ") {
                Some(target) if target.starts_with('`') => {
                    failures.targets.push(target.trim_matches('`').to_owned());
                }
                Some(test) if in_list && !test.is_empty() && !test.contains(' ') => {
                    failures.tests.push(test.to_owned());
                }
                _ => in_list = line == "failures:",
            }
        }
        failures.tests.sort_unstable();
        failures.tests.dedup();
        failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
test names::both ... FAILED

failures:

---- names::both stdout ----
    at line 3

failures:
    names::both

test result: FAILED. 47 passed; 1 failed; 0 ignored
error: test failed, to rerun pass `-p proxy --lib`
test grpc::streams ... ok
failures:
    http2::good_bye
    names::both

error: 2 targets failed:
    `-p proxy --lib`
    `-p tests --test mesh`
";

    #[test]
    fn failures_are_read_from_the_lists_at_the_ends() {
        let lines: Vec<String> = OUTPUT.lines().map(str::to_owned).collect();
        let failures = Failures::read(&lines);
        assert_eq!(failures.targets, ["-p proxy --lib", "-p tests --test mesh"]);
        assert_eq!(failures.tests, ["http2::good_bye", "names::both"]);
        assert_eq!(Failures::read(&[]), Failures::default());
    }
}
