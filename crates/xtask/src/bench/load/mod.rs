//! The load, run inside the load pod.

mod h2load;
mod http1;
mod idle;
mod tcp;

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Requests on kept connections.
    Http1,
    /// A connection for each request.
    NewConnections,
    /// Requests on streams of kept connections.
    H2,
    /// Calls of one message each way.
    Grpc,
    /// Bytes from the server, as fast as they come.
    Tcp,
    /// One request a connection, which then stays open until standard input ends.
    Idle,
}

impl Kind {
    /// The word a command line takes.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// The server's port for it.
    pub(super) fn port(self) -> u16 {
        match self {
            Kind::Http1 | Kind::NewConnections | Kind::H2 | Kind::Idle => super::server::HTTP1_PORT,
            Kind::Grpc => super::server::GRPC_PORT,
            Kind::Tcp => super::server::TCP_PORT,
        }
    }
}

/// What to send, how, and for how long.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    pub(crate) host: String,
    pub(crate) connections: usize,
    /// Requests per second; `None` is a closed loop.
    pub(crate) rate: Option<u32>,
    pub(crate) seconds: f64,
}

/// What came of it; latencies in microseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) requests: u64,
    pub(crate) failures: u64,
    pub(crate) bytes: u64,
    pub(crate) per_second: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Figures {
    /// Of requests that took so many microseconds each, within so many seconds.
    fn of(mut latencies: Vec<u32>, failures: u64, seconds: f64) -> Result<Figures> {
        latencies.sort_unstable();
        let last = latencies.len().checked_sub(1).context("no request was answered")?;
        let at = |share: f64| f64::from(latencies[(last as f64 * share) as usize]);
        Ok(Figures {
            requests: latencies.len() as u64,
            failures,
            bytes: 0,
            per_second: latencies.len() as f64 / seconds,
            p50: at(0.5),
            p99: at(0.99),
        })
    }
}

/// Runs the plan and prints its figures as JSON.
pub(crate) fn run(plan: &Plan) -> Result<()> {
    // Thousands of connections need as many descriptors.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .context("raise the limit of descriptors")?;
    let figures = match plan.kind {
        Kind::Http1 | Kind::NewConnections => http1::run(plan)?,
        Kind::H2 | Kind::Grpc => h2load::run(plan)?,
        Kind::Tcp => tcp::run(plan)?,
        Kind::Idle => return idle::run(plan),
    };
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

/// `host:port` to an address, through the pod's DNS.
pub(crate) fn resolve(target: &str) -> Result<SocketAddr> {
    use std::net::ToSocketAddrs as _;
    let mut addresses = target.to_socket_addrs().with_context(|| format!("resolve `{target}`"))?;
    addresses.next().with_context(|| format!("`{target}` has no address"))
}

/// A GET of some 300 bytes in eight headers, as a browser's or library's is;
/// the last of its connection when `closes`.
fn request(host: &str, closes: bool) -> Vec<u8> {
    let connection = if closes { "connection: close\r\n" } else { "" };
    format!(
        "GET /items/42?view=full HTTP/1.1\r\nhost: {host}\r\nuser-agent: lateen-bench/1\r\naccept: application/json\r\n\
         accept-encoding: identity\r\naccept-language: en\r\nx-tenant: blue\r\nx-session: 0123456789abcdef0123456789abcdef\r\n\
         cache-control: no-cache\r\n{connection}\r\n"
    )
    .into_bytes()
}
