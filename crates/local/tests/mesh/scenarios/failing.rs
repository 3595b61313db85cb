//! Where a mesh cannot run, it says which step failed and what to change; where it can with less, it does.

use std::process::{Command, Output};

use super::mesh;
use super::network::TWO;

/// Runs this program in a mount namespace of its own, after a script that takes something away.
fn without(script: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new("unshare");
    command.arg("--mount");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["sh", "-ec", &format!("{script}; exec \"$@\""), "sh"]);
    command.arg(std::env::current_exe().expect("this program")).args(arguments);
    command.output().expect("unshare")
}

const NO_NFT: &str = "mount --bind /dev/null /usr/sbin/nft";

const NO_IPTABLES: &str = "mount --bind /dev/null $(readlink -f /usr/sbin/iptables-restore)";

pub fn iptables_serves_where_nft_is_missing() {
    let output = without(NO_NFT, &["as-caller", "network::names"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && text.contains("ok"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

pub fn each_failure_names_its_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("home");
    let home = home.to_str().expect("text");
    let file = folder.path().join("objects.yaml");
    std::fs::write(&file, TWO).expect("a file");
    let up = ["up", home, file.to_str().expect("text")];

    let said = |output: Output| {
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let text = said(without(&format!("{NO_NFT}; {NO_IPTABLES}"), &up));
    assert!(
        text.contains("neither `nft` nor `iptables-restore`") && text.contains("apt install nftables"),
        "{text}"
    );

    // In a user namespace of its own, so that the setting holds there alone.
    let off = "echo 0 > /proc/sys/user/max_user_namespaces";
    let nested = format!("exec unshare --map-root-user sh -ec '{off}; exec \"$@\"' sh \"$@\"");
    let text = said(without(&nested, &up));
    assert!(text.contains("cannot make a user namespace") && text.contains("max_user_namespaces"), "{text}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let options = local::UpOptions {
        home: home.into(),
        gateway: taken.local_addr().expect("an address"),
        extra_binaries: Vec::new(),
        programs: serde_json::json!([]),
    };
    let text = local::up_detached(&options, &mut |_| true).expect_err("a refusal").to_string();
    assert!(text.contains("--gateway 127.0.0.1:0"), "{text}");

    let broken = local::UpOptions {
        gateway: "127.0.0.1:0".parse().expect("an address"),
        programs: serde_json::json!(["/no/such/file"]),
        ..options
    };
    let text = local::up_detached(&broken, &mut |_| true).expect_err("a refusal").to_string();
    assert!(text.contains("/no/such/file"), "{text}");

    // After all that, the same home serves.
    drop(mesh(TWO));
}
