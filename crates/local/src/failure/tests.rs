//! The remedy fits the machine's settings.

use super::*;

#[test]
fn the_setting_that_forbids_is_named() {
    let cases = [
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            false,
            "apparmor_restrict_unprivileged_userns=0",
        ),
        ("kernel/unprivileged_userns_clone", "0", false, "unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0", false, "max_user_namespaces=15000"),
        ("user/max_user_namespaces", "100", false, "seccomp=unconfined"),
        ("user/max_user_namespaces", "0", true, "--privileged"),
    ];
    for (name, value, is_root, expected) in cases {
        let root = tempfile::tempdir().expect("a folder");
        let file = root.path().join("proc/sys").join(name);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("folders");
        std::fs::write(&file, format!("{value}\n")).expect("a setting");
        let remedy = namespace_remedy(root.path(), is_root);
        assert!(remedy.contains(expected), "{name}={value}: {remedy}");
    }
}

#[test]
fn a_failure_reads_as_one_sentence() {
    let failure = Failure::new("make namespaces", "Operation not permitted").remedy("run as root");
    assert_eq!(failure.to_string(), "cannot make namespaces: Operation not permitted (run as root)");
}
