//! Resolving the names of clusters whose endpoints are names.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use routing::cluster::{Cluster, Discovery, DnsFamily};
use routing::compile::Resolution;
use routing::config::Config;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;

/// After a name could not be resolved.
const RETRY: Duration = Duration::from_secs(5);

/// The names that are being resolved, by cluster.
#[derive(Debug)]
pub struct Resolver {
    found: UnboundedSender<Resolution>,
    tasks: BTreeMap<Arc<str>, (Arc<Cluster>, AbortHandle)>,
}

impl Resolver {
    /// Sends what it finds there.
    pub fn new(found: UnboundedSender<Resolution>) -> Resolver {
        Resolver { found, tasks: BTreeMap::new() }
    }

    /// Resolves the names of the clusters that the configuration has, in use
    /// or waiting, and of no others.
    pub fn follow(&mut self, config: &Config) {
        let waiting = config.clusters.warming.values();
        let clusters = config.clusters.active.values().chain(waiting);
        let mut wanted: BTreeMap<Arc<str>, Arc<Cluster>> = BTreeMap::new();
        for entry in clusters {
            if matches!(entry.value.discovery, Discovery::StrictDns { .. }) {
                wanted.insert(entry.value.name.clone(), entry.value.clone());
            }
        }
        self.tasks.retain(|name, (cluster, task)| {
            let keep = wanted.get(name).is_some_and(|wanted| Arc::ptr_eq(wanted, cluster));
            if !keep {
                task.abort();
            }
            keep
        });
        for (name, cluster) in wanted {
            if !self.tasks.contains_key(&name) {
                let task = tokio::spawn(resolve(cluster.clone(), self.found.clone()));
                self.tasks.insert(name, (cluster, task.abort_handle()));
            }
        }
    }
}

/// Resolves the names of one cluster again and again. When nothing can be
/// found, what was found before stays.
async fn resolve(cluster: Arc<Cluster>, found: UnboundedSender<Resolution>) {
    let Discovery::StrictDns { endpoints, refresh, family, .. } = &cluster.discovery else { return };
    let mut known: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    loop {
        let mut failed = false;
        for name in endpoints.names() {
            match tokio::net::lookup_host((name, 0)).await {
                Ok(addresses) => {
                    let mut addresses: Vec<IpAddr> = addresses.map(|address| address.ip()).collect();
                    addresses.sort_unstable();
                    addresses.dedup();
                    known.insert(name.to_owned(), of_family(addresses, *family));
                }
                Err(error) => {
                    tracing::debug!("cluster `{}`: `{name}`: {error}", cluster.name);
                    failed = true;
                    known.entry(name.to_owned()).or_default();
                }
            }
        }
        let addresses = known.iter().map(|(name, addresses)| (name.clone(), addresses.clone())).collect();
        if found.send(Resolution { cluster: cluster.name.to_string(), addresses }).is_err() {
            return;
        }
        tokio::time::sleep(if failed { RETRY.min(*refresh) } else { *refresh }).await;
    }
}

fn of_family(addresses: Vec<IpAddr>, family: DnsFamily) -> Vec<IpAddr> {
    let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = addresses.into_iter().partition(IpAddr::is_ipv4);
    match family {
        DnsFamily::V4 => v4,
        DnsFamily::V6 => v6,
        DnsFamily::PreferV6 => {
            if v6.is_empty() {
                v4
            } else {
                v6
            }
        }
        DnsFamily::PreferV4 => {
            if v4.is_empty() {
                v6
            } else {
                v4
            }
        }
        DnsFamily::All => [v4, v6].concat(),
    }
}
