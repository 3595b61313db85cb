//! One HTTP/1.1 call of the agent's own: to Envoy's admin, to the
//! application's probes and metrics.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpSocket;
use tokio::time::timeout;

/// An answer longer than this is an error: metrics of a large application are
/// a few MiB.
const LONGEST_ANSWER: usize = 64 * 1024 * 1024;

/// What to call.
pub struct Call<'a> {
    /// Where.
    pub address: SocketAddr,
    /// The socket's own address, when rules look at it.
    pub source: Option<IpAddr>,
    /// Method.
    pub method: Method,
    /// Path and query.
    pub path: &'a str,
    /// `Host`.
    pub host: &'a str,
    /// Further headers.
    pub headers: HeaderMap,
    /// For the whole call.
    pub limit: Duration,
}

impl<'a> Call<'a> {
    /// `GET path` on this port of loopback, within a second.
    pub fn local(port: u16, path: &'a str) -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            source: None,
            method: Method::GET,
            path,
            host: "localhost",
            headers: HeaderMap::new(),
            limit: Duration::from_secs(1),
        }
    }

    /// The same as POST.
    pub fn local_post(port: u16, path: &'a str) -> Self {
        Self { method: Method::POST, ..Self::local(port, path) }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The limit passed.
    #[error("no answer from {address} within {limit:?}")]
    TimedOut {
        /// Whom we called.
        address: SocketAddr,
        /// How long we waited.
        limit: Duration,
    },
    /// No connection.
    #[error("connect to {address}")]
    Connect {
        /// Whom we called.
        address: SocketAddr,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The exchange broke off, or its answer is too long.
    #[error("call {address}")]
    Exchange {
        /// Whom we called.
        address: SocketAddr,
        /// What broke.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Makes the call and reads the whole answer.
pub async fn call(call: Call<'_>) -> Result<Response<Bytes>, CallError> {
    let (address, limit) = (call.address, call.limit);
    timeout(limit, exchange(call)).await.unwrap_or(Err(CallError::TimedOut { address, limit }))
}

async fn exchange(call: Call<'_>) -> Result<Response<Bytes>, CallError> {
    let address = call.address;
    let broken = |source: Box<dyn std::error::Error + Send + Sync>| CallError::Exchange { address, source };
    let stream = connect(&call).await.map_err(|source| CallError::Connect { address, source })?;
    let mut request = Request::builder()
        .method(call.method)
        .uri(call.path)
        .body(Empty::<Bytes>::new())
        .map_err(|error| broken(error.into()))?;
    *request.headers_mut() = call.headers;
    let host = call.host.parse().map_err(|error: http::header::InvalidHeaderValue| broken(error.into()))?;
    request.headers_mut().insert(http::header::HOST, host);

    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(error.into()))?;
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|error| broken(error.into()))?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, LONGEST_ANSWER).collect().await.map_err(broken)?.to_bytes();
    driver.abort();
    Ok(Response::from_parts(head, body))
}

async fn connect(call: &Call<'_>) -> std::io::Result<tokio::net::TcpStream> {
    let socket = if call.address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = call.source {
        socket.bind(SocketAddr::from((source, 0)))?;
    }
    socket.connect(call.address).await
}
