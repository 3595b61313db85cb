//! The two meshes under test.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::load::Figures;
use super::measure;
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
    pub(super) fn up(data_plane: &'static str) -> Result<Self> {
        let home = std::env::temp_dir().join(format!("lateen-bench-{}-{data_plane}", std::process::id()));
        std::fs::create_dir_all(&home).context("make a home")?;
        let yaml = home.join("bench.yaml");
        std::fs::write(&yaml, manifest()?).context("write the manifest")?;
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
    pub(super) fn load(&self, rate: Option<u32>, seconds: f64) -> Result<Figures> {
        let tool = tool()?;
        let rate = rate.unwrap_or(0).to_string();
        let seconds = seconds.to_string();
        let cpu = LOAD_CPU.to_string();
        let mut command = self.lateen()?;
        command.args(["exec", "load", "-c", "load", "--", "taskset", "-c", &cpu]).arg(tool);
        command.args(["bench-load", "server:9080", "--rate", &rate, "--seconds", &seconds]);
        serde_json::from_slice(&output(&mut command)?).context("read the load's figures")
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

/// The pods, with a route and a subset, so that there is something to decide.
fn manifest() -> Result<String> {
    let tool = tool()?;
    let tool = tool.display();
    Ok(format!(
        r#"apiVersion: v1
kind: Service
metadata: {{name: server}}
spec:
  selector: {{app: server}}
  ports: [{{name: http, port: 9080}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: server}}
spec:
  selector: {{matchLabels: {{app: server}}}}
  template:
    metadata:
      labels: {{app: server, version: v1, sidecar.istio.io/inject: "false"}}
    spec:
      containers:
      - name: server
        image: lateen/lateen
        command: ["{tool}", "bench-server", "9080"]
        readinessProbe: {{tcpSocket: {{port: 9080}}, periodSeconds: 1}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: load}}
spec:
  selector: {{matchLabels: {{app: load}}}}
  template:
    metadata:
      labels: {{app: load, version: v1}}
      annotations:
        proxy.istio.io/config: '{{"concurrency": 1}}'
    spec:
      containers:
      - name: load
        image: lateen/lateen
        command: ["/bin/sleep", "infinity"]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: server}}
spec:
  host: server
  subsets: [{{name: v1, labels: {{version: v1}}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: server}}
spec:
  hosts: [server]
  http:
  - match: [{{headers: {{x-tenant: {{exact: green}}}}}}]
    route: [{{destination: {{host: server, subset: v1}}}}]
  - route: [{{destination: {{host: server, subset: v1}}}}]
"#
    ))
}
