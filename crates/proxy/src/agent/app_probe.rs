//! The application's own probes, made by the agent: the kubelet asks
//! `/app-health/CONTAINER/readyz` on 15020, the agent asks the application
//! inside the pod, where no capture and no mutual TLS stands between.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use tokio::net::TcpSocket;
use tokio::time::timeout;

use super::http_call::{Call, call};

/// A connection from this address passes the capture rules untouched.
const UNCAPTURED_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 6));
const UNCAPTURED_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 6));

/// Request headers that are the hop's own, not the probe's.
const NOT_FORWARDED: [&str; 3] = ["host", "connection", "content-length"];

/// The application's probes by the path that the kubelet asks for.
pub struct AppProbes {
    probes: BTreeMap<String, Probe>,
    address: IpAddr,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    http_get: Option<HttpGet>,
    tcp_socket: Option<TcpProbe>,
    #[serde(default = "one")]
    timeout_seconds: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HttpGet {
    #[serde(default)]
    path: String,
    port: u16,
    #[serde(default)]
    host: String,
    #[serde(default)]
    http_headers: Vec<Header>,
}

#[derive(Clone, Debug, Deserialize)]
struct Header {
    name: String,
    value: String,
}

#[derive(Clone, Debug, Deserialize)]
struct TcpProbe {
    port: u16,
}

fn one() -> u64 {
    1
}

/// `ISTIO_KUBE_APP_PROBERS` is not what the injector writes.
#[derive(Debug, thiserror::Error)]
#[error("`ISTIO_KUBE_APP_PROBERS` holds no probes by path")]
pub struct AppProbesError(#[from] serde_json::Error);

/// What a probe came to.
pub struct Outcome {
    /// The application's status, or 500 when it gave none.
    pub status: StatusCode,
    /// Why, when there is something to say.
    pub reason: String,
}

impl AppProbes {
    /// Probes of the application at `address`.
    pub fn new(probers: &serde_json::Value, address: IpAddr) -> Result<Self, AppProbesError> {
        let probes =
            if probers.is_null() { BTreeMap::new() } else { serde_json::from_value(probers.clone())? };
        Ok(Self { probes, address })
    }

    /// Makes the probe of `path`; `None` when no probe has that path.
    pub async fn probe(&self, path: &str, headers: &HeaderMap) -> Option<Outcome> {
        let probe = self.probes.get(path)?;
        let limit = Duration::from_secs(probe.timeout_seconds.max(1));
        let outcome = match (&probe.http_get, &probe.tcp_socket) {
            (Some(get), _) => self.http(get, headers, limit).await,
            (None, Some(tcp)) => self.tcp(tcp.port, limit).await,
            (None, None) => failed(format!("`{path}` is neither an httpGet nor a tcpSocket probe")),
        };
        Some(outcome)
    }

    async fn http(&self, get: &HttpGet, headers: &HeaderMap, limit: Duration) -> Outcome {
        let host = if get.host.is_empty() { self.address.to_string() } else { get.host.clone() };
        let path = if get.path.starts_with('/') { get.path.clone() } else { format!("/{}", get.path) };
        let answer = call(Call {
            address: SocketAddr::new(self.address, get.port),
            source: Some(self.uncaptured()),
            method: Method::GET,
            path: &path,
            host: &host,
            headers: probe_headers(get, headers),
            limit,
        })
        .await;
        match answer {
            Ok(answer) => Outcome { status: answer.status(), reason: String::new() },
            Err(error) => failed(format!("{error}: {}", chain(&error))),
        }
    }

    async fn tcp(&self, port: u16, limit: Duration) -> Outcome {
        let connect = async {
            let socket = if self.address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            socket.bind(SocketAddr::new(self.uncaptured(), 0))?;
            socket.connect(SocketAddr::new(self.address, port)).await
        };
        match timeout(limit, connect).await {
            Ok(Ok(_)) => Outcome { status: StatusCode::OK, reason: String::new() },
            Ok(Err(error)) => failed(format!("connect to port {port}: {error}")),
            Err(_) => failed(format!("no connection to port {port} within {limit:?}")),
        }
    }

    fn uncaptured(&self) -> IpAddr {
        if self.address.is_ipv4() { UNCAPTURED_V4 } else { UNCAPTURED_V6 }
    }
}

/// The kubelet's headers, and the probe's own over them.
fn probe_headers(get: &HttpGet, incoming: &HeaderMap) -> HeaderMap {
    let mut headers: HeaderMap = incoming
        .iter()
        .filter(|(name, _)| !NOT_FORWARDED.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for header in &get.http_headers {
        if let (Ok(name), Ok(value)) =
            (header.name.parse::<HeaderName>(), HeaderValue::from_str(&header.value))
        {
            headers.insert(name, value);
        }
    }
    headers
}

fn failed(reason: String) -> Outcome {
    Outcome { status: StatusCode::INTERNAL_SERVER_ERROR, reason }
}

fn chain(error: &dyn std::error::Error) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}
