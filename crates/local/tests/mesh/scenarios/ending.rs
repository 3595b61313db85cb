//! Whatever ends, nothing is left.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::mesh;
use super::network::TWO;
use crate::session::Session;

/// Every process of the mesh in a home: number, and label on its command line.
fn processes(mesh: &Session) -> BTreeMap<u32, String> {
    let launcher: u32 =
        std::fs::read_to_string(mesh.home().join("lock")).expect("a lock").trim().parse().expect("a number");
    let mut parents = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        if let Some(parent) = parent.and_then(|parent| parent.trim().parse::<u32>().ok()) {
            let command = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            parents.insert(pid, (parent, command.replace('\0', " ")));
        }
    }
    let mut family = BTreeMap::new();
    family.insert(launcher, parents.get(&launcher).map(|(_, command)| command.clone()).unwrap_or_default());
    loop {
        let more: Vec<(u32, String)> = parents
            .iter()
            .filter(|(pid, (parent, _))| family.contains_key(parent) && !family.contains_key(pid))
            .map(|(pid, (_, command))| (*pid, command.clone()))
            .collect();
        if more.is_empty() {
            return family;
        }
        family.extend(more);
    }
}

fn is_alive(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    // What only waits for its parent to notice is dead.
    !status.is_empty() && !status.contains("State:\tZ")
}

fn assert_gone(mesh: &Session, family: &BTreeMap<u32, String>, within: Duration) {
    let deadline = Instant::now() + within;
    loop {
        let left: Vec<&String> =
            family.iter().filter(|(pid, _)| is_alive(**pid)).map(|(_, command)| command).collect();
        let sockets: Vec<&str> = ["control.sock", "exec.sock"]
            .into_iter()
            .filter(|name| mesh.home().join(name).exists())
            .collect();
        if left.is_empty() && sockets.is_empty() && !local::is_running(&mesh.home()) {
            return;
        }
        assert!(Instant::now() < deadline, "left: {left:?} {sockets:?}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

pub fn down_leaves_nothing() {
    let mesh = mesh(TWO);
    let family = processes(&mesh);
    assert!(family.len() >= 10, "{family:?}");
    let began = Instant::now();
    assert!(local::down(&mesh.home()).expect("an end"));
    assert!(began.elapsed() < Duration::from_secs(1), "took {:?}", began.elapsed());
    assert_gone(&mesh, &family, Duration::from_secs(1));
    assert!(!local::down(&mesh.home()).expect("nothing to do"));
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("mounts");
    assert!(!mounts.contains("lateen"), "{mounts}");
    let links = std::fs::read_to_string("/proc/self/net/dev").expect("links");
    assert!(!links.contains("pod"), "{links}");
}

/// SIGTERM is asked, then SIGKILL is said: in its own grace when one pod ends, in a second when all do.
pub fn a_stuck_process_is_ended_by_force() {
    let stuck = r#"
apiVersion: v1
kind: Pod
metadata: {name: stuck}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: any, command: [sh, -c, "trap '' TERM; touch /tmp/trapped; while :; do sleep 0.05; done"], readinessProbe: {exec: {command: [test, -e, /tmp/trapped]}, periodSeconds: 1}, volumeMounts: [{name: tmp, mountPath: /tmp}]}
  volumes: [{name: tmp, emptyDir: {}}]
"#;
    let mesh = mesh(stuck);
    let family = processes(&mesh);
    let began = Instant::now();
    mesh.put("apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n");
    mesh.until("the pod is gone", |status| status.pods.is_empty());
    let took = began.elapsed().as_secs_f64();
    assert!((0.9..2.0).contains(&took), "one pod took {took} s to end");

    mesh.put(&stuck.replace("PeriodSeconds: 1\n", "PeriodSeconds: 600\n"));
    mesh.until("the pod is back", |status| status.pods.iter().any(|pod| pod.is_ready));
    let began = Instant::now();
    assert!(local::down(&mesh.home()).expect("an end"));
    let took = began.elapsed().as_secs_f64();
    assert!((0.9..2.0).contains(&took), "the mesh took {took} s to end");
    assert_gone(&mesh, &family, Duration::from_secs(1));
}

pub fn whichever_process_is_killed_nothing_is_left() {
    let mut mesh = mesh(TWO);
    for part in ["launcher", "world", "init", "supervisor"] {
        // A daemon of a container that left its process group goes too.
        let daemon = "setsid -f sleep 1000 > /dev/null 2>&1; until pgrep -f '^sleep 1000'; do :; done";
        mesh.ok("beta", &["sh", "-c", daemon]);
        let family = processes(&mesh);
        assert!(family.values().any(|command| command.contains("sleep 1000")), "{family:?}");
        let label = format!("lateen: {part}");
        let victim = family.iter().find(|(_, command)| command.starts_with(&label));
        let victim = *victim.unwrap_or_else(|| panic!("no {part}: {family:?}")).0;
        kill_process(Pid::from_raw(victim.cast_signed()).expect("a process"), Signal::KILL).expect("killed");
        assert_gone(&mesh, &family, Duration::from_secs(1));
        mesh.up_again(TWO);
        assert!(mesh.ok("beta", &["curl", "-sS", "-m", "5", "http://alpha/"]).contains("alpha"));
    }
}

pub fn a_home_has_one_mesh() {
    let first = mesh(TWO);
    let options = local::UpOptions {
        home: first.home(),
        gateway: "127.0.0.1:0".parse().expect("an address"),
        extra_binaries: Vec::new(),
        programs: serde_json::json!([]),
    };
    let refusal = local::up_detached(&options, &mut |_| true).expect_err("a refusal").to_string();
    assert!(refusal.contains("a mesh is running") && refusal.contains("lateen down"), "{refusal}");
    // Another home is another mesh.
    let second = mesh(TWO);
    assert!(second.ok("beta", &["curl", "-sS", "-m", "5", "http://alpha/"]).contains("alpha"));
    assert!(first.ok("beta", &["curl", "-sS", "-m", "5", "http://alpha/"]).contains("alpha"));
}
