//! Resolving the names of clusters whose endpoints are names.
//!
//! A name is asked for again when its answer's time is over. While nobody
//! answers, the addresses that were found last stay; only an answer that says
//! that there are none takes them away, as in Envoy.

mod lookup;
mod resolver_file;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use routing::cluster::{Cluster, Discovery, DnsFamily, Refresh};
use routing::compile::Resolution;
use routing::config::Config;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;

use lookup::{Found, LookupError, lookup};

/// The shortest time after which a name is asked for again.
const SHORTEST: Duration = Duration::from_secs(1);

/// The resolver's configuration and the host's own names.
#[derive(Debug, Clone)]
struct Files {
    resolver: std::path::PathBuf,
    hosts: std::path::PathBuf,
}

impl Default for Files {
    fn default() -> Self {
        Files { resolver: "/etc/resolv.conf".into(), hosts: "/etc/hosts".into() }
    }
}

/// What was found last, by name and family.
type Known = Arc<Mutex<BTreeMap<(String, DnsFamily), Vec<IpAddr>>>>;

/// The names that are being resolved, by cluster.
#[derive(Debug)]
pub struct Resolver {
    found: UnboundedSender<Resolution>,
    tos: Option<u32>,
    files: Files,
    known: Known,
    tasks: BTreeMap<Arc<str>, (Arc<Cluster>, AbortHandle)>,
}

impl Resolver {
    /// Sends what it finds there; its own questions carry the mark `tos`.
    pub fn new(found: UnboundedSender<Resolution>, tos: Option<u32>) -> Resolver {
        Resolver { found, tos, files: Files::default(), known: Known::default(), tasks: BTreeMap::new() }
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
        let before = self.tasks.len();
        self.tasks.retain(|name, (cluster, task)| {
            let keep = wanted.get(name).is_some_and(|wanted| Arc::ptr_eq(wanted, cluster));
            if !keep {
                task.abort();
            }
            keep
        });
        if self.tasks.len() < before {
            self.forget(&wanted);
        }
        for (name, cluster) in wanted {
            if !self.tasks.contains_key(&name) {
                let task = Task {
                    cluster: cluster.clone(),
                    tos: self.tos,
                    files: self.files.clone(),
                    known: self.known.clone(),
                };
                let task = tokio::spawn(task.run(self.found.clone()));
                self.tasks.insert(name, (cluster, task.abort_handle()));
            }
        }
    }

    /// Forgets names that no cluster has.
    fn forget(&self, wanted: &BTreeMap<Arc<str>, Arc<Cluster>>) {
        let names: BTreeSet<&str> = wanted
            .values()
            .filter_map(|cluster| match &cluster.discovery {
                Discovery::StrictDns { endpoints, .. } => Some(endpoints.names()),
                _ => None,
            })
            .flatten()
            .collect();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(name, _), _| names.contains(name.as_str()));
    }
}

/// Resolves the names of one cluster again and again.
struct Task {
    cluster: Arc<Cluster>,
    tos: Option<u32>,
    files: Files,
    known: Known,
}

impl Task {
    async fn run(self, found: UnboundedSender<Resolution>) {
        let Discovery::StrictDns { endpoints, refresh, family, .. } = &self.cluster.discovery else { return };
        let names: BTreeSet<&str> = endpoints.names().collect();
        let mut failures = 0;
        loop {
            let asked = names.iter().map(|name| lookup(name, *family, &self.files, self.tos));
            let answers = futures_util::future::join_all(asked).await;
            let failed = answers.iter().any(Result::is_err);
            failures = if failed { failures + 1 } else { 0 };
            let least = answers.iter().flatten().filter_map(|found| found.time).min();
            let addresses = names.iter().zip(answers).map(|(name, answer)| {
                let addresses = self.settle(name, *family, answer);
                ((*name).to_owned(), addresses)
            });
            let addresses = addresses.collect();
            if found.send(Resolution { cluster: self.cluster.name.to_string(), addresses }).is_err() {
                return;
            }
            tokio::time::sleep(pause(refresh, least, failures, fastrand::f64())).await;
        }
    }

    /// What is known of a name after an answer, or after there was none.
    fn settle(&self, name: &str, family: DnsFamily, answer: Result<Found, LookupError>) -> Vec<IpAddr> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name.to_owned(), family);
        match answer {
            Ok(found) => {
                known.insert(key, found.addresses.clone());
                found.addresses
            }
            Err(error) => {
                tracing::debug!("cluster `{}`: `{name}`: {error}", self.cluster.name);
                known.get(&key).cloned().unwrap_or_default()
            }
        }
    }
}

/// When names are asked for again. `random` is from 0 to 1.
fn pause(refresh: &Refresh, least: Option<Duration>, failures: u32, random: f64) -> Duration {
    if failures > 0 {
        let Some((first, longest)) = refresh.after_failure else { return refresh.rate };
        let step = first.saturating_mul(2_u32.saturating_pow(failures - 1)).min(longest);
        // Envoy's back-off: anything up to the step.
        return step.mul_f64(random).max(first.min(SHORTEST));
    }
    let time = least.filter(|time| refresh.respects_ttl && !time.is_zero()).unwrap_or(refresh.rate);
    time.max(SHORTEST.min(refresh.rate)) + refresh.jitter.mul_f64(random)
}
