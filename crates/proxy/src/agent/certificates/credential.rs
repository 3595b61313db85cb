//! What proves who the workload is before it has a certificate.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use identity::bundle::Bundle;
use identity::pem::NotPem;
use identity::spiffe::NotAnIdentity;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::agent::settings::Credential;

/// How long whoever started the process may take for a token.
const PATIENCE: Duration = Duration::from_secs(10);

/// Larger than a token with several roots.
const LARGEST: usize = 256 << 10;

/// Why there is no credential.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// Namespace or service account are no parts of an identity.
    #[error("the workload has no identity")]
    Identity(#[from] NotAnIdentity),
    /// The socket is none, or its other end is gone.
    #[error("ask whoever started the proxy for a token")]
    Socket(#[source] io::Error),
    /// It refuses.
    #[error("whoever started the proxy gives no token: {0}")]
    Refused(String),
    /// A file cannot be read.
    #[error("read `{path}`")]
    File {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The root is none.
    #[error("read the mesh's root")]
    Root(#[from] NotPem),
    /// The task that waits for it was ended.
    #[error("the proxy is ending")]
    Ending,
}

/// A token and the root by which the authority is believed.
pub(super) struct Proof {
    pub(super) token: Zeroizing<String>,
    pub(super) roots: Bundle,
}

/// Where proofs come from.
#[derive(Clone)]
pub(crate) enum Source {
    Socket(Arc<Mutex<UnixStream>>),
    Files { token: PathBuf, root: PathBuf },
}

/// What comes by the socket, in one line.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    token: Option<&'a str>,
    #[serde(default)]
    roots: String,
    #[serde(default)]
    error: String,
}

impl Source {
    /// Takes up what the settings name; `None` when they name nothing.
    pub(crate) fn open(credential: &Credential) -> Result<Option<Self>, CredentialError> {
        Ok(match credential {
            Credential::None => None,
            Credential::Files { token, root } => {
                Some(Self::Files { token: token.clone(), root: root.clone() })
            }
            Credential::StandardInput => Some(Self::Socket(Arc::new(Mutex::new(take_standard_input()?)))),
        })
    }

    /// The socket of the process before this one.
    pub(crate) fn inherited(socket: OwnedFd) -> Self {
        Self::Socket(Arc::new(Mutex::new(UnixStream::from(socket))))
    }

    /// A copy for the process after this one, where it is a socket.
    pub(crate) fn copy(&self) -> Option<OwnedFd> {
        match self {
            Self::Socket(socket) => {
                let socket = socket.lock().unwrap_or_else(PoisonError::into_inner);
                socket.as_fd().try_clone_to_owned().ok()
            }
            Self::Files { .. } => None,
        }
    }

    /// A fresh proof.
    pub(super) async fn proof(&self) -> Result<Proof, CredentialError> {
        let source = self.clone();
        tokio::task::spawn_blocking(move || match &source {
            Self::Socket(socket) => ask(&mut socket.lock().unwrap_or_else(PoisonError::into_inner)),
            Self::Files { token, root } => {
                let read = |path: &PathBuf| {
                    std::fs::read_to_string(path)
                        .map_err(|source| CredentialError::File { path: path.clone(), source })
                };
                let text = Zeroizing::new(read(token)?);
                let token = Zeroizing::new(text.trim().to_owned());
                Ok(Proof { token, roots: Bundle::from_pem(read(root)?.as_bytes())? })
            }
        })
        .await
        .unwrap_or(Err(CredentialError::Ending))
    }
}

/// The socket, which from now on nobody else has: not a child, not a thread.
fn take_standard_input() -> Result<UnixStream, CredentialError> {
    let socket = io::stdin().as_fd().try_clone_to_owned().map_err(CredentialError::Socket)?;
    let null = std::fs::File::open("/dev/null").map_err(CredentialError::Socket)?;
    rustix::stdio::dup2_stdin(&null).map_err(|error| CredentialError::Socket(error.into()))?;
    Ok(UnixStream::from(socket))
}

/// Asks for a token and reads the answer's line.
fn ask(socket: &mut UnixStream) -> Result<Proof, CredentialError> {
    forget_unread(socket).map_err(CredentialError::Socket)?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(CredentialError::Socket)?;
    socket.write_all(b"token\n").map_err(CredentialError::Socket)?;
    let line = read_line(socket).map_err(CredentialError::Socket)?;
    let line: Line<'_> =
        serde_json::from_slice(&line).map_err(|error| CredentialError::Socket(error.into()))?;
    let Some(token) = line.token else { return Err(CredentialError::Refused(line.error)) };
    Ok(Proof { token: Zeroizing::new(token.to_owned()), roots: Bundle::from_pem(line.roots.as_bytes())? })
}

/// An earlier run may have asked and ended before the answer came.
fn forget_unread(socket: &mut UnixStream) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let mut unread = Zeroizing::new(vec![0; 4096]);
    let result = loop {
        match socket.read(&mut unread) {
            Ok(0) => break Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    socket.set_nonblocking(false)?;
    result
}

fn read_line(socket: &mut UnixStream) -> io::Result<Zeroizing<Vec<u8>>> {
    // It never grows, so no copy of the token stays behind.
    let mut line = Zeroizing::new(Vec::with_capacity(LARGEST));
    let mut piece = Zeroizing::new([0; 4096]);
    while line.last() != Some(&b'\n') {
        let length = socket.read(&mut *piece)?;
        if length == 0 || line.len() + length > LARGEST {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.extend_from_slice(&piece[..length]);
    }
    Ok(line)
}
