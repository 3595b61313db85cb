//! Up, looked at, used, killed, down.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::bookinfo::{Reviews, Visitor};
use tests::load::eventually;
use tests::mesh::{DataPlane, Mesh, Person};

async fn comes_up_and_runs_commands(person: Person, data_plane: DataPlane) -> Result<()> {
    let start = Instant::now();
    let mesh = Mesh::up_as(person, data_plane, &[])?;
    Visitor::anonymous(mesh.gateway).page().await?;
    ensure!(start.elapsed() < Duration::from_secs(3), "the first page took {:?}", start.elapsed());

    let page = mesh.lateen(&["exec", "ratings", "--", "curl", "-sS", "productpage:9080/productpage"])?;
    ensure!(page.contains("<title>Simple Bookstore App</title>"), "exec printed {page}");

    let failed = mesh.try_lateen(&["exec", "ratings", "--", "sh", "-c", "exit 7"])?;
    ensure!(failed.status.code() == Some(7), "exec ended with {:?}", failed.status);

    let second = mesh.try_lateen(&["up", "--detach"])?;
    ensure!(!second.status.success(), "a second mesh started in the same home");

    super::routing::versions_take_turns(&mesh).await?;
    let labels =
        [("reporter=\"source\"", "captured on its way out"), ("reporter=\"destination\"", "on its way in")];
    let metrics =
        mesh.lateen(&["exec", "reviews-v3", "--", "curl", "-sS", "localhost:15020/stats/prometheus"])?;
    for (label, what) in labels {
        let seen =
            metrics.lines().any(|line| line.starts_with("istio_requests_total") && line.contains(label));
        ensure!(seen, "no request was {what}: {metrics}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mesh_of_envoys_comes_up_and_runs_commands() -> Result<()> {
    comes_up_and_runs_commands(Person::Tester, DataPlane::Envoy).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mesh_of_our_proxies_comes_up_and_runs_commands() -> Result<()> {
    comes_up_and_runs_commands(Person::Tester, DataPlane::Lateen).await
}

/// Without any right, in a user namespace, with capture by DSCP.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ordinary_users_mesh_of_envoys_comes_up_and_runs_commands() -> Result<()> {
    comes_up_and_runs_commands(Person::Ordinary, DataPlane::Envoy).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ordinary_users_mesh_of_our_proxies_comes_up_and_runs_commands() -> Result<()> {
    comes_up_and_runs_commands(Person::Ordinary, DataPlane::Lateen).await
}

/// Two homes, two meshes, neither in the other's way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meshes_stand_side_by_side() -> Result<()> {
    let (first, second) = (Mesh::bookinfo(DataPlane::Lateen)?, Mesh::bookinfo(DataPlane::Lateen)?);
    first.apply(&["destination-rule-all"])?;
    first.apply(&["virtual-service-reviews-v3"])?;
    second.apply(&["destination-rule-all"])?;
    second.apply(&["virtual-service-all-v1"])?;
    ensure!(
        Visitor::anonymous(first.gateway).reviews().await? == Reviews::RedStars,
        "the first shows no red stars"
    );
    ensure!(
        Visitor::anonymous(second.gateway).reviews().await? == Reviews::Starless,
        "the second shows stars"
    );
    Ok(())
}

fn container(status: &Value, app: &str, name: &str) -> Option<(u32, u64)> {
    let mut pods = status["pods"].as_array()?.iter();
    let pod = pods.rfind(|pod| pod["name"].as_str().is_some_and(|pod| pod.starts_with(app)))?;
    let found = pod["containers"].as_array()?.iter().find(|container| container["name"] == name)?;
    Some((u32::try_from(found["pid"].as_u64()?).ok()?, found["restarts"].as_u64()?))
}

fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// A killed application or proxy is started again, and the page comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_container_is_started_again() -> Result<()> {
    let mesh = Mesh::bookinfo(DataPlane::Lateen)?;
    for name in ["details", "istio-proxy"] {
        let (pid, restarts) =
            container(&mesh.json(&["status"])?, "details", name).context("the container")?;
        kill(pid)?;
        eventually("the container runs again", Duration::from_secs(20), || {
            let status = mesh.json(&["status"]).unwrap_or_default();
            container(&status, "details", name).is_some_and(|(now, count)| now != pid && count > restarts)
        })
        .await?;
    }
    let mut seen = String::new();
    eventually("the page shows details again", Duration::from_secs(20), || {
        let page = mesh.lateen(&["exec", "ratings", "--", "curl", "-sS", "productpage:9080/productpage"]);
        seen = page.unwrap_or_default();
        seen.contains("1234567890")
    })
    .await
    .with_context(|| seen)
}

/// Whichever part is killed, nothing is left after a second, and `up` works
/// again in the same home.
async fn nothing_outlives_a_killed_part(person: Person) -> Result<()> {
    let mut mesh = Mesh::up_as(person, DataPlane::Lateen, &[])?;
    for part in ["launcher", "world", "init", "supervisor"] {
        let before = Traces::of(&mesh)?;
        kill(before.part(part)?)?;
        eventually(&format!("nothing is left after SIGKILL of the {part}"), Duration::from_secs(1), || {
            before.left(&mesh).is_empty()
        })
        .await
        .with_context(|| format!("still there: {}", before.left(&mesh)))?;
        mesh.up_again()?;
        Visitor::anonymous(mesh.gateway).page().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_outlives_a_killed_part_of_roots_mesh() -> Result<()> {
    nothing_outlives_a_killed_part(Person::Tester).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_outlives_a_killed_part_of_an_ordinary_users_mesh() -> Result<()> {
    nothing_outlives_a_killed_part(Person::Ordinary).await
}

/// `down` ends processes that heed SIGTERM within a second, and leaves nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn down_is_quick_and_leaves_nothing() -> Result<()> {
    let mesh = Mesh::bookinfo(DataPlane::Lateen)?;
    let before = Traces::of(&mesh)?;
    let start = Instant::now();
    mesh.lateen(&["down"])?;
    let took = start.elapsed();
    ensure!(before.left(&mesh).is_empty(), "left: {}", before.left(&mesh));
    ensure!(took < Duration::from_secs(1), "`down` took {took:?}");
    Ok(())
}

/// What of a mesh can be seen from outside.
///
/// A namespace ends with its last process unless a mount holds it: processes
/// and mounts tell of namespaces, and of the links, rules and mounts in them.
struct Traces {
    /// Every process in a namespace of the mesh, and its command line.
    processes: BTreeMap<u32, String>,
    /// The tester's own mounts and links before anything ended.
    surroundings: String,
    gateway: SocketAddr,
}

impl Traces {
    fn of(mesh: &Mesh) -> Result<Self> {
        let lock = std::fs::read_to_string(mesh.home().join("lock")).context("read the lock")?;
        let launcher: u32 = lock.trim().parse().context("the launcher's number")?;
        let mut processes = family(launcher);
        ensure!(processes.len() >= 20, "a mesh of {} processes: {processes:?}", processes.len());
        let own = namespaces_of("self");
        let of_family = processes.keys().flat_map(|pid| namespaces_of(&pid.to_string()));
        let namespaces: BTreeSet<String> = of_family.filter(|name| !own.contains(name)).collect();
        ensure!(namespaces.len() >= 20, "a mesh of {} namespaces", namespaces.len());
        let within = |pid: &u32| namespaces_of(&pid.to_string()).intersection(&namespaces).next().is_some();
        processes.extend(numbers_of_processes().filter(within).map(command_of));
        Ok(Self { processes, surroundings: surroundings(), gateway: mesh.gateway })
    }

    fn part(&self, name: &str) -> Result<u32> {
        let label = format!("lateen: {name}");
        let found = self.processes.iter().find(|(_, command)| command.starts_with(&label));
        found.map(|(pid, _)| *pid).with_context(|| format!("no {name} among {:?}", self.processes))
    }

    /// What is still there, in words.
    fn left(&self, mesh: &Mesh) -> String {
        let mut left: Vec<String> = self
            .processes
            .iter()
            .filter(|(pid, _)| is_alive(**pid))
            .map(|(pid, command)| format!("process {pid} {command}"))
            .collect();
        for socket in ["control.sock", "exec.sock"] {
            if mesh.home().join(socket).exists() {
                left.push(socket.to_owned());
            }
        }
        if TcpStream::connect(self.gateway).is_ok() {
            left.push(format!("the door at {}", self.gateway));
        }
        if surroundings() != self.surroundings {
            left.push("mounts or links of the host have changed".to_owned());
        }
        left.join(", ")
    }
}

fn surroundings() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let links: Vec<String> = read("/proc/self/net/dev")
        .lines()
        .filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()))
        .collect();
    format!("{}{links:?}", read("/proc/self/mounts"))
}

fn numbers_of_processes() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// `net:[4026531840]` and so on.
fn namespaces_of(process: &str) -> BTreeSet<String> {
    let name = |kind: &str| {
        let link = std::fs::read_link(format!("/proc/{process}/ns/{kind}")).ok()?;
        Some(link.to_string_lossy().into_owned())
    };
    ["net", "mnt", "user", "pid"].into_iter().filter_map(name).collect()
}

/// A process and all that descend from it.
fn family(of: u32) -> BTreeMap<u32, String> {
    let parents: BTreeMap<u32, u32> =
        numbers_of_processes().filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut family = BTreeSet::from([of]);
    let mut grew = true;
    while grew {
        let more: Vec<u32> = parents
            .iter()
            .filter(|(pid, parent)| family.contains(parent) && !family.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        grew = !more.is_empty();
        family.extend(more);
    }
    family.into_iter().map(command_of).collect()
}

fn command_of(pid: u32) -> (u32, String) {
    let words = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    (pid, words.replace('\0', " "))
}

fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
}

fn kill(pid: u32) -> Result<()> {
    let status = std::process::Command::new("kill").args(["-KILL", &pid.to_string()]).status()?;
    ensure!(status.success(), "kill {pid}: {status}");
    Ok(())
}
