//! The admin endpoint, as Envoy's: for people and tools on this machine.

mod config_dump;
mod text;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use routing::compile::Changes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedSender;

use crate::shared::Shared;
use crate::start::SetLogLevel;
use crate::subscriber::SharedInventory;
use crate::supervisor::Order;

/// What the endpoint shows and steers.
#[derive(Clone)]
pub struct Admin {
    /// What all threads share.
    pub shared: Arc<Shared>,
    /// Whether everything that was received first is in use.
    pub ready: Arc<AtomicBool>,
    /// What was received.
    pub inventory: SharedInventory,
    /// What was there from the start.
    pub static_resources: Arc<Changes>,
    /// For the supervisor.
    pub orders: UnboundedSender<Order>,
    /// How many workers there are.
    pub concurrency: usize,
    /// Changes what is logged.
    pub set_log_level: Option<SetLogLevel>,
}

/// What the proxy is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Live,
    Draining,
    Initializing,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Live => "LIVE",
            State::Draining => "DRAINING",
            State::Initializing => "INITIALIZING",
        }
    }

    /// Envoy's number for it, in `server.state`.
    fn number(self) -> u8 {
        match self {
            State::Live => 0,
            State::Draining => 1,
            State::Initializing => 3,
        }
    }
}

/// Answers for ever.
pub async fn serve(admin: Admin, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(answer_connection(admin.clone(), stream));
            }
            Err(error) => {
                tracing::warn!("admin endpoint: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

async fn answer_connection(admin: Admin, stream: TcpStream) {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = answer(&admin, &request);
        async move { Ok::<_, Infallible>(response) }
    });
    // A client that goes away is nobody's concern.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

type Reply = Response<Full<Bytes>>;

fn answer<B>(admin: &Admin, request: &Request<B>) -> Reply {
    if !is_local_host(request) {
        return text(StatusCode::FORBIDDEN, "the admin endpoint answers local names only\n");
    }
    let query = query(request.uri().query().unwrap_or_default());
    match request.uri().path() {
        "/" | "/help" => text(StatusCode::OK, text::HELP),
        "/ready" => ready(admin),
        "/config_dump" => json(&config_dump::all(admin, query.contains_key("include_eds"))),
        "/clusters" if query.get("format").is_some_and(|format| format == "json") => {
            json(&text::clusters_json(admin))
        }
        "/clusters" => text(StatusCode::OK, text::clusters(admin)),
        "/listeners" if query.get("format").is_some_and(|format| format == "json") => {
            json(&text::listeners_json(admin))
        }
        "/listeners" => text(StatusCode::OK, text::listeners(admin)),
        "/stats" if query.get("format").is_some_and(|format| format == "prometheus") => prometheus(admin),
        "/stats" => stats(admin, &query),
        "/stats/prometheus" => prometheus(admin),
        "/server_info" => json(&text::server_info(admin, admin.state().name())),
        "/certs" => json(&serde_json::json!({"certificates": []})),
        "/memory" => json(&text::memory()),
        "/hot_restart_version" => text(StatusCode::OK, "disabled"),
        "/quitquitquit" => post(request, || {
            // The supervisor ends once.
            let _ = admin.orders.send(Order::Stop);
            text(StatusCode::OK, "OK\n")
        }),
        "/drain_listeners" => post(request, || {
            admin.shared.drain();
            if !query.contains_key("graceful") {
                let _ = admin.orders.send(Order::CloseListeners);
            }
            text(StatusCode::OK, "OK\n")
        }),
        "/healthcheck/fail" => post(request, || {
            admin.shared.drain();
            text(StatusCode::OK, "OK\n")
        }),
        "/reasons" => post(request, || reasons(admin, &query)),
        "/logging" => post(request, || logging(admin, &query)),
        _ => text(StatusCode::NOT_FOUND, format!("invalid path. {}", text::HELP)),
    }
}

impl Admin {
    fn state(&self) -> State {
        if self.shared.is_draining() {
            State::Draining
        } else if self.ready.load(Ordering::Acquire) {
            State::Live
        } else {
            State::Initializing
        }
    }
}

/// A page in a browser must not reach the endpoint under a name of its own.
fn is_local_host<B>(request: &Request<B>) -> bool {
    let Some(host) = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()) else {
        return true;
    };
    let name = routing::redirect::port_start(host).map_or(host, |port| &host[..port]);
    let is_loopback = |name: &str| {
        let name = name.trim_start_matches('[').trim_end_matches(']');
        name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    };
    name == "localhost" || is_loopback(name)
}

fn query(text: &str) -> BTreeMap<String, String> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key.to_owned(), decoded(value))
        })
        .collect()
}

/// Percent escapes and plus signs resolved.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escaped = (*byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(code) => {
                out.push(code);
                at += 3;
            }
            None => {
                out.push(if *byte == b'+' { b' ' } else { *byte });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn post<B>(request: &Request<B>, act: impl FnOnce() -> Reply) -> Reply {
    if request.method() == Method::POST {
        return act();
    }
    let words = format!("Method {} not allowed, POST required.", request.method());
    text(StatusCode::METHOD_NOT_ALLOWED, words)
}

fn ready(admin: &Admin) -> Reply {
    let state = admin.state();
    let status = if state == State::Live { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    text(status, format!("{}\n", state.name()))
}

fn prometheus(admin: &Admin) -> Reply {
    let mut all = admin.shared.registry.prometheus();
    all.push_str(&text::circuit_breakers_prometheus(admin));
    text(StatusCode::OK, all)
}

fn stats(admin: &Admin, query: &BTreeMap<String, String>) -> Reply {
    let mut lines = admin.shared.registry.dotted();
    lines.push_str(&text::circuit_breakers(admin));
    lines.push_str(&text::server_stats(admin, admin.state().number()));
    let mut lines: Vec<&str> = lines.lines().collect();
    if query.contains_key("usedonly") {
        lines.retain(|line| !line.ends_with(": 0") || line.starts_with("server.state"));
    }
    if let Some(filter) = query.get("filter") {
        match regex::Regex::new(filter) {
            Ok(filter) => lines.retain(|line| filter.is_match(line.split(": ").next().unwrap_or(line))),
            Err(_) => return text(StatusCode::BAD_REQUEST, "Invalid re2 regex\n"),
        }
    }
    lines.sort_unstable();
    lines.push("");
    text(StatusCode::OK, lines.join("\n"))
}

/// `POST /reasons?show=on`: responses of our own say why they are given.
fn reasons(admin: &Admin, query: &BTreeMap<String, String>) -> Reply {
    match query.get("show").map(String::as_str) {
        Some("on") => admin.shared.tell_reasons(true),
        Some("off") => admin.shared.tell_reasons(false),
        _ => return text(StatusCode::BAD_REQUEST, "usage: /reasons?show=on|off\n"),
    }
    text(StatusCode::OK, "OK\n")
}

fn logging(admin: &Admin, query: &BTreeMap<String, String>) -> Reply {
    match (query.get("level"), &admin.set_log_level) {
        (Some(level), Some(set)) => match set.set(level) {
            Ok(()) => text(StatusCode::OK, format!("active loggers:\n  proxy: {level}\n")),
            Err(reason) => text(StatusCode::BAD_REQUEST, format!("error: {reason}\n")),
        },
        (Some(_), None) => text(StatusCode::BAD_REQUEST, "error: the log level is fixed\n"),
        (None, _) => text(StatusCode::OK, "active loggers:\n  proxy\nusage: /logging?level=<level>\n"),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    reply(status, "text/plain; charset=UTF-8", body.into())
}

fn json(value: &serde_json::Value) -> Reply {
    reply(StatusCode::OK, "application/json", format!("{value:#}\n").into())
}

fn reply(status: StatusCode, kind: &'static str, body: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, http::HeaderValue::from_static("no-cache, max-age=0"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, http::HeaderValue::from_static("nosniff"));
    reply
}
