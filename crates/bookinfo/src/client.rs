//! One HTTP call on a connection of its own, as the original's libraries make
//! it: no pool, one limit on connecting and the same on the answer.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::tls::Tls;

const HTTPS: u16 = 443;

/// A complete answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("no answer from `{host}` within {limit:?}")]
    TimedOut { host: String, limit: Duration },
    #[error("connect to `{host}`")]
    Connect { host: String, source: std::io::Error },
    #[error("call to `{host}`")]
    Http { host: String, source: hyper::Error },
    #[error("`{host}{path}` is no URL")]
    Url { host: String, path: String, source: http::Error },
}

/// Gets `http://host path` and reads the whole answer.
///
/// `host` is `name:port`; the limit holds for connecting, and again for the
/// answer with its body.
pub(crate) async fn get(
    host: &str,
    path: &str,
    headers: HeaderMap,
    limit: Duration,
) -> Result<Answer, CallError> {
    let timed_out = || CallError::TimedOut { host: host.to_owned(), limit };
    let stream = timeout(limit, TcpStream::connect(host))
        .await
        .map_err(|_| timed_out())?
        .map_err(|source| CallError::Connect { host: host.to_owned(), source })?;
    timeout(limit, exchange(stream, host, path, headers)).await.map_err(|_| timed_out())?
}

/// Gets `https://host path`: as [`get`], with the certificate checked.
pub(crate) async fn get_over_tls(
    host: &str,
    path: &str,
    headers: HeaderMap,
    limit: Duration,
    tls: &Tls,
) -> Result<Answer, CallError> {
    let timed_out = || CallError::TimedOut { host: host.to_owned(), limit };
    let connect = |source| CallError::Connect { host: host.to_owned(), source };
    let connecting = async {
        let stream = TcpStream::connect((host, HTTPS)).await?;
        tls.connect(host, stream).await
    };
    let stream = timeout(limit, connecting).await.map_err(|_| timed_out())?.map_err(connect)?;
    timeout(limit, exchange(stream, host, path, headers)).await.map_err(|_| timed_out())?
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    host: &str,
    path: &str,
    headers: HeaderMap,
) -> Result<Answer, CallError> {
    let http_error = |source| CallError::Http { host: host.to_owned(), source };
    let mut request = Request::builder()
        .method(Method::GET)
        .uri(path)
        .header(header::HOST, host)
        .body(Empty::<Bytes>::new())
        .map_err(|source| CallError::Url { host: host.to_owned(), path: path.to_owned(), source })?;
    request.headers_mut().extend(headers);

    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(http_error)?;
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(http_error)?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(http_error)?.to_bytes();
    driver.abort();
    Ok(Answer { status, body })
}
