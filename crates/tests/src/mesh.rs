//! A running mesh in a home of its own; dropped, it is gone.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// What carries the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataPlane {
    /// Our proxy.
    Lateen,
    /// Stock Envoy.
    Envoy,
}

impl DataPlane {
    /// Both, for tests that say everything twice.
    pub const ALL: [Self; 2] = [Self::Envoy, Self::Lateen];
}

/// A mesh that `lateen up --detach` started.
pub struct Mesh {
    home: tempfile::TempDir,
    /// Where the ingress gateway is on the host.
    pub gateway: SocketAddr,
}

impl Mesh {
    /// The bundled bookinfo.
    pub fn bookinfo(data_plane: DataPlane) -> Result<Self> {
        Self::up(data_plane, &[])
    }

    /// A mesh of `arguments` more; waits for the first good answer of nothing:
    /// `up --detach` returns when every pod is ready.
    pub fn up(data_plane: DataPlane, arguments: &[&str]) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("lateen-test-").tempdir().context("make a home")?;
        let mut command = lateen(home.path())?;
        command.args(["up", "--detach", "--gateway", "127.0.0.1:0"]).args(arguments);
        if data_plane == DataPlane::Envoy {
            command.args(["--proxy", "envoy", "--envoy-path"]).arg(testkit::tools::envoy()?);
        }
        run(&mut command)?;
        let mut mesh = Self { home, gateway: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let status = mesh.json(&["status"])?;
        mesh.gateway = status["gateway"]
            .as_str()
            .and_then(|address| address.parse().ok())
            .with_context(|| format!("`status` tells no gateway address: {status}"))?;
        Ok(mesh)
    }

    /// Its `$LATEEN_HOME`.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Runs `lateen ARGUMENTS`, which must succeed; what it printed.
    pub fn lateen(&self, arguments: &[&str]) -> Result<String> {
        let output = run(lateen(self.home())?.args(arguments))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs `lateen ARGUMENTS`, whatever comes of it.
    pub fn try_lateen(&self, arguments: &[&str]) -> Result<Output> {
        lateen(self.home())?.args(arguments).output().context("start lateen")
    }

    /// `lateen ARGUMENTS -o json`.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let mut with_format = arguments.to_vec();
        with_format.extend(["-o", "json"]);
        serde_json::from_str(&self.lateen(&with_format)?).context("read JSON")
    }

    /// Applies bundled samples; every proxy must hold them within a second.
    pub fn apply(&self, samples: &[&str]) -> Result<()> {
        let names: Vec<String> = samples.iter().map(|sample| format!("@{sample}")).collect();
        let mut arguments = vec!["apply"];
        for name in &names {
            arguments.extend(["-f", name]);
        }
        let start = Instant::now();
        let reply = self.json(&arguments)?;
        let took = start.elapsed();
        ensure!(reply["delivery"]["missing"] == serde_json::json!([]), "not held by all: {reply}");
        ensure!(took < Duration::from_secs(1), "`apply` took {took:?}: {reply}");
        Ok(())
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        let ended = lateen(self.home()).and_then(|mut command| run(command.arg("down")));
        if let Err(error) = ended {
            eprintln!("down: {error:#}");
        }
    }
}

/// A command of the binary under test, in that home.
pub fn lateen(home: &Path) -> Result<Command> {
    let mut command = Command::new(binary()?);
    command.env("LATEEN_HOME", home).env("NO_COLOR", "1");
    Ok(command)
}

/// `$LATEEN_BINARY`, which the test command sets.
#[expect(clippy::disallowed_methods, reason = "the one setting of these tests")]
pub fn binary() -> Result<PathBuf> {
    let path = std::env::var("LATEEN_BINARY")
        .context("`LATEEN_BINARY` names no binary: run `cargo xtask test binary mesh`")?;
    Ok(PathBuf::from(path))
}

fn run(command: &mut Command) -> Result<Output> {
    let output = command.output().with_context(|| format!("start {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?} ended with {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(output)
}
