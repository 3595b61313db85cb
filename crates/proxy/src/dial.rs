//! Connections of the agent's own: to the control plane and to name servers.
//!
//! They carry the mark by which capture rules know the proxy where its user
//! says nothing; without it they would be captured and end where they began.

use std::io;
use std::net::SocketAddr;

use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};

/// Connects to `host:port`, to the first of its addresses that answers.
pub async fn dial(target: &str, tos: Option<u32>) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in tokio::net::lookup_host(target).await? {
        match connect(address, tos).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Connects to one address.
pub async fn connect(address: SocketAddr, tos: Option<u32>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    mark(&SockRef::from(&socket), address, tos)?;
    socket.set_nodelay(true)?;
    socket.connect(address).await
}

/// Puts the mark on a socket for connections to `address`.
pub fn mark(socket: &SockRef<'_>, address: SocketAddr, tos: Option<u32>) -> io::Result<()> {
    match tos {
        Some(tos) if address.is_ipv4() => socket.set_tos_v4(tos),
        Some(tos) => socket.set_tclass_v6(tos),
        None => Ok(()),
    }
}
