//! This process and its children are found.

use super::*;

#[test]
fn a_status_is_read() {
    let status = "Name:\tsleep\nPPid:\t12\nNSpid:\t4711\t5\n";
    assert_eq!(parse(status), Some(Process { numbers: vec![4711, 5], parent: 12 }));
}

#[test]
fn a_child_descends_from_us_and_shares_our_network() {
    let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("a child");
    let family = descendants(std::process::id());
    assert!(family.iter().any(|process| process.numbers[0] == child.id()));
    use std::os::unix::fs::MetadataExt;
    let inode = std::fs::metadata("/proc/self/ns/net").expect("our namespace").ino();
    assert!(in_network_namespace(inode).contains(&child.id()));
    child.kill().expect("killed");
    child.wait().expect("waited");
}
