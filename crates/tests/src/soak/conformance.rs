//! The conformance suite of HTTP/2, strictly, against the ports that the
//! control plane has configured: outbound, inbound and gateway.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

use super::network::GATEWAY;
use super::objects::{GATEWAY_HTTP, SERVICE};
use super::servers::HTTP2_PORT;
use super::world::World;

/// One case is not HTTP/2's alone: bytes that are no preface are looked at
/// as HTTP/1.1, which answers them with 400.
const MAY_FAIL: usize = 1;

/// Runs the suite against each kind of port.
pub async fn run(world: &World) -> Result<()> {
    let inbound = world.heavy.first().context("a pod with a sidecar")?.proxy.address();
    let doors = [
        ("outbound", SocketAddr::from((SERVICE, HTTP2_PORT))),
        ("inbound", SocketAddr::from((inbound, HTTP2_PORT))),
        ("gateway", SocketAddr::from((GATEWAY, GATEWAY_HTTP))),
    ];
    for (name, door) in doors {
        suite(name, door).await?;
    }
    Ok(())
}

async fn suite(name: &str, door: SocketAddr) -> Result<()> {
    let (host, port) = (door.ip().to_string(), door.port().to_string());
    let arguments = ["-h", &host, "-p", &port, "--strict", "--timeout", "2"];
    let output = Command::new(testkit::tools::h2spec()?).args(arguments).kill_on_drop(true).output().await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let summary = text.lines().rfind(|line| line.contains(" tests, ")).context("a summary")?;
    let number = |word: &str| -> Option<usize> {
        summary.split(", ").find_map(|part| part.strip_suffix(word)?.trim().parse().ok())
    };
    let (all, passed) = (number("tests").context("a count")?, number("passed").context("a count")?);
    println!("h2spec {name}: {summary}");
    ensure!(all >= 146 && passed + MAY_FAIL >= all, "{name}: {summary}\n{text}");
    Ok(())
}
