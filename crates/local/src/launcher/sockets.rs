//! Sockets that are opened in the host's namespaces.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::failure::{Failure, Step};
use crate::home::Home;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// What travels on a unix socket.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Bytes.
    Stream,
    /// Messages with descriptors.
    Packets,
}

impl Kind {
    fn socket(self) -> io::Result<OwnedFd> {
        let kind = match self {
            Kind::Stream => SocketType::STREAM,
            Kind::Packets => SocketType::SEQPACKET,
        };
        Ok(socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?)
    }
}

/// Listens on a unix socket that only its owner may use: its directory is closed to others.
pub(super) fn listen_unix(path: &Path, kind: Kind) -> Result<OwnedFd, Failure> {
    let open = || -> io::Result<OwnedFd> {
        let socket = kind.socket()?;
        with_address(path, |address| Ok(bind(&socket, address)?))?;
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        listen(&socket, BACKLOG)?;
        Ok(socket)
    };
    open().step(format!("listen on `{}`", path.display()))
}

/// Connects to a unix socket.
pub(crate) fn connect_unix(path: &Path, kind: Kind) -> io::Result<OwnedFd> {
    let socket = kind.socket()?;
    with_address(path, |address| Ok(connect(&socket, address)?))?;
    Ok(socket)
}

/// An address of at most 107 bytes for any path: a long one is reached through its open directory.
fn with_address<T>(path: &Path, operation: impl FnOnce(&SocketAddrUnix) -> io::Result<T>) -> io::Result<T> {
    if let Ok(address) = SocketAddrUnix::new(path) {
        return operation(&address);
    }
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "not the path of a socket");
    let directory = File::open(path.parent().ok_or_else(invalid)?)?;
    let name = path.file_name().ok_or_else(invalid)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
    operation(&SocketAddrUnix::new(&short)?)
}

/// Listens on a TCP address of the host.
pub(super) fn listen_tcp(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Removes the sockets of a mesh that is not running.
pub(super) fn remove(home: &Home) {
    for path in [home.control_socket(), home.exec_socket()] {
        // Not there is as good as removed; a socket that stays makes the next bind fail, which says so.
        let _ = std::fs::remove_file(path);
    }
}
