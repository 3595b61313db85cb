//! The unix socket through which Envoy reaches the control plane: each
//! connection is joined, byte for byte, to one of the agent's own.

use std::path::{Path, PathBuf};

use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};

use crate::dial::dial;

/// Why the socket could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("open the xDS socket `{path}`")]
pub struct RelayError {
    path: PathBuf,
    source: std::io::Error,
}

/// Listens on `path`, in place of what an earlier run left there.
pub fn bind(path: &Path) -> Result<UnixListener, RelayError> {
    let error = |source| RelayError { path: path.to_owned(), source };
    match std::fs::remove_file(path) {
        Err(problem) if problem.kind() != std::io::ErrorKind::NotFound => return Err(error(problem)),
        _ => {}
    }
    UnixListener::bind(path).map_err(error)
}

/// Joins connections to `target` (`host:port`) until the task is dropped.
pub async fn serve(listener: UnixListener, target: String, tos: Option<u32>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(join(stream, target.clone(), tos));
            }
            Err(error) => {
                tracing::warn!(%error, "accept on the xDS socket");
                tokio::task::yield_now().await;
            }
        }
    }
}

/// A refused connection is dropped: Envoy tries again with its own back-off.
async fn join(mut downstream: UnixStream, target: String, tos: Option<u32>) {
    let result = async {
        let mut upstream = dial(&target, tos).await?;
        copy_bidirectional(&mut downstream, &mut upstream).await
    };
    if let Err(error) = result.await {
        tracing::debug!(%error, target, "xDS connection ended");
    }
}
