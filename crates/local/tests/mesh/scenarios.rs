//! What is tried, and as whom.

mod ending;
mod failing;
mod isolation;
mod network;
mod workloads;

use std::process::{Command, ExitCode};

use crate::session::Session;

/// A scenario: what it is called, and what it does.
type Scenario = (&'static str, fn());

const SCENARIOS: &[Scenario] = &[
    ("network::names_services_and_doors_work", network::names_services_and_doors_work),
    ("network::the_outside_is_reached", network::the_outside_is_reached),
    ("network::gateways_open_doors", network::gateways_open_doors),
    ("workloads::deployments_follow_what_is_wanted", workloads::deployments_follow_what_is_wanted),
    ("workloads::what_is_killed_comes_back", workloads::what_is_killed_comes_back),
    (
        "workloads::containers_start_in_order_with_their_files",
        workloads::containers_start_in_order_with_their_files,
    ),
    ("workloads::what_cannot_run_says_why", workloads::what_cannot_run_says_why),
    ("workloads::commands_and_logs_reach_containers", workloads::commands_and_logs_reach_containers),
    ("isolation::containers_have_no_rights", isolation::containers_have_no_rights),
    (
        "isolation::tracing_another_pods_processes_is_refused",
        isolation::tracing_another_pods_processes_is_refused,
    ),
    ("ending::down_leaves_nothing", ending::down_leaves_nothing),
    ("ending::a_stuck_process_is_ended_by_force", ending::a_stuck_process_is_ended_by_force),
    (
        "ending::whichever_process_is_killed_nothing_is_left",
        ending::whichever_process_is_killed_nothing_is_left,
    ),
    ("ending::a_home_has_one_mesh", ending::a_home_has_one_mesh),
    ("failing::iptables_serves_where_nft_is_missing", failing::iptables_serves_where_nft_is_missing),
    ("failing::each_failure_names_its_remedy", failing::each_failure_names_its_remedy),
];

/// An ordinary user, whom no machine knows by name.
const ORDINARY: &str = "61234";

/// An address that exists in the scenarios' own network only.
pub const OUTSIDE: &str = "203.0.113.7";

/// A name of that address.
pub const OUTSIDE_NAME: &str = "outside.test";

/// Runs every scenario whose name holds one of `names`, as root and as an ordinary user.
pub fn run_all(names: &[String]) -> ExitCode {
    let names: Vec<&String> = names.iter().filter(|name| !name.starts_with('-')).collect();
    let folder = tempfile::Builder::new().prefix("mesh-test-").tempdir().expect("a folder");
    open_to_all(folder.path());
    // A checkout may lie where another user cannot enter.
    let binary = folder.path().join("mesh");
    std::fs::copy("/proc/self/exe", &binary).expect("a copy of this program");
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, format!("127.0.0.1 localhost\n{OUTSIDE} {OUTSIDE_NAME}\n")).expect("a file");
    let is_root = rustix::process::geteuid().is_root();
    let callers: &[&str] = if is_root { &["root", "user"] } else { &["user"] };
    let mut failed = false;
    for caller in callers {
        println!("as {caller}:");
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount"]);
        if !is_root {
            command.arg("--map-root-user");
        }
        let prepare = format!(
            "mount --bind {} /etc/hosts && ip link set lo up && ip addr add {OUTSIDE}/32 dev lo && exec \"$@\"",
            hosts.display()
        );
        command.args(["sh", "-c", &prepare, "sh"]);
        if is_root && *caller == "user" {
            command.args(["setpriv", "--reuid", ORDINARY, "--regid", ORDINARY, "--clear-groups", "--"]);
        }
        command.arg(&binary).arg("as-caller").args(&names);
        failed |= !command.status().expect("unshare").success();
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn open_to_all(folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).expect("permissions");
}

/// Runs the scenarios in this process, as whoever it is.
pub fn run_as_caller(names: &[String]) -> ExitCode {
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| name.contains(wanted.as_str()));
    let (mut passed, mut failed) = (0, 0);
    for (name, scenario) in SCENARIOS.iter().filter(|(name, _)| wanted(name)) {
        let began = std::time::Instant::now();
        let outcome = std::panic::catch_unwind(scenario);
        let word = if outcome.is_ok() { "ok" } else { "FAILED" };
        println!("  {name} ... {word} ({} ms)", began.elapsed().as_millis());
        match outcome {
            Ok(()) => passed += 1,
            Err(_) => failed += 1,
        }
    }
    println!("  {passed} of {} scenarios passed, {failed} failed", SCENARIOS.len());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A mesh of these objects, every pod ready.
pub fn mesh(objects: &str) -> Session {
    Session::up(objects)
}
