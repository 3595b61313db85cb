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
}

/// The check that the kernel makes for tracing is the one for opening a process's memory.
pub fn tracing_another_pods_processes_is_refused() {
    let mesh = mesh(TWO);
    let find = "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2> /dev/null | grep -q 'serve [a]lpha-' && echo $p; done; true";
    let others = mesh.ok("beta", &["sh", "-c", find]);
    assert_eq!(others.lines().count(), 2, "both processes of alpha are seen: {others}");
    for process in others.lines() {
        for part in ["mem", "environ", "maps", "cwd/.", "root/.", "fd/0"] {
            let peeked = mesh.run("beta", &["sh", "-c", &format!(": < {process}/{part}")]);
            assert_ne!(peeked.1, 0, "{process}/{part}: {peeked:?}");
            assert!(peeked.0.contains("ermission denied"), "{process}/{part}: {peeked:?}");
        }
    }
    // A process of its own is no secret.
    mesh.ok(
        "beta",
        &["sh", "-c", "sleep 5 & : < /proc/$!/mem && cat /proc/$!/environ > /dev/null && kill $!"],
    );
}
