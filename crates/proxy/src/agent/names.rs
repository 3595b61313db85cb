//! The agent's name server, on 15053: it answers what the mesh knows and asks
//! the pod's own name servers for the rest.
//!
//! The mesh's names come from the control plane as Istio's `NameTable`. What
//! is asked of others is passed on byte for byte and kept as long as it holds.

mod answer;
mod cache;
mod server;
mod source;
mod table;
mod upstream;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use xds::istio::nds::NameTable;

use super::settings::Settings;
use super::{AgentError, node};
use crate::sockets::Sockets;
use crate::start::XdsAddress;
use table::{Place, Table};
use upstream::Upstream;

/// The resolver's configuration of the pod.
const RESOLVER: &str = "/etc/resolv.conf";

/// What is counted.
#[derive(Debug, Default)]
pub struct Counters {
    requests: AtomicU64,
    upstream_requests: AtomicU64,
    upstream_failures: AtomicU64,
}

impl Counters {
    fn increment(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Under Istio's names, in Prometheus' text form.
    pub fn text(&self) -> String {
        let line = |name: &str, counter: &AtomicU64| {
            let value = counter.load(Ordering::Relaxed);
            format!("# TYPE istio_agent_{name} counter\nistio_agent_{name} {value}\n")
        };
        line("dns_requests_total", &self.requests)
            + &line("dns_upstream_requests_total", &self.upstream_requests)
            + &line("dns_upstream_failures_total", &self.upstream_failures)
    }
}

/// A running name server; it ends when it is dropped.
pub struct Names {
    /// What it counts.
    pub counters: Arc<Counters>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Names {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Starts the name server, when the pod's questions are captured.
///
/// `tables` are those that our own data path hears of; without it the control
/// plane is asked on a stream of its own.
pub async fn start(
    settings: &Settings,
    tables: Option<watch::Receiver<Arc<NameTable>>>,
    sockets: &Sockets,
) -> Result<Option<Names>, AgentError> {
    if !settings.captures_names() {
        return Ok(None);
    }
    let address = settings.dns_proxy_address;
    let resolver = tokio::fs::read_to_string(RESOLVER).await.unwrap_or_default();
    let tos = settings.upstream_tos.map(u32::from);
    let upstream = Upstream::new(name_servers(&resolver, address), tos);
    let place = Place::new(&settings.namespace, &settings.domain, &resolver);
    let counters = Arc::<Counters>::default();
    let (built, known) = watch::channel(Arc::new(Table::default()));
    let sockets =
        server::bind(address, sockets).map_err(|source| AgentError::NamesPort { address, source })?;
    let mut tasks = server::serve(sockets, known, upstream, Arc::clone(&counters));
    let tables = match tables {
        Some(tables) => tables,
        None => {
            let (sender, tables) = watch::channel(Arc::default());
            let address = XdsAddress::Tcp(settings.discovery_address().to_owned());
            let mut node = node::node(settings);
            AGENT.clone_into(&mut node.user_agent_name);
            tasks.push(tokio::spawn(source::follow(address, tos, node, sender)));
            tables
        }
    };
    tasks.push(tokio::spawn(build(tables, place, built)));
    Ok(Some(Names { counters, tasks }))
}

/// What the agent calls itself where Envoy is the proxy.
const AGENT: &str = "lateen-agent";

/// Turns every new table into one that questions are looked up in.
async fn build(mut tables: watch::Receiver<Arc<NameTable>>, place: Place, built: watch::Sender<Arc<Table>>) {
    loop {
        let latest = Arc::clone(&tables.borrow_and_update());
        built.send_replace(Arc::new(Table::new(&latest, &place)));
        if tables.changed().await.is_err() {
            return;
        }
    }
}

/// The name servers that a resolver's configuration names, this one left out.
fn name_servers(resolver: &str, own: SocketAddr) -> Vec<SocketAddr> {
    resolver
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver")?.trim().parse().ok())
        .map(|address| SocketAddr::new(address, 53))
        .filter(|address| *address != own)
        .collect()
}
