//! Port 15020: readiness, the application's probes, merged metrics, and the
//! two commands that stop a proxy.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::app_probe::AppProbes;
use super::certificates::Progress;
use super::data_plane::Probe;
use super::merged_metrics;
use super::names::Counters;
use super::settings::AppMetrics;
use crate::sockets::Sockets;

type Reply = Response<Full<Bytes>>;

/// What a caller on 15020 may ask the agent to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Take no new connections, go on with those that are there.
    Drain,
    /// Drain, then exit.
    Quit,
}

/// What other parts of the agent count, where they are at work.
#[derive(Default)]
pub struct Told {
    /// The name server.
    pub names: Option<Arc<Counters>>,
    /// Certificates.
    pub certificates: Option<Arc<Progress>>,
}

/// What the handlers read.
pub struct Status {
    /// The data plane's readiness and metrics.
    pub probe: Probe,
    /// The application's probes.
    pub app_probes: AppProbes,
    /// The application's metrics.
    pub app_metrics: Option<AppMetrics>,
    /// Where commands go.
    pub commands: mpsc::Sender<Command>,
    /// What other parts of the agent count.
    pub told: Told,
    /// When the agent started.
    pub started: Instant,
}

/// Binds `port` on all addresses.
pub fn bind(port: u16, sockets: &Sockets) -> std::io::Result<TcpListener> {
    let listener = sockets.listener(SocketAddr::from(([0, 0, 0, 0], port)), std::net::TcpListener::bind)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Serves until the task is dropped.
pub async fn serve(listener: TcpListener, status: Arc<Status>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                tokio::spawn(connection(stream, peer, Arc::clone(&status)));
            }
            Err(error) => {
                tracing::warn!(%error, "accept on the status port");
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, status: Arc<Status>) {
    let service = service_fn(move |request| {
        let status = Arc::clone(&status);
        async move { Ok::<_, Infallible>(status.handle(request, peer).await) }
    });
    let served =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        tracing::debug!(%error, "status connection ended early");
    }
}

impl Status {
    async fn handle(&self, request: Request<Incoming>, peer: SocketAddr) -> Reply {
        let path = request.uri().path();
        match (request.method(), path) {
            (&Method::GET | &Method::HEAD, "/healthz/ready") => self.ready().await,
            (&Method::GET, "/stats/prometheus" | "/metrics") => self.metrics().await,
            (_, "/quitquitquit") => self.command(&request, peer, Command::Quit).await,
            (_, "/drain") => self.command(&request, peer, Command::Drain).await,
            (_, path) if path.starts_with("/app-health/") => self.application(path, &request).await,
            _ => text(StatusCode::NOT_FOUND, format!("`{path}` is not served here\n")),
        }
    }

    async fn ready(&self) -> Reply {
        match self.probe.readiness().await {
            Ok(()) => text(StatusCode::OK, String::new()),
            Err(reason) => text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
        }
    }

    async fn metrics(&self) -> Reply {
        let (proxy, application) =
            tokio::join!(self.probe.metrics(), merged_metrics::application(self.app_metrics.as_ref()));
        let mut page = merged_metrics::agent(env!("CARGO_PKG_VERSION"), self.started.elapsed());
        if let Some(names) = &self.told.names {
            page.push_str(&names.text());
        }
        if let Some(certificates) = &self.told.certificates {
            page.push_str(&certificates.text(SystemTime::now()));
        }
        page.push_str(&proxy);
        page.push_str(&application);
        let mut reply = text(StatusCode::OK, page);
        reply
            .headers_mut()
            .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain; version=0.0.4"));
        reply
    }

    async fn application(&self, path: &str, request: &Request<Incoming>) -> Reply {
        match self.app_probes.probe(path, request.headers()).await {
            Some(outcome) if outcome.reason.is_empty() => text(outcome.status, String::new()),
            Some(outcome) => text(outcome.status, format!("{}\n", outcome.reason)),
            None => text(StatusCode::NOT_FOUND, format!("the application has no probe `{path}`\n")),
        }
    }

    /// Only the pod itself may stop its proxy, and only by POST.
    async fn command(&self, request: &Request<Incoming>, peer: SocketAddr, command: Command) -> Reply {
        if !peer.ip().is_loopback() {
            return text(StatusCode::FORBIDDEN, "only from inside the pod\n".to_owned());
        }
        if request.method() != Method::POST {
            return text(StatusCode::METHOD_NOT_ALLOWED, "POST it\n".to_owned());
        }
        match self.commands.send(command).await {
            Ok(()) => text(StatusCode::OK, String::new()),
            Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping already\n".to_owned()),
        }
    }
}

fn text(status: StatusCode, body: String) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = status;
    reply
}

#[cfg(test)]
mod tests;
