//! `bench/README.md` keeps the last tables of each suite, with the machine and
//! the commit they were measured on.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::suite::Suite;
use super::table::Table;
use crate::process::{output, workspace};

/// Puts the suite's tables in place of those that were kept.
pub(super) fn write(suite: Suite, tables: &[Table]) -> Result<()> {
    let path = workspace().join("bench/README.md");
    let before = std::fs::read_to_string(&path).context("read bench/README.md")?;
    let tables: Vec<String> = tables.iter().map(Table::markdown).collect();
    let section = format!("{}\n\n{}", provenance()?, tables.join("\n"));
    std::fs::write(&path, with_section(&before, &suite.name(), &section)).context("write bench/README.md")?;
    eprintln!("kept in {}", path.display());
    Ok(())
}

/// The text with the section `## name` replaced, or added at its end.
fn with_section(text: &str, name: &str, section: &str) -> String {
    let heading = format!("## {name}\n");
    let (before, after) = match text.find(&heading) {
        None => (text.trim_end(), ""),
        Some(start) => {
            let rest = &text[start + heading.len()..];
            let end = rest.find("\n## ").map_or(rest.len(), |end| end + 1);
            (text[..start].trim_end(), &rest[end..])
        }
    };
    let after = if after.is_empty() { String::new() } else { format!("\n{after}") };
    format!("{before}\n\n{heading}\n{}\n{after}", section.trim_end())
}

fn provenance() -> Result<String> {
    let commit = output(Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(workspace()))?;
    let kernel =
        std::fs::read_to_string("/proc/sys/kernel/osrelease").context("read the kernel's version")?;
    let cpus = std::fs::read_to_string("/proc/cpuinfo").context("read the CPUs")?;
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown CPU", |rest| rest.trim_start_matches([' ', '\t', ':']));
    Ok(format!(
        "Commit {}, {} × {model}, Linux {}, Envoy {}.",
        String::from_utf8_lossy(&commit).trim(),
        std::thread::available_parallelism()?,
        kernel.trim().split('-').next().unwrap_or_default(),
        testkit::tools::ENVOY_VERSION,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_others_stay() {
        let text = "# Title\n\nWords.\n\n## a\n\nold\n\n## b\n\nkept\n";
        assert_eq!(with_section(text, "a", "new"), "# Title\n\nWords.\n\n## a\n\nnew\n\n## b\n\nkept\n");
        assert_eq!(with_section("# Title\n", "c", "new"), "# Title\n\n## c\n\nnew\n");
    }
}
