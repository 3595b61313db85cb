//! What the launcher gives to the world, passed on from part to part.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::caller::Caller;
use crate::channel::{Channel, Received};

/// Facts about the mesh, known before it exists.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// The mesh's directory.
    pub(crate) home: PathBuf,
    /// Who runs it.
    pub(crate) caller: Caller,
    /// The file of the binary that every part runs.
    pub(crate) binary: PathBuf,
    /// Where the ingress gateway is reached on the host.
    pub(crate) gateway: SocketAddr,
    /// More binaries that containers may need: name and file.
    pub(crate) extra_binaries: Vec<(String, PathBuf)>,
    /// Whatever the programs in the supervisor want to know.
    pub(crate) programs: serde_json::Value,
}

/// [`Settings`], and the descriptors that were opened outside.
#[derive(Debug)]
pub(crate) struct Handover {
    /// The facts.
    pub(crate) settings: Settings,
    /// The channel to the launcher.
    pub(crate) host: OwnedFd,
    /// The lock on the home, held as long as anything lives.
    pub(crate) lock: OwnedFd,
    /// The listening control socket.
    pub(crate) control: OwnedFd,
    /// The listening socket for commands in pods.
    pub(crate) exec: OwnedFd,
    /// The listening socket of the ingress gateway.
    pub(crate) gateway: OwnedFd,
}

impl Handover {
    /// Gives everything to the next part.
    pub(crate) fn send(&self, link: &Channel) -> io::Result<()> {
        let descriptors: [BorrowedFd<'_>; 5] = [
            self.host.as_fd(),
            self.lock.as_fd(),
            self.control.as_fd(),
            self.exec.as_fd(),
            self.gateway.as_fd(),
        ];
        link.send(&self.settings, &descriptors)
    }

    /// Takes everything from the part before.
    pub(crate) fn receive(link: &Channel) -> io::Result<Handover> {
        let invalid = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text.to_owned());
        let Received { message: settings, descriptors } =
            link.receive()?.ok_or_else(|| invalid("the part before ended early"))?;
        let [host, lock, control, exec, gateway] = <[OwnedFd; 5]>::try_from(descriptors)
            .map_err(|_| invalid("descriptors are missing from the handover"))?;
        Ok(Handover { settings, host, lock, control, exec, gateway })
    }

    /// Keeps the lock and closes the rest.
    pub(crate) fn into_lock(self) -> OwnedFd {
        self.lock
    }
}
