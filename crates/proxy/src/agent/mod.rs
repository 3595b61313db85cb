//! The agent: what stands beside the data path in a pod.
//!
//! It turns the pod's environment into a node, tells readiness, makes the
//! application's probes, merges metrics, and drains before it stops.  With
//! stock Envoy it also writes the bootstrap, relays xDS over a unix socket and
//! runs Envoy as its child; a dead Envoy ends the agent, and the kubelet
//! restarts both.

mod app_probe;
mod bootstrap;
pub mod certificates;
mod data_plane;
mod envoy;
mod http_call;
mod http_ports;
pub mod merged_metrics;
mod names;
mod node;
mod relay;
mod replacement;
mod sds;
mod settings;
mod status_server;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

pub use settings::{Arguments, Role, Settings, SettingsError};

use app_probe::AppProbes;
use certificates::Source;
use data_plane::{DataPlane, Probe};
use status_server::{Command, Status, Told};

use crate::hot_restart::{HotRestartError, Successor};
use crate::secrets::Secrets;
use crate::sockets::Sockets;

/// Why the agent ended.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The environment or the command line is wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// `ISTIO_KUBE_APP_PROBERS` is wrong.
    #[error(transparent)]
    AppProbes(#[from] app_probe::AppProbesError),
    /// The xDS socket could not be opened.
    #[error(transparent)]
    Relay(#[from] relay::RelayError),
    /// The SDS socket could not be opened.
    #[error(transparent)]
    Sds(#[from] sds::SdsError),
    /// Our own data path could not be started.
    #[error(transparent)]
    Start(#[from] crate::start::StartError),
    /// Nothing can be asked for who the workload is.
    #[error(transparent)]
    Credential(#[from] certificates::CredentialError),
    /// Envoy could not be started.
    #[error(transparent)]
    Envoy(#[from] envoy::EnvoyError),
    /// A port is taken.
    #[error("listen on status port {port}")]
    StatusPort {
        /// The port.
        port: u16,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The name server's port is taken.
    #[error("listen on `{address}` for questions about names")]
    NamesPort {
        /// Its address.
        address: std::net::SocketAddr,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The folder for the bootstrap and sockets could not be made.
    #[error("create `{path}`")]
    RunFolder {
        /// The folder.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The running proxy could not be replaced.
    #[error(transparent)]
    HotRestart(#[from] HotRestartError),
    /// The process could not ask for its signals.
    #[error("watch for signals")]
    Signals(#[source] std::io::Error),
    /// Envoy ended although nobody asked it to.
    #[error("Envoy {0}")]
    EnvoyEnded(String),
}

/// Runs until SIGTERM, `/quitquitquit`, the data plane's end, or until another
/// process has taken over.
pub async fn run(settings: Settings) -> Result<(), AgentError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(AgentError::Signals)?;
    // Before anything else: the credential must be in nobody else's hands.
    let mut credential = Source::open(&settings.identity.credential)?;
    let (mut predecessor, sockets) = replacement::predecessor(&settings)?;
    if let Some(socket) = predecessor.as_mut().and_then(|before| before.credential.take()) {
        credential.get_or_insert_with(|| Source::inherited(socket));
    }
    let passed_on = credential.as_ref().and_then(Source::copy);
    let secrets = Secrets::default();
    let (sender, tables) = watch::channel(Arc::default());
    let tables = settings.envoy_path.is_none().then_some(tables);
    // Before anything asks for a name: the agent's own questions may be captured too.
    let mut names = match &predecessor {
        None => names::start(&settings, tables.clone(), &sockets).await?,
        Some(_) => None,
    };
    let certificates =
        credential.map(|source| certificates::start(&settings, source, secrets.clone())).transpose()?;
    let sender = settings.captures_names().then_some(sender);
    let mut data_plane = DataPlane::start(&settings, sender, &sockets, &secrets)?;
    let probe = data_plane.probe();
    if predecessor.is_some() {
        // The process before serves until this one can.
        tokio::select! {
            () = replacement::ready(
                &probe,
                tables.clone().filter(|_| settings.captures_names()),
                certificates.as_ref().map(|_| secrets.changed()),
            ) => {}
            _ = terminate.recv() => return Ok(()),
        }
        names = names::start(&settings, tables, &sockets).await?;
    }
    let (commands, mut received) = mpsc::channel(4);
    let counters = names.as_ref().map(|names| Arc::clone(&names.counters));
    let told =
        Told { names: counters, certificates: certificates.as_ref().map(|kept| Arc::clone(&kept.progress)) };
    let mut servers = vec![serve_status(&settings, probe.clone(), commands, told, &sockets)?];
    servers.extend(data_plane.serve_ports(&sockets)?);
    if let Some(predecessor) = predecessor {
        predecessor.release().await?;
        sockets.drop_unused();
    }
    let mut successor = replacement::successor(&settings, &sockets, passed_on);
    let end = tokio::select! {
        ended = data_plane.ended() => End::Itself(ended),
        () = stopped(&mut terminate, &mut received, &probe) => End::Asked,
        successor = &mut successor => End::Replaced(successor),
    };
    let result = match end {
        End::Itself(ended) => ended,
        // Whoever asks twice does not wait.
        End::Asked => tokio::select! {
            drained = drain(&settings, &probe) => drained,
            _ = terminate.recv() => Ok(()),
        },
        End::Replaced(successor) => {
            servers.drain(..).for_each(|server| server.abort());
            drop(names.take());
            replacement::retire(&data_plane, &sockets, successor).await;
            tokio::select! {
                finished = replacement::finish(&settings, &probe) => finished,
                _ = terminate.recv() => Ok(()),
            }
        }
    };
    data_plane.stop().await;
    servers.drain(..).for_each(|server| server.abort());
    result
}

/// How the data plane's work ends.
enum End {
    /// By itself.
    Itself(Result<(), AgentError>),
    /// Somebody asked.
    Asked,
    /// Another process serves in this one's place.
    Replaced(Successor),
}

fn serve_status(
    settings: &Settings,
    probe: Probe,
    commands: mpsc::Sender<Command>,
    told: Told,
    sockets: &Sockets,
) -> Result<tokio::task::JoinHandle<()>, AgentError> {
    let port = settings.status_port();
    let status = Status {
        probe,
        app_probes: AppProbes::new(&settings.app_probers, settings.instance_ip)?,
        app_metrics: settings.scraped_metrics(),
        commands,
        told,
        started: Instant::now(),
    };
    let listener =
        status_server::bind(port, sockets).map_err(|source| AgentError::StatusPort { port, source })?;
    Ok(tokio::spawn(status_server::serve(listener, Arc::new(status))))
}

/// Returns when the process is to stop; a `/drain` before that only drains.
async fn stopped(terminate: &mut Signal, commands: &mut mpsc::Receiver<Command>, probe: &Probe) {
    loop {
        tokio::select! {
            _ = terminate.recv() => return,
            command = commands.recv() => match command {
                Some(Command::Drain) => probe.drain().await,
                Some(Command::Quit) | None => return,
            },
        }
    }
}

/// New connections stop; those that are there have the drain time, or until
/// the last one closes when the pod asked for that.
async fn drain(settings: &Settings, probe: &Probe) -> Result<(), AgentError> {
    probe.drain().await;
    if !settings.exit_on_zero_active_connections {
        tokio::time::sleep(settings.termination_drain()?).await;
        return Ok(());
    }
    tokio::time::sleep(settings.minimum_drain_duration).await;
    while probe.active_connections().await.is_some_and(|open| open > 0) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}
