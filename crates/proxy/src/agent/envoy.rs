//! Stock Envoy as the agent's child.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use http::StatusCode;
use serde_json::Value;
use tokio::process::{Child, Command};

use super::bootstrap::AgentSockets;
use super::http_call::{Call, call};
use super::settings::Settings;
use super::{bootstrap, merged_metrics};

/// Why Envoy is not running.
#[derive(Debug, thiserror::Error)]
pub enum EnvoyError {
    /// The bootstrap could not be written.
    #[error("write Envoy's bootstrap `{path}`")]
    Bootstrap {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The program could not be started.
    #[error(
        "start Envoy `{path}`: install it with `cargo xtask tools envoy`, or name another with `--envoy-path`"
    )]
    Start {
        /// The program.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// Waiting for the child failed.
    #[error("wait for Envoy")]
    Wait(#[source] std::io::Error),
}

/// A running Envoy.
pub struct Envoy {
    child: Child,
    admin_port: u16,
}

impl Envoy {
    /// Writes the bootstrap and starts `path`.
    pub fn start(path: &Path, settings: &Settings, sockets: &AgentSockets) -> Result<Self, EnvoyError> {
        let file = settings.run_folder.join("envoy-rev.json");
        let text = bootstrap::envoy(settings, sockets).to_string();
        std::fs::write(&file, text).map_err(|source| EnvoyError::Bootstrap { path: file.clone(), source })?;
        let drain = settings.drain_duration().map_or(45, |drain| drain.as_secs());
        let child = Command::new(path)
            .arg("--config-path")
            .arg(&file)
            .args(["--drain-time-s", &drain.to_string()])
            .args(["--drain-strategy", "immediate", "--local-address-ip-version", "v4"])
            .args(["--file-flush-interval-msec", "1000", "--disable-hot-restart"])
            .args(["--allow-unknown-static-fields", "--log-level", "warning"])
            .args(["--concurrency", &concurrency(settings).to_string()])
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| EnvoyError::Start { path: path.to_owned(), source })?;
        Ok(Self { child, admin_port: settings.admin_port() })
    }

    /// Waits for its end.
    pub async fn wait(&mut self) -> Result<ExitStatus, EnvoyError> {
        self.child.wait().await.map_err(EnvoyError::Wait)
    }

    /// Ends it now.
    pub async fn kill(&mut self) {
        let _ = self.child.kill().await;
    }

    /// What the admin of a running Envoy answers.
    pub fn admin(&self) -> EnvoyAdmin {
        EnvoyAdmin { port: self.admin_port }
    }
}

/// One thread unless the configuration says otherwise: stock Envoy counts the
/// host's cores, and every sidecar of a pod-sized share would have them all.
fn concurrency(settings: &Settings) -> u32 {
    match settings.proxy_config.concurrency {
        Some(threads) if threads > 0 => threads,
        _ => std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32),
    }
}

/// The words for an end that nobody asked for.
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Envoy's admin interface on loopback.
#[derive(Clone, Copy)]
pub struct EnvoyAdmin {
    port: u16,
}

impl EnvoyAdmin {
    /// Ready: live, workers started, and a first set of clusters and listeners.
    pub async fn readiness(self) -> Result<(), String> {
        const STATS: &str = "/stats?format=json&filter=^(server.state|listener_manager.workers_started|\
                             listener_manager.lds.update_success|cluster_manager.cds.update_success)$";
        let answer = call(Call::local(self.port, STATS)).await.map_err(|error| error.to_string())?;
        let page: Value = serde_json::from_slice(answer.body()).map_err(|error| error.to_string())?;
        let value = |name: &str| {
            let stats = page["stats"].as_array().into_iter().flatten();
            stats.filter(|stat| stat["name"] == name).find_map(|stat| stat["value"].as_i64())
        };
        if value("server.state") != Some(0) {
            return Err("Envoy is not live yet".to_owned());
        }
        if value("listener_manager.workers_started") != Some(1) {
            return Err("Envoy's workers have not started".to_owned());
        }
        for (stat, what) in [
            ("cluster_manager.cds.update_success", "clusters"),
            ("listener_manager.lds.update_success", "listeners"),
        ] {
            if value(stat).unwrap_or(0) < 1 {
                return Err(format!("no {what} from the control plane yet"));
            }
        }
        Ok(())
    }

    /// Its Prometheus page, with Istio's metrics under Istio's names.
    pub async fn metrics(self) -> String {
        match call(Call::local(self.port, "/stats/prometheus")).await {
            Ok(answer) if answer.status() == StatusCode::OK => {
                merged_metrics::from_envoy(&String::from_utf8_lossy(answer.body()))
            }
            Ok(answer) => format!("# Envoy answered {}\n", answer.status()),
            Err(error) => format!("# {error}\n"),
        }
    }

    /// Takes no new connections on its inbound side and says `Connection:
    /// close` on those it has.
    pub async fn drain(self) {
        for path in ["/healthcheck/fail", "/drain_listeners?graceful"] {
            if let Err(error) = call(Call::local_post(self.port, path)).await {
                tracing::warn!(%error, path, "drain Envoy");
            }
        }
    }

    /// Connections that clients still hold on dynamic listeners.
    pub async fn active_connections(self) -> Option<u64> {
        const STATS: &str = "/stats?format=json&filter=^listener\\..*\\.downstream_cx_active$";
        let answer = call(Call::local(self.port, STATS)).await.ok()?;
        let page: Value = serde_json::from_slice(answer.body()).ok()?;
        let stats = page["stats"].as_array()?.iter();
        let own = |name: &str| ["admin", "15021", "15090"].iter().any(|part| name.contains(part));
        Some(
            stats
                .filter(|stat| stat["name"].as_str().is_some_and(|name| !own(name)))
                .filter_map(|stat| stat["value"].as_u64())
                .sum(),
        )
    }
}
