//! What a container may not do.

use super::mesh;
use super::network::TWO;

pub fn containers_have_no_rights() {
    let mesh = mesh(TWO);
    let status = mesh.ok("beta", &["cat", "/proc/self/status"]);
    for line in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        let value = status.lines().find_map(|text| text.strip_prefix(line)).expect("a line");
        assert_eq!(value.trim_start_matches(':').trim(), "0000000000000000", "{line}");
    }
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    assert_ne!(mesh.ok("beta", &["id", "-u"]).trim(), "0", "nobody runs as root unasked");
    let own = rustix::process::getuid().as_raw();
    if own != 0 {
        assert_eq!(mesh.ok("beta", &["id", "-u"]).trim(), own.to_string());
    }
    for forbidden in [
        "ip link set lo down",
        "hostname other",
        "mount -t tmpfs none /mnt",
        "cat /proc/1/environ",
        "nft list ruleset",
    ] {
        assert_ne!(mesh.run("beta", &["sh", "-c", forbidden]).1, 0, "{forbidden}");
    }
    let home = mesh.home();
    let listed = mesh.ok("beta", &["ls", "-A", home.to_str().expect("text"), "/run/lateen/pods"]);
    assert!(!listed.contains("control.sock") && !listed.contains("resolv.conf"), "{listed}");

    // In user namespaces of their own, containers of one user cannot look into each other.
    let maps = mesh.ok("beta", &["cat", "/proc/self/uid_map"]);
    let has_own_namespace = !maps.trim_end().ends_with("4294967295");
    let find = "for p in /proc/[0-9]*; do grep -qs 'serve' $p/cmdline && grep -qsv beta $p/cmdline && echo ${p#/proc/}; done";
    let others = mesh.ok("beta", &["sh", "-c", &format!("{find}; true")]);
    for pid in others.lines().filter(|_| has_own_namespace) {
        let peeked = mesh.run(
            "beta",
            &["sh", "-c", &format!("grep -qs alpha /proc/{pid}/cmdline && cat /proc/{pid}/environ")],
        );
        assert!(!peeked.0.contains("HOSTNAME=alpha"), "{peeked:?}");
        assert_ne!(peeked.1, 0, "{peeked:?}");
    }
}
