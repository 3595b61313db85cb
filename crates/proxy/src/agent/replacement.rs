//! One agent in place of another: what each does on its side of a hot
//! restart.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use xds::istio::nds::NameTable;

use super::AgentError;
use super::data_plane::{DataPlane, Probe};
use super::settings::Settings;
use crate::hot_restart::{self, Predecessor, Successor};
use crate::sockets::Sockets;

/// How often it is looked whether something has come about.
const BEAT: Duration = Duration::from_millis(20);

/// How long the mesh's names may take when everything else is there.
const NAMES_PATIENCE: Duration = Duration::from_secs(5);

/// The process before this one, and all listening sockets.
pub fn predecessor(settings: &Settings) -> Result<(Option<Predecessor>, Arc<Sockets>), AgentError> {
    if settings.envoy_path.is_some() {
        return Ok((None, Arc::default()));
    }
    Ok(match hot_restart::take_over(&settings.hot_restart_socket())? {
        Some((predecessor, sockets)) => (Some(predecessor), Arc::new(sockets)),
        None => (None, Arc::default()),
    })
}

/// How long the first certificate may take when everything else is there.
const CERTIFICATE_PATIENCE: Duration = Duration::from_secs(10);

/// Returns when this process can serve.
pub async fn ready(
    probe: &Probe,
    names: Option<watch::Receiver<Arc<NameTable>>>,
    certificate: Option<watch::Receiver<u64>>,
) {
    let mut beat = tokio::time::interval(BEAT);
    while probe.readiness().await.is_err() {
        beat.tick().await;
    }
    if let Some(mut certificate) = certificate {
        // Whom to believe, and the certificate itself.
        let there = certificate.wait_for(|version| *version > 1);
        let _ = tokio::time::timeout(CERTIFICATE_PATIENCE, there).await;
    }
    if let Some(mut names) = names {
        // A control plane that knows no names sends none.
        let _ = tokio::time::timeout(NAMES_PATIENCE, names.changed()).await;
    }
}

/// The process that takes over, if ever one does.
pub fn successor(
    settings: &Settings,
    sockets: &Arc<Sockets>,
    credential: Option<OwnedFd>,
) -> std::pin::Pin<Box<dyn Future<Output = Successor> + Send>> {
    if settings.envoy_path.is_some() {
        return Box::pin(std::future::pending());
    }
    // A folder that cannot be written only means that nobody takes over.
    let listening = hot_restart::listen(&settings.hot_restart_socket(), Arc::clone(sockets), credential);
    let listening = listening.inspect_err(|error| tracing::info!("no hot restart: {error}")).ok();
    Box::pin(async move {
        match listening {
            Some(listening) => match listening.await {
                Ok(successor) => successor,
                Err(_) => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    })
}

/// Lets go of all sockets, and tells the process that has them.
pub async fn retire(data_plane: &DataPlane, sockets: &Sockets, successor: Successor) {
    if let DataPlane::Lateen { handle } = data_plane {
        handle.retire();
        // Workers are told by now or in a moment; both processes accept until then.
        let mut beat = tokio::time::interval(BEAT);
        while !handle.has_retired() {
            beat.tick().await;
        }
    }
    sockets.release();
    successor.released();
}

/// Serves what is there until it is done, or until the time for that is over.
pub async fn finish(settings: &Settings, probe: &Probe) -> Result<(), AgentError> {
    let limit = settings.parent_shutdown_duration()?;
    let done = async {
        let mut beat = tokio::time::interval(BEAT);
        while probe.active_connections().await.is_some_and(|open| open > 0) {
            beat.tick().await;
        }
    };
    // What is still open then is cut.
    let _ = tokio::time::timeout(limit, done).await;
    Ok(())
}
