//! The one place where upstream connections are made.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use routing::cluster::{Bind, Keepalive};
use routing::istio::AlpnOverride;
use routing::proxy_protocol::Version;
use routing::tls::{ClientTls, Transport};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use crate::proxy_protocol::announce;
use crate::stream::Stream;
use crate::tls::handshake::{self, HandshakeError, Target};
use crate::tls::stream::TlsStream;
use crate::upstream::host::{Host, Upstream};
use crate::worker::Worker;

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
    /// TLS did not come about; bytes never travel in a weaker way instead.
    #[error("{error}{}", lacks(.workload.as_deref()))]
    Tls {
        /// Why.
        error: HandshakeError,
        /// The workload that was expected to speak TLS and does not.
        workload: Option<String>,
    },
}

fn lacks(workload: Option<&str>) -> String {
    workload.map(|workload| format!(": {workload} has no sidecar")).unwrap_or_default()
}

impl From<HandshakeError> for ConnectError {
    fn from(error: HandshakeError) -> ConnectError {
        ConnectError::Tls { error, workload: None }
    }
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

/// What the connection is for.
#[derive(Debug, Clone, Copy)]
pub struct Purpose<'p> {
    /// What will be spoken on it.
    pub speaks: Speaks,
    /// Application protocols in place of the cluster's.
    pub alpn: Option<&'p Arc<AlpnOverride>>,
    /// The client that the endpoint is told about first.
    pub announced: Option<Announced>,
}

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// Whatever the client speaks.
    Bytes,
}

/// A client that an endpoint is told about.
#[derive(Debug, Clone, Copy)]
pub struct Announced {
    /// In which version of the PROXY protocol.
    pub version: Version,
    /// The client.
    pub source: SocketAddr,
    /// Where it wanted to go.
    pub destination: SocketAddr,
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
pub async fn connect(
    host: &Host,
    options: &ConnectOptions,
    purpose: &Purpose<'_>,
    worker: &Worker,
) -> Result<Upstream, ConnectError> {
    let socket = socket(host.address, options).map_err(ConnectError::Refused)?;
    let connecting = async {
        let mut stream = socket.connect(host.address).await.map_err(ConnectError::Refused)?;
        let local = stream.local_addr().map_err(ConnectError::Refused)?;
        if let Some(Announced { version, source, destination }) = purpose.announced {
            announce(&mut stream, version, source, destination).await.map_err(ConnectError::Refused)?;
        }
        let stream = match &host.transport {
            Transport::Plain => Stream::Plain(stream),
            Transport::Tls(context) => Stream::Tls(secure(stream, host, context, purpose, worker).await?),
        };
        Ok::<_, ConnectError>((stream, local))
    };
    let (stream, local) = match tokio::time::timeout(options.timeout, connecting).await {
        Ok(connected) => connected?,
        Err(_) => return Err(ConnectError::Timeout),
    };
    let alpn = purpose.alpn.filter(|_| stream.tls().is_some()).cloned();
    Ok(Upstream { stream, alpn, local, served: 0, opened: Instant::now(), slot: None })
}

/// Puts TLS on a socket.
async fn secure(
    socket: TcpStream,
    host: &Host,
    context: &ClientTls,
    purpose: &Purpose<'_>,
    worker: &Worker,
) -> Result<Box<TlsStream>, ConnectError> {
    let side = worker.shared.tls.client(context).map_err(HandshakeError::Context)?;
    let sni = if context.sni.is_empty() && context.endpoint_names { &host.hostname } else { &context.sni };
    let target = Target {
        name: handshake::server_name(sni, host.address.ip()),
        alpn: alpn(context, purpose).iter().map(|name| name.to_vec()).collect(),
    };
    match handshake::connect(socket, &worker.buffers, &side, target).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => {
            let is_plain = matches!(error, HandshakeError::Plaintext { .. } | HandshakeError::Closed);
            // Names of this form are the mesh's own.
            let name = (is_plain && sni.starts_with("outbound_."))
                .then(|| worker.identities.peer(host.peer).name.clone())
                .filter(|name| !name.is_empty());
            Err(ConnectError::Tls { error, workload: name })
        }
    }
}

/// The application protocols to ask for: the filter's, the cluster's, or
/// those that follow from what is spoken.
fn alpn<'a>(context: &'a ClientTls, purpose: &Purpose<'a>) -> Vec<&'a [u8]> {
    let given = purpose.alpn.and_then(|alpn| match purpose.speaks {
        Speaks::Http1 => alpn.http1.as_deref(),
        Speaks::Http2 => alpn.http2.as_deref(),
        Speaks::Bytes => None,
    });
    let configured = given.unwrap_or(&context.common.alpn);
    match purpose.speaks {
        Speaks::Http1 if configured.is_empty() => vec![b"http/1.1"],
        Speaks::Http2 if configured.is_empty() => vec![b"h2"],
        _ => configured.iter().map(|name| &**name).collect(),
    }
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
