//! The one place where upstream connections are made.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use routing::cluster::{Bind, Keepalive};
use routing::filter_chain::Transport;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpSocket;
use tokio::time::Instant;

use crate::upstream::host::{Host, Upstream};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It took too long.
    #[error("connection timeout")]
    Timeout,
    /// The kernel or the peer refused.
    #[error("delayed connect error: {0}")]
    Refused(#[source] io::Error),
    /// There are too many connections or requests already.
    #[error("overflow")]
    Overflow,
    /// The bytes would have to travel in a way that is not known here; they
    /// never travel in a weaker one instead.
    #[error("TLS to upstreams is not supported")]
    Transport,
}

impl ConnectError {
    /// The reason as Envoy words it.
    pub fn reason(&self) -> String {
        match self {
            ConnectError::Refused(error) => format!("delayed connect error: {}", kernel_words(error)),
            other => other.to_string(),
        }
    }
}

/// The kernel's words without the number.
fn kernel_words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// What connections look like on this machine.
#[derive(Debug, Clone, Copy)]
pub struct ConnectOptions {
    /// The cluster's wishes.
    pub bind: Bind,
    /// The type of service of all connections.
    pub tos: Option<u32>,
    /// How long it may take.
    pub timeout: Duration,
    /// Probes of idle connections.
    pub keepalive: Option<Keepalive>,
}

/// Connects to a host.
pub async fn connect(host: &Host, options: &ConnectOptions) -> Result<Upstream, ConnectError> {
    if host.transport == Transport::Tls {
        return Err(ConnectError::Transport);
    }
    let socket = socket(host.address, options).map_err(ConnectError::Refused)?;
    let connecting = socket.connect(host.address);
    let stream = match tokio::time::timeout(options.timeout, connecting).await {
        Ok(connected) => connected.map_err(ConnectError::Refused)?,
        Err(_) => return Err(ConnectError::Timeout),
    };
    let local = stream.local_addr().map_err(ConnectError::Refused)?;
    Ok(Upstream { stream, local, served: 0, opened: Instant::now(), slot: None })
}

fn socket(address: SocketAddr, options: &ConnectOptions) -> io::Result<TcpSocket> {
    let bind = options.bind;
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_nodelay(true)?;
    let raw = SockRef::from(&socket);
    if let Some(tos) = bind.tos.or(options.tos).filter(|_| address.is_ipv4()) {
        raw.set_tos_v4(tos)?;
    }
    if let Some(class) = bind.traffic_class.or(options.tos).filter(|_| address.is_ipv6()) {
        raw.set_tclass_v6(class)?;
    }
    if let Some(keepalive) = options.keepalive {
        raw.set_tcp_keepalive(&probes(keepalive))?;
    }
    if let Some(mark) = bind.mark {
        raw.set_mark(mark)?;
    }
    if let Some(source) = bind.source.filter(|source| source.is_ipv4() == address.is_ipv4()) {
        socket.bind(source)?;
    }
    Ok(socket)
}

fn probes(keepalive: Keepalive) -> TcpKeepalive {
    let mut probes = TcpKeepalive::new();
    if let Some(time) = keepalive.time {
        probes = probes.with_time(time);
    }
    if let Some(interval) = keepalive.interval {
        probes = probes.with_interval(interval);
    }
    match keepalive.probes {
        Some(count) => probes.with_retries(count),
        None => probes,
    }
}
