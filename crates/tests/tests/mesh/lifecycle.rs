//! Up, looked at, used, killed, down.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::bookinfo::{Reviews, Visitor};
use tests::load::eventually;
use tests::mesh::{DataPlane, Mesh, lateen};

async fn comes_up_and_runs_commands(data_plane: DataPlane) -> Result<()> {
    let start = Instant::now();
    let mesh = Mesh::bookinfo(data_plane)?;
    Visitor::anonymous(mesh.gateway).page().await?;
    ensure!(start.elapsed() < Duration::from_secs(3), "the first page took {:?}", start.elapsed());

    let page = mesh.lateen(&["exec", "ratings", "--", "curl", "-sS", "productpage:9080/productpage"])?;
    ensure!(page.contains("<title>Simple Bookstore App</title>"), "exec printed {page}");

    let failed = mesh.try_lateen(&["exec", "ratings", "--", "sh", "-c", "exit 7"])?;
    ensure!(failed.status.code() == Some(7), "exec ended with {:?}", failed.status);

    let second = mesh.try_lateen(&["up", "--detach"])?;
    ensure!(!second.status.success(), "a second mesh started in the same home");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mesh_of_envoys_comes_up_and_runs_commands() -> Result<()> {
    comes_up_and_runs_commands(DataPlane::Envoy).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mesh_of_our_proxies_comes_up_and_runs_commands() -> Result<()> {
    comes_up_and_runs_commands(DataPlane::Lateen).await
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

/// When the launcher is killed nothing is left after a second, and `up` works
/// again in the same home.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_outlives_a_killed_launcher() -> Result<()> {
    let mesh = Mesh::bookinfo(DataPlane::Lateen)?;
    let status = mesh.json(&["status"])?;
    let pids: Vec<u32> = status["pods"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|pod| pod["containers"].as_array().into_iter().flatten())
        .filter_map(|container| u32::try_from(container["pid"].as_u64()?).ok())
        .collect();
    ensure!(pids.len() >= 13, "status tells of {} processes", pids.len());
    kill(launcher_of(pids[0])?)?;
    eventually("every process is gone", Duration::from_secs(1), || pids.iter().all(|pid| !is_alive(*pid)))
        .await?;

    let again = lateen(mesh.home())?.args(["up", "--detach", "--gateway", "127.0.0.1:0"]).output()?;
    ensure!(again.status.success(), "up: {}", String::from_utf8_lossy(&again.stderr));
    Ok(())
}

/// The topmost `lateen` above a process.
fn launcher_of(pid: u32) -> Result<u32> {
    let mut top = pid;
    let mut current = pid;
    while current > 1 {
        let stat = std::fs::read_to_string(format!("/proc/{current}/stat")).context("read a stat")?;
        let rest = stat.rsplit(')').next().context("a stat")?;
        let parent: u32 =
            rest.split_whitespace().nth(1).and_then(|field| field.parse().ok()).context("a parent")?;
        let command = std::fs::read_to_string(format!("/proc/{current}/cmdline")).unwrap_or_default();
        if command.contains("lateen: launcher") {
            top = current;
        }
        current = parent;
    }
    ensure!(top != pid, "process {pid} is below no launcher");
    Ok(top)
}

fn kill(pid: u32) -> Result<()> {
    let status = std::process::Command::new("kill").args(["-KILL", &pid.to_string()]).status()?;
    ensure!(status.success(), "kill {pid}: {status}");
    Ok(())
}
