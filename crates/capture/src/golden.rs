//! Runs the cases in `testdata/`: one command line per folder, and the text each backend reads.
//!
//! `REGENERATE=1 cargo test -p capture` writes the expected files anew.

use std::path::{Path, PathBuf};

use crate::arguments::{Invocation, parse};
use crate::{Family, iptables, nftables, rules};

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(root).expect("testdata").map(|entry| entry.expect("an entry").path()).collect();
    folders.sort();
    folders
}

fn invocation(folder: &Path) -> Invocation {
    let line = std::fs::read_to_string(folder.join("arguments")).expect("a command line");
    let words: Vec<&str> = line.split_whitespace().map(|word| if word == "''" { "" } else { word }).collect();
    parse(&words).expect("a known command line")
}

fn check(path: &Path, actual: &str) {
    if regenerates() {
        std::fs::write(path, actual).expect("a writable file");
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(actual, expected, "{}", path.display());
}

#[test]
fn text_is_as_expected() {
    for folder in cases() {
        let invocation = invocation(&folder);
        for family in &invocation.families {
            let suffix = match family {
                Family::V4 => "v4",
                Family::V6 => "v6",
            };
            let set = rules::build(&invocation.options, *family);
            check(&folder.join(format!("iptables.{suffix}")), &iptables::render(&set));
            check(&folder.join(format!("nft.{suffix}")), &nftables::render(&set));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the switch of the golden files")]
fn regenerates() -> bool {
    std::env::var_os("REGENERATE").is_some()
}
