//! Ports 15021 and 15090 beside our own data path; beside Envoy they are its
//! static listeners.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::bootstrap::{HEALTH_PORT, PROMETHEUS_PORT};
use super::data_plane::Probe;
use super::{AgentError, status_server};
use crate::sockets::Sockets;

type Reply = Response<Full<Bytes>>;

/// Opens both ports and serves them until the task is dropped.
pub fn serve(probe: Probe, sockets: &Sockets) -> Result<JoinHandle<()>, AgentError> {
    let bind =
        |port| status_server::bind(port, sockets).map_err(|source| AgentError::StatusPort { port, source });
    let (health, metrics) = (bind(HEALTH_PORT)?, bind(PROMETHEUS_PORT)?);
    Ok(tokio::spawn(async move {
        tokio::join!(accept(health, probe.clone()), accept(metrics, probe));
    }))
}

async fn accept(listener: TcpListener, probe: Probe) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, probe.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "accept on a port of the proxy's own");
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn connection(stream: TcpStream, probe: Probe) {
    let service = service_fn(move |request: Request<Incoming>| {
        let probe = probe.clone();
        async move { Ok::<_, Infallible>(answer(&probe, request.uri().path()).await) }
    });
    let served =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended early");
    }
}

async fn answer(probe: &Probe, path: &str) -> Reply {
    match path {
        "/healthz/ready" => match probe.readiness().await {
            Ok(()) => text(StatusCode::OK, String::new()),
            Err(reason) => text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
        },
        "/stats/prometheus" => {
            let mut reply = text(StatusCode::OK, probe.metrics().await);
            let media_type = header::HeaderValue::from_static("text/plain; version=0.0.4");
            reply.headers_mut().insert(header::CONTENT_TYPE, media_type);
            reply
        }
        other => text(StatusCode::NOT_FOUND, format!("`{other}` is not served here\n")),
    }
}

fn text(status: StatusCode, body: String) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = status;
    reply
}
