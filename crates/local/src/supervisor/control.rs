//! HTTP on the control socket.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::host_client::HostClient;
use crate::failure::{Failure, Step};
use crate::kubelet::PodSummary;

/// A request whose body has been read.
#[derive(Debug, Clone)]
pub struct ControlRequest {
    /// Method.
    pub method: Method,
    /// The path behind the route's, without the slash between.
    pub rest: String,
    /// The query, as written.
    pub query: String,
    /// The body.
    pub body: Bytes,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct ControlResponse {
    /// Status.
    pub status: StatusCode,
    /// Type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
}

impl ControlResponse {
    /// An answer in JSON.
    pub fn json<T: Serialize>(status: StatusCode, value: &T) -> ControlResponse {
        match serde_json::to_vec(value) {
            Ok(body) => ControlResponse { status, content_type: "application/json", body: body.into() },
            Err(error) => ControlResponse::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }

    /// An answer in words.
    pub fn text(status: StatusCode, text: impl Into<String>) -> ControlResponse {
        ControlResponse { status, content_type: "text/plain; charset=utf-8", body: text.into().into() }
    }
}

/// Answers a request.
pub type Handler = Arc<dyn Fn(ControlRequest) -> BoxFuture<'static, ControlResponse> + Send + Sync>;

/// What is answered on the control socket: the first path that a request's path equals or lies below counts.
#[derive(Clone, Default)]
pub struct ControlRoutes {
    routes: Vec<(Method, String, Handler)>,
}

impl std::fmt::Debug for ControlRoutes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.routes.iter().map(|(method, path, _)| (method, path))).finish()
    }
}

impl ControlRoutes {
    /// Answers `method` requests for `path` and below.
    pub fn add(&mut self, method: Method, path: &str, handler: Handler) {
        self.routes.push((method, path.trim_end_matches('/').to_owned(), handler));
    }

    fn find(&self, method: &Method, path: &str) -> Found<'_> {
        let mut other_method = false;
        for (route_method, route, handler) in &self.routes {
            let Some(rest) = path.strip_prefix(route.as_str()) else { continue };
            if !(rest.is_empty() || rest.starts_with('/')) {
                continue;
            }
            if route_method == method {
                return Found::Handler(handler, rest.trim_start_matches('/').to_owned());
            }
            other_method = true;
        }
        if other_method { Found::OtherMethod } else { Found::Nothing }
    }
}

enum Found<'a> {
    Handler(&'a Handler, String),
    OtherMethod,
    Nothing,
}

/// Where the mesh is reached.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) home: PathBuf,
    pub(super) gateway: SocketAddr,
    pub(super) doors: watch::Receiver<Vec<(u16, SocketAddr)>>,
    pub(super) refusals: watch::Receiver<Arc<BTreeMap<String, String>>>,
}

/// What `GET /world` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorldStatus {
    /// The mesh's directory.
    pub home: PathBuf,
    /// The door to the ingress gateway.
    pub gateway: SocketAddr,
    /// Doors to further ports of gateways.
    pub doors: Vec<(u16, SocketAddr)>,
    /// The pods.
    pub pods: Vec<PodSummary>,
    /// Objects of which no pod can be made, and why.
    #[serde(default)]
    pub refusals: BTreeMap<String, String>,
}

/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves the socket that the launcher opened, with our own routes before `routes`.
pub(super) fn serve(
    socket: OwnedFd,
    routes: ControlRoutes,
    places: Places,
    pods: watch::Receiver<Arc<Vec<PodSummary>>>,
    host: Arc<HostClient>,
) -> Result<(), Failure> {
    let listener = std::os::unix::net::UnixListener::from(socket);
    listener.set_nonblocking(true).step("take over the control socket")?;
    let listener = UnixListener::from_std(listener).step("take over the control socket")?;
    let mut all = own_routes(places, pods, host);
    all.routes.extend(routes.routes);
    let routes = Arc::new(all);
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(converse(stream, Arc::clone(&routes)));
                }
                Err(error) => {
                    tracing::warn!("control socket: accept: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    });
    Ok(())
}

fn own_routes(
    places: Places,
    pods: watch::Receiver<Arc<Vec<PodSummary>>>,
    host: Arc<HostClient>,
) -> ControlRoutes {
    let mut routes = ControlRoutes::default();
    let stopper = Arc::clone(&host);
    let status: Handler = Arc::new(move |_| {
        let (places, host, pods) = (places.clone(), Arc::clone(&host), Arc::clone(&pods.borrow()));
        Box::pin(async move {
            let pods = with_host_pids(&host, &pods).await;
            let doors = places.doors.borrow().clone();
            let refusals = BTreeMap::clone(&places.refusals.borrow());
            let status = WorldStatus { home: places.home, gateway: places.gateway, doors, pods, refusals };
            ControlResponse::json(StatusCode::OK, &status)
        })
    });
    routes.add(Method::GET, "/world", status);
    let stop: Handler = Arc::new(move |_| {
        let host = Arc::clone(&stopper);
        Box::pin(async move {
            host.stop();
            ControlResponse::text(StatusCode::ACCEPTED, "the mesh ends\n")
        })
    });
    routes.add(Method::POST, "/stop", stop);
    routes
}

/// The pods, with the numbers that the host gives their processes.
async fn with_host_pids(host: &HostClient, pods: &[PodSummary]) -> Vec<PodSummary> {
    let mut pods = pods.to_vec();
    let inside = pods.iter().flat_map(|pod| &pod.containers).filter_map(|container| container.pid).collect();
    let outside = host.host_pids(inside).await.unwrap_or_default();
    for container in pods.iter_mut().flat_map(|pod| &mut pod.containers) {
        container.pid = container.pid.and_then(|pid| outside.get(&pid).copied());
    }
    pods
}

async fn converse(stream: UnixStream, routes: Arc<ControlRoutes>) {
    let service = service_fn(move |request| {
        let routes = Arc::clone(&routes);
        async move { Ok::<_, Infallible>(answer(&routes, request).await) }
    });
    // A client that breaks off is its own concern.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(routes: &ControlRoutes, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let response = match routes.find(&head.method, head.uri.path()) {
        Found::Nothing => ControlResponse::text(StatusCode::NOT_FOUND, "no such path\n"),
        Found::OtherMethod => ControlResponse::text(StatusCode::METHOD_NOT_ALLOWED, "no such method here\n"),
        Found::Handler(handler, rest) => match body.collect().await {
            Ok(body) => {
                let query = head.uri.query().unwrap_or_default().to_owned();
                handler(ControlRequest { method: head.method, rest, query, body: body.to_bytes() }).await
            }
            Err(error) => ControlResponse::text(StatusCode::BAD_REQUEST, error.to_string()),
        },
    };
    let mut answer = Response::new(Full::new(response.body));
    *answer.status_mut() = response.status;
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static(response.content_type));
    answer
}

#[cfg(test)]
mod tests;
