//! TLS on port 15012: a server certificate that the mesh's own authority
//! signs and that is replaced while connections go on, and callers who may
//! show theirs.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use identity::authority::ServerNames;
use identity::{SpiffeId, certificate};
use rustls::RootCertStore;
use rustls::server::{NoServerSessionStorage, ServerConfig, WebPkiClientVerifier};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use crate::ca::{Ca, CaError, renewal, telling};

/// Under which names workloads know the control plane, as istiod's.
const NAMES: [&str; 5] = [
    "istiod.istio-system.svc",
    "istiod.istio-system.svc.cluster.local",
    "istiod.istio-system",
    "istio-pilot.istio-system.svc",
    "istiod-remote.istio-system.svc",
];

/// Who does not finish his handshake by then is not waited for.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Handshakes that go on at a time.
const HANDSHAKES: usize = 512;

/// Connections that nobody has taken up yet.
const WAITING: usize = 16;

/// The pause after a server certificate could not be made.
const PAUSE: Duration = Duration::from_secs(5);

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Whose certificate was shown and believed; `None` when none was.
    pub(crate) identity: Option<SpiffeId>,
}

/// Why the server cannot be configured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecuredError {
    #[error("make the server's certificate")]
    Certificate(#[from] CaError),
    #[error("configure TLS")]
    Configure(#[from] rustls::Error),
    #[error("configure whom to believe")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// The current configuration; each new connection takes it.
pub(crate) struct Configuration {
    current: ArcSwap<ServerConfig>,
}

impl Configuration {
    /// Makes the first one.
    pub(crate) fn new(ca: &Ca) -> Result<Self, SecuredError> {
        let (config, _) = configure(ca, SystemTime::now())?;
        Ok(Self { current: ArcSwap::new(config) })
    }

    /// Makes new ones at half-life, and whenever the authority changes.
    pub(crate) async fn keep(self: Arc<Self>, ca: Arc<Ca>) {
        let mut changed = ca.changed();
        loop {
            changed.mark_unchanged();
            let wait = match configure(&ca, SystemTime::now()) {
                Ok((config, wait)) => {
                    self.current.store(config);
                    wait
                }
                Err(error) => {
                    tracing::error!("the control plane's certificate is not renewed: {}", telling(&error));
                    PAUSE
                }
            };
            tokio::select! {
                changed = changed.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

fn configure(ca: &Ca, now: SystemTime) -> Result<(Arc<ServerConfig>, Duration), SecuredError> {
    let names = ServerNames { dns: NAMES.map(str::to_owned).to_vec(), addresses: Vec::new() };
    let (key, issued) = ca.issue_server(&names, now)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    for root in ca.bundle().roots() {
        roots.add(root.clone())?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .with_crls(ca.revocation_lists().into_iter().map(|list| list.der))
        .allow_unknown_revocation_status()
        .allow_unauthenticated()
        .build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(issued.chain, key.to_der())?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed session would bring an identity back that may have expired.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok((Arc::new(config), renewal(now, issued.validity.not_after)))
}

/// Accepts connections until the task is dropped; those that have finished
/// their handshake come out.
pub(crate) fn accept(
    listener: TcpListener,
    configuration: Arc<Configuration>,
    ca: Arc<Ca>,
) -> (mpsc::Receiver<io::Result<Secured>>, tokio::task::JoinHandle<()>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let task = tokio::spawn(async move {
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
        while let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "accept on the secured port");
                    tokio::task::yield_now().await;
                    continue;
                }
            };
            let config = configuration.current.load_full();
            let (sender, ca) = (sender.clone(), Arc::clone(&ca));
            tokio::spawn(async move {
                match tokio::time::timeout(HANDSHAKE, handshake(stream, config, &ca)).await {
                    // Nobody takes it up when the server is ending.
                    Ok(Ok(secured)) => drop(sender.send(Ok(secured)).await),
                    Ok(Err(error)) => tracing::info!(%error, "TLS handshake on the secured port"),
                    Err(_) => tracing::info!("a TLS handshake on the secured port took too long"),
                }
                drop(permit);
            });
        }
    });
    (receiver, task)
}

async fn handshake(stream: TcpStream, config: Arc<ServerConfig>, ca: &Ca) -> io::Result<Secured> {
    stream.set_nodelay(true)?;
    let stream = TlsAcceptor::from(config).accept(stream).await?;
    let identity = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).and_then(|leaf| {
        certificate::identity(leaf)
            .inspect_err(|error| tracing::info!("a certificate names no workload: {error}"))
            .ok()
            .filter(|identity| identity.trust_domain() == ca.trust_domain())
    });
    Ok(Secured { stream, peer: Peer { identity } })
}

/// A connection whose other end is known.
pub(crate) struct Secured {
    stream: TlsStream<TcpStream>,
    peer: Peer,
}

impl Connected for Secured {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
