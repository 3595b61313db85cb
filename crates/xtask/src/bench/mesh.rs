//! The two meshes under test.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::case::Case;
use super::load::{Figures, Kind};
use super::{manifest, measure};
use crate::process::output;
use crate::tidy;

/// Proxies under test run here; load and server on the other.
const PROXY_CPU: usize = 0;
const LOAD_CPU: usize = 1;

/// A mesh with a load pod and a server pod.
pub(super) struct BenchMesh {
    pub(super) data_plane: &'static str,
    /// The load's sidecar.
    pub(super) proxy: u32,
    home: PathBuf,
}

impl BenchMesh {
    /// Both, Envoy first, alike but for the data plane, with so many further services.
    pub(super) fn both(services: usize) -> Result<[Self; 2]> {
        Ok([Self::up("envoy", services)?, Self::up("lateen", services)?])
    }

    fn up(data_plane: &'static str, services: usize) -> Result<Self> {
        let home = std::env::temp_dir().join(format!("lateen-bench-{}-{data_plane}", std::process::id()));
        std::fs::create_dir_all(&home).context("make a home")?;
        let yaml = home.join("bench.yaml");
        std::fs::write(&yaml, manifest::with_services(&tool()?, services)).context("write the manifest")?;
        let mut mesh = Self { data_plane, proxy: 0, home };
        let mut up = mesh.lateen()?;
        up.args(["up", "--detach", "--gateway", "127.0.0.1:0", "-f"])
            .arg(&yaml)
            .args(["--proxy", data_plane]);
        if data_plane == "envoy" {
            up.arg("--envoy-path").arg(testkit::tools::envoy()?);
        }
        output(&mut up)?;
        mesh.place()?;
        Ok(mesh)
    }

    /// Finds the processes and gives each its CPU.
    fn place(&mut self) -> Result<()> {
        let status: Value = serde_json::from_slice(&output(self.lateen()?.args(["status", "-o", "json"]))?)?;
        self.proxy = process(&status, "load", "istio-proxy")?;
        if self.data_plane == "envoy" {
            self.proxy = child(self.proxy)?;
        }
        measure::pin(self.proxy, PROXY_CPU)?;
        measure::pin(process(&status, "server", "server")?, LOAD_CPU)
    }

    /// Loads the server through the load pod's sidecar.
    pub(super) fn load(&self, case: &Case, seconds: f64) -> Result<Figures> {
        let mut command = self.load_command(case.kind, case.connections)?;
        command.args(["--rate", &case.rate.unwrap_or(0).to_string(), "--seconds", &seconds.to_string()]);
        serde_json::from_slice(&output(&mut command)?).context("read the load's figures")
    }

    /// The load's program in its pod.
    pub(super) fn load_command(&self, kind: Kind, connections: usize) -> Result<Command> {
        let mut command = self.lateen()?;
        command.args(["exec", "load", "-c", "load", "--", "taskset", "-c", &LOAD_CPU.to_string()]);
        command.arg(tool()?).arg("bench-load").arg(kind.name());
        command.args([&format!("server:{}", kind.port()), "--connections", &connections.to_string()]);
        Ok(command)
    }

    fn lateen(&self) -> Result<Command> {
        let binary = tidy::target_directory()?.join("release/lateen");
        ensure!(binary.is_file(), "`{}` is not there: run `cargo build --release`", binary.display());
        let mut command = Command::new(binary);
        command.env("LATEEN_HOME", &self.home).env("NO_COLOR", "1");
        Ok(command)
    }
}

impl Drop for BenchMesh {
    fn drop(&mut self) {
        let ended = self.lateen().and_then(|mut command| output(command.arg("down")));
        if let Err(error) = ended {
            eprintln!("down: {error:#}");
        }
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

/// The host's id of a container's first process.
fn process(status: &Value, app: &str, container: &str) -> Result<u32> {
    let pods = status["pods"].as_array().into_iter().flatten();
    pods.filter(|pod| pod["name"].as_str().is_some_and(|name| name.starts_with(app)))
        .flat_map(|pod| pod["containers"].as_array().into_iter().flatten())
        .find(|entry| entry["name"] == container)
        .and_then(|entry| entry["pid"].as_u64())
        .and_then(|pid| u32::try_from(pid).ok())
        .with_context(|| format!("`status` tells no process of {app}/{container}: {status}"))
}

/// The agent's child: Envoy itself.
fn child(pid: u32) -> Result<u32> {
    let text =
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).context("read the children")?;
    text.split_whitespace().next().and_then(|pid| pid.parse().ok()).context("the agent has no child")
}

/// Load and server, as optimized as what they measure.
fn tool() -> Result<PathBuf> {
    Ok(tidy::target_directory()?.join("release/xtask"))
}
