//! What is left when the process ends in the middle of keeping its state.

use std::os::unix::fs::PermissionsExt as _;

use super::super::durable::Step;
use super::super::state::{self, FILE};
use super::*;

const STEPS: [Step; 7] =
    [Step::Begun, Step::Created, Step::HalfWritten, Step::Written, Step::Synced, Step::Renamed, Step::Done];

/// Writes `state`, and ends as a killed process does: after `end`, nothing.
fn killed_after(end: Step, folder: &std::path::Path, state: &State) {
    let mut seen = Vec::new();
    let result = state::write_stepwise(folder, state, &mut |step| {
        seen.push(step);
        if step == end { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
    });
    assert!(result.is_err(), "it ends there");
    assert_eq!(seen.last(), Some(&end));
}

#[test]
fn a_kill_leaves_the_old_root_or_the_new_one() {
    for end in STEPS {
        let (before, after) = (folder(), folder());
        let old = open(&before);
        let path = before.path().join("ca");
        let new = {
            drop(open(&after));
            state::read(&after.path().join("ca")).expect("readable").expect("there")
        };
        let (old_root, new_root) = (old.bundle(), new.served.clone());
        drop(old);
        killed_after(end, &path, &new);
        let expected = if matches!(end, Step::Renamed | Step::Done) { &new_root } else { &old_root };
        let ca = open(&before);
        assert_eq!(ca.bundle(), *expected, "after {end:?}");
        ca.rotate(now()).expect("the next state is kept");
        assert_eq!(open(&before).bundle(), ca.bundle(), "after {end:?}");
    }
}

#[test]
fn a_kill_before_the_first_root_leaves_none() {
    for end in STEPS {
        let (target, source) = (folder(), folder());
        drop(open(&source));
        let new = state::read(&source.path().join("ca")).expect("readable").expect("there");
        let path = target.path().join("ca");
        durable::folder(&path).expect("a folder");
        killed_after(end, &path, &new);
        let is_kept = matches!(end, Step::Renamed | Step::Done);
        assert_eq!(open(&target).bundle() == new.served, is_kept, "after {end:?}");
    }
}

#[test]
fn only_its_owner_reads_it() {
    let folder = folder();
    drop(open(&folder));
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let path = folder.path().join("ca");
    assert_eq!((mode(&path), mode(&path.join(FILE))), (0o700, 0o600));
    assert_eq!(std::fs::read_dir(&path).expect("a folder").count(), 1, "nothing else is left");
}

/// A damaged state is never replaced: that would cut off every workload.
#[test]
fn a_damaged_state_is_told() {
    let folder = folder();
    drop(open(&folder));
    let path = folder.path().join("ca");
    let text = std::fs::read(path.join(FILE)).expect("it is there");
    for damaged in [&text[..text.len() / 2], b"", b"{\"version\": 2, \"longest_lifetime_seconds\": 0}"] {
        std::fs::write(path.join(FILE), damaged).expect("written");
        let error = Ca::open(CaOptions::new(path.clone()), now()).map(drop).expect_err("it is damaged");
        assert!(error.to_string().contains("is damaged"), "{error}");
        assert_eq!(std::fs::read(path.join(FILE)).expect("it is there"), damaged);
    }
    std::fs::write(path.join(FILE), text).expect("written");
    Ca::open(CaOptions::new(path), now()).map(drop).expect("a copy of it is put back");
}
