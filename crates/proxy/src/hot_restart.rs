//! One proxy process in place of another, without a connection lost.
//!
//! A running proxy listens on a Unix socket. A new one that finds it there is
//! given every listening socket and starts beside it; when it holds its
//! configuration it says so, and only then the old one lets go of the sockets
//! and serves what it has until that is done or its time is over. A new
//! process that fails on its way leaves the old one as it was.

mod messages;

#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::sockets::{Label, Sockets};
use messages::{receive, send};

/// How long the other process may take for one message.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two starts of a proxy in one place, the sooner one must be done.
const BACKLOG: i32 = 1;

/// What a new process says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum FromSuccessor {
    /// Give me the sockets.
    TakeOver,
    /// I serve; let go.
    Ready,
}

/// What an old process says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum FromPredecessor {
    /// These come along; more follow.
    Sockets(Vec<Label>),
    /// Those were all; what proves the workload's identity comes along, where
    /// a socket does.
    Complete,
    /// I accept no more.
    Released,
}

/// Why a process cannot be replaced.
#[derive(Debug, thiserror::Error)]
pub enum HotRestartError {
    /// The socket cannot be opened.
    #[error("open the hot-restart socket `{path}`")]
    Socket {
        /// Its path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The running process does not do its part.
    #[error("take over from the running proxy")]
    Predecessor(#[source] io::Error),
}

/// The process that runs before this one.
#[derive(Debug)]
pub struct Predecessor {
    link: OwnedFd,
    /// The socket by which the workload's identity is proven.
    pub credential: Option<OwnedFd>,
}

/// Asks the process that listens at `path` for its sockets. `None` when there
/// is none.
pub fn take_over(path: &Path) -> Result<Option<(Predecessor, Sockets)>, HotRestartError> {
    let Some(link) = connect(path) else { return Ok(None) };
    let failed = HotRestartError::Predecessor;
    send(&link, &FromSuccessor::TakeOver, &[]).map_err(failed)?;
    let mut sockets = Vec::new();
    let credential = loop {
        match receive::<FromPredecessor>(&link, PATIENCE).map_err(failed)? {
            (FromPredecessor::Sockets(labels), descriptors) => {
                sockets.extend(labels.into_iter().zip(descriptors))
            }
            (FromPredecessor::Complete, mut credential) => break credential.pop(),
            (FromPredecessor::Released, _) => return Err(failed(io::ErrorKind::InvalidData.into())),
        }
    };
    Ok(Some((Predecessor { link, credential }, Sockets::inherited(sockets))))
}

impl Predecessor {
    /// Has it let go of the sockets; returns when it accepts no more.
    pub async fn release(self) -> Result<(), HotRestartError> {
        let released = tokio::task::spawn_blocking(move || {
            send(&self.link, &FromSuccessor::Ready, &[])?;
            match receive::<FromPredecessor>(&self.link, PATIENCE)? {
                (FromPredecessor::Released, _) => Ok(()),
                _ => Err(io::ErrorKind::InvalidData.into()),
            }
        });
        released
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
            .map_err(HotRestartError::Predecessor)
    }
}

/// A new process that serves in this one's place and waits for it to let go.
#[derive(Debug)]
pub struct Successor {
    link: OwnedFd,
}

impl Successor {
    /// Tells it that this process accepts no more.
    pub fn released(self) {
        // A successor that is gone by now has to be started again anyway.
        let _ = send(&self.link, &FromPredecessor::Released, &[]);
    }
}

/// Listens at `path`; what is returned hears of the process that has taken
/// over, which is given `sockets` and `credential`.
///
/// The socket takes the place of the predecessor's by one rename.
pub fn listen(
    path: &Path,
    sockets: Arc<Sockets>,
    credential: Option<OwnedFd>,
) -> Result<oneshot::Receiver<Successor>, HotRestartError> {
    let failed = |source| HotRestartError::Socket { path: path.to_owned(), source };
    let listener = bind(path).map_err(failed)?;
    let (sender, receiver) = oneshot::channel();
    let serve = move || {
        while !sender.is_closed() {
            match accept(&listener).and_then(|link| hand_over(link, &sockets, credential.as_ref())) {
                Ok(Some(successor)) => return drop(sender.send(successor)),
                Ok(None) => {}
                Err(error) => tracing::warn!("a proxy that was to replace this one failed: {error}"),
            }
        }
    };
    std::thread::Builder::new().name("hot-restart".to_owned()).spawn(serve).map_err(failed)?;
    Ok(receiver)
}

/// Gives all sockets away; the successor, once it serves.
fn hand_over(
    link: OwnedFd,
    sockets: &Sockets,
    credential: Option<&OwnedFd>,
) -> io::Result<Option<Successor>> {
    let (FromSuccessor::TakeOver, _) = receive::<FromSuccessor>(&link, PATIENCE)? else { return Ok(None) };
    for part in sockets.hand_over()?.chunks(messages::MAX_DESCRIPTORS) {
        let labels = part.iter().map(|(label, _)| *label).collect();
        let descriptors: Vec<_> = part.iter().map(|(_, socket)| socket).collect();
        send(&link, &FromPredecessor::Sockets(labels), &descriptors)?;
    }
    send(&link, &FromPredecessor::Complete, &Vec::from_iter(credential))?;
    // It may wait for its control plane as long as it likes: this one serves meanwhile.
    match receive::<FromSuccessor>(&link, Duration::MAX)? {
        (FromSuccessor::Ready, _) => Ok(Some(Successor { link })),
        (FromSuccessor::TakeOver, _) => Ok(None),
    }
}

fn socket() -> io::Result<OwnedFd> {
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

fn connect(path: &Path) -> Option<OwnedFd> {
    let socket = socket().ok()?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path).ok()?).ok()?;
    Some(socket)
}

fn bind(path: &Path) -> io::Result<OwnedFd> {
    let socket = socket()?;
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(format!(".{}", std::process::id()));
    let fresh = PathBuf::from(fresh);
    let _ = std::fs::remove_file(&fresh);
    rustix::net::bind(&socket, &SocketAddrUnix::new(&fresh)?)?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600))?;
    rustix::net::listen(&socket, BACKLOG)?;
    std::fs::rename(&fresh, path)?;
    Ok(socket)
}

fn accept(listener: &OwnedFd) -> io::Result<OwnedFd> {
    Ok(rustix::net::accept_with(listener, SocketFlags::CLOEXEC)?)
}
