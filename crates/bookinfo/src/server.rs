//! The servers that the services share: HTTP/1.1, and sessions of a database.

use std::convert::Infallible;
use std::future::Future;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

/// A response with its whole body.
pub(crate) type Reply = Response<Full<Bytes>>;

/// One of the services: a request in, a reply out.
pub(crate) trait Handler: Send + Sync + 'static {
    fn handle(&self, request: Request<Incoming>) -> impl Future<Output = Reply> + Send;
}

/// Why a service could not serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port could not be bound.
    #[error("listen on port {port}")]
    Listen {
        /// The port asked for.
        port: u16,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The process could not ask for its signals.
    #[error("watch for signals")]
    Signals(#[source] std::io::Error),
}

/// Something that talks with a client in its own way.
pub(crate) trait Session: Send + Sync + 'static {
    fn serve<S>(&self, stream: S) -> impl Future<Output = std::io::Result<()>> + Send
    where
        S: AsyncRead + AsyncWrite + Unpin + Send;
}

/// Serves `handler` until SIGTERM or SIGINT; open requests are finished.
pub(crate) async fn run<H: Handler>(port: u16, handler: H) -> Result<(), Error> {
    let handler = Arc::new(handler);
    let graceful = GracefulShutdown::new();
    accept(port, |stream| {
        tokio::spawn(serve_connection(stream, Arc::clone(&handler), &graceful));
    })
    .await?;
    graceful.shutdown().await;
    Ok(())
}

/// Serves sessions until SIGTERM or SIGINT, which end them.
pub(crate) async fn run_sessions<T: Session>(port: u16, server: T) -> Result<(), Error> {
    let server = Arc::new(server);
    accept(port, |stream| {
        tokio::spawn(serve_session(stream, Arc::clone(&server)));
    })
    .await
}

/// Hands out connections until SIGTERM or SIGINT, and leaves the port then.
async fn accept(port: u16, mut begin: impl FnMut(TcpStream)) -> Result<(), Error> {
    let listener = listen(port).await.map_err(|source| Error::Listen { port, source })?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    let _ = stream.set_nodelay(true);
                    begin(stream);
                }
            }
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }
    }
}

async fn serve_session<T: Session>(stream: TcpStream, server: Arc<T>) {
    if let Err(error) = server.serve(stream).await {
        tracing::debug!(%error, "session ended early");
    }
}

/// Serves sessions on a free port of loopback: its address.
#[cfg(test)]
pub(crate) async fn spawn_session<T: Session>(server: T) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let server = Arc::new(server);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve_session(stream, Arc::clone(&server)));
        }
    });
    address
}

/// Both families where the host has IPv6, else IPv4 alone.
async fn listen(port: u16) -> std::io::Result<TcpListener> {
    match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await,
    }
}

fn serve_connection<H: Handler>(
    stream: TcpStream,
    handler: Arc<H>,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + Send + use<H> {
    let service = service_fn(move |request| {
        let handler = Arc::clone(&handler);
        async move { Ok::<_, Infallible>(handler.handle(request).await) }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let watched = graceful.watch(connection);
    async move {
        if let Err(error) = watched.await {
            tracing::debug!(%error, "connection ended early");
        }
    }
}

/// A JSON reply.
pub(crate) fn json(status: StatusCode, value: &serde_json::Value) -> Reply {
    with_type(status, "application/json", value.to_string())
}

/// A reply of any media type.
pub(crate) fn with_type(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    reply
}

/// The plain answer to a path that a service does not have.
pub(crate) fn not_found() -> Reply {
    with_type(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "not found\n")
}
