//! Case files: texts and what is found in them, reviewed as code.
//!
//! A case is a text, a line `=>`, and the findings, one per line; cases are parted by a line `%%`. With
//! `REGENERATE=1` the findings are written anew.

use std::fmt::Write as _;
use std::path::PathBuf;

/// Runs the cases of a file and returns all findings.
#[expect(clippy::disallowed_methods, reason = "a person asks for new findings by a variable")]
pub(crate) fn check(name: &str, run: impl Fn(&str) -> Vec<String>) -> Vec<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cases").join(format!("{name}.txt"));
    let cases = std::fs::read_to_string(&path).expect("the case file");
    let update = std::env::var_os("REGENERATE").is_some();
    let (mut all, mut written) = (Vec::new(), Vec::new());
    for case in cases.trim_end().split("\n%%\n") {
        let (text, expected) = case.split_once("\n=>").unwrap_or((case, ""));
        let found = run(text);
        if !update {
            assert_eq!(found.join("\n"), expected.trim(), "in {name}, the case\n{text}\n");
        }
        let mut case = format!("{text}\n=>");
        for finding in &found {
            write!(case, "\n{finding}").expect("a String takes everything");
        }
        written.push(case);
        all.extend(found);
    }
    if update {
        std::fs::write(&path, written.join("\n%%\n") + "\n").expect("the case file");
    }
    all
}
