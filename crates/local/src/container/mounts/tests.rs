//! What is done for each kind of place.

use super::*;

/// A file system with /etc, /etc/hosts, /opt, /var/lib, and /var/run leading to /run.
fn world(path: &Path) -> Found {
    match path.to_str().expect("text") {
        "/etc" | "/opt" | "/var" | "/var/lib" | "/run" | "/tmp" => Found::Directory,
        "/etc/hosts" => Found::File,
        "/var/run" => Found::Link("/run".into()),
        "/etc/resolv.conf" => Found::Link("../run/resolve/stub.conf".into()),
        "/etc/circle" => Found::Link("circle".into()),
        _ => Found::Nothing,
    }
}

fn directory(target: &str) -> Mount {
    mount(target, Kind::Directory)
}

fn mount(target: &str, kind: Kind) -> Mount {
    Mount { source: "/source".into(), target: target.into(), kind, read_only: false, optional: false }
}

fn planned(mounts: &[Mount]) -> Vec<String> {
    let word = |(path, kind): &(PathBuf, Kind)| format!("{}:{kind:?}", path.display());
    plan(mounts, &world)
        .iter()
        .map(|operation| match operation {
            Operation::Root(new) => format!("root {}", new.iter().map(word).collect::<Vec<_>>().join(" ")),
            Operation::Overlay { directory, missing } => {
                format!(
                    "overlay {} {}",
                    directory.display(),
                    missing.iter().map(word).collect::<Vec<_>>().join(" ")
                )
            }
            Operation::Make { path, kind } => format!("make {} {kind:?}", path.display()),
            Operation::Bind(mount) => format!("bind {}", mount.target.display()),
        })
        .collect()
}

#[test]
fn each_place_is_made_in_its_way() {
    let cases: &[(&[Mount], &[&str])] = &[
        (&[directory("/tmp")], &["bind /tmp"]),
        (&[mount("/etc/hosts", Kind::File)], &["bind /etc/hosts"]),
        (
            &[mount("/etc/resolv.conf", Kind::File)],
            &["make /run/resolve/stub.conf File", "bind /run/resolve/stub.conf"],
        ),
        (
            &[directory("/var/run/secrets/tokens")],
            &["make /run/secrets/tokens Directory", "bind /run/secrets/tokens"],
        ),
        (
            &[directory("/opt/ibm/wlp/output"), directory("/opt/data")],
            &[
                "overlay /opt data:Directory ibm/wlp/output:Directory",
                "bind /opt/data",
                "bind /opt/ibm/wlp/output",
            ],
        ),
        (
            &[directory("/data/sub"), directory("/data")],
            &["root data:Directory", "bind /data", "make /data/sub Directory", "bind /data/sub"],
        ),
        (
            &[mount("/etc/nsswitch.conf", Kind::File), directory("/etc/istio/proxy"), directory("/config")],
            &[
                "root config:Directory",
                "overlay /etc nsswitch.conf:File istio/proxy:Directory",
                "bind /config",
                "bind /etc/nsswitch.conf",
                "bind /etc/istio/proxy",
            ],
        ),
        (
            &[directory("/var/x/y"), directory("/var/lib/istio/data")],
            &[
                "overlay /var x/y:Directory",
                "overlay /var/lib istio/data:Directory",
                "bind /var/x/y",
                "bind /var/lib/istio/data",
            ],
        ),
        (&[directory("/etc/circle/x")], &["overlay /etc circle/x:Directory", "bind /etc/circle/x"]),
        (&[directory("/opt/../tmp/")], &["bind /tmp"]),
    ];
    for (mounts, expected) in cases {
        assert_eq!(planned(mounts), *expected);
    }
}

#[test]
fn what_is_optional_needs_its_place() {
    let optional = |target: &str| Mount { optional: true, ..mount(target, Kind::File) };
    assert_eq!(planned(&[optional("/etc/nsswitch.conf"), optional("/etc/hosts")]), ["bind /etc/hosts"]);
}
