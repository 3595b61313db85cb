//! Port 15014: readiness, metrics, and what each proxy should hold.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::ca::Ca;
use crate::debug;
use crate::mesh::Mesh;

type Reply = Response<Full<Bytes>>;

/// Serves until the task is dropped.
pub(crate) async fn serve(listener: TcpListener, mesh: Arc<Mesh>, ca: Option<Arc<Ca>>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, Arc::clone(&mesh), ca.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "accept on the monitoring port");
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn connection(stream: TcpStream, mesh: Arc<Mesh>, ca: Option<Arc<Ca>>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (mesh, ca) = (Arc::clone(&mesh), ca.clone());
        async move { Ok::<_, Infallible>(handle(&mesh, ca.as_deref(), &request)) }
    });
    let served =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        tracing::debug!(%error, "monitoring connection ended early");
    }
}

fn handle(mesh: &Mesh, ca: Option<&Ca>, request: &Request<Incoming>) -> Reply {
    match request.uri().path() {
        "/ready" => reply("text/plain", "ready\n".to_owned()),
        "/version" => reply("text/plain", concat!(env!("CARGO_PKG_VERSION"), "\n").to_owned()),
        "/metrics" => {
            let published = mesh.published();
            let mut text =
                mesh.metrics.text(mesh.registry.proxies().len(), published.snapshot.service_count());
            text.extend(ca.map(|ca| ca.metrics_text(SystemTime::now())));
            reply("text/plain; version=0.0.4", text)
        }
        "/debug/syncz" => reply("application/json", json(&debug::syncz(mesh))),
        "/debug/config_dump" => config_dump(mesh, request.uri().query().unwrap_or_default()),
        "/debug/statusz" => reply("application/json", json(&mesh.status())),
        other => {
            let mut reply = reply("text/plain", format!("`{other}` is not served here\n"));
            *reply.status_mut() = StatusCode::NOT_FOUND;
            reply
        }
    }
}

/// `?proxyID=NAME.NAMESPACE`.
fn config_dump(mesh: &Mesh, query: &str) -> Reply {
    let proxy = query.split('&').find_map(|pair| pair.strip_prefix("proxyID="));
    let (status, problem) = match proxy {
        None => (StatusCode::BAD_REQUEST, "you must provide a proxyID in the query string\n".to_owned()),
        Some(proxy) => match debug::config_dump(mesh, proxy) {
            Some(dump) => return reply("application/json", json(&dump)),
            None => (StatusCode::NOT_FOUND, format!("no proxy `{proxy}` is connected\n")),
        },
    };
    let mut reply = reply("text/plain", problem);
    *reply.status_mut() = status;
    reply
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}"))
}

fn reply(media_type: &'static str, body: String) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    reply.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(media_type));
    reply
}
