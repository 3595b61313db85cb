//! The TCP proxy: connections that go to a cluster as they are.

use std::sync::Arc;
use std::time::Duration;

use xds::envoy::extensions::filters::network::tcp_proxy::v3 as wire;
use xds::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::ClusterSpecifier;

use crate::access_log::AccessLog;
use crate::invalid::Invalid;
use crate::message::duration;

/// A compiled TCP proxy.
#[derive(Debug, Clone)]
pub struct TcpProxy {
    /// The prefix of its statistics.
    pub stat_prefix: Box<str>,
    /// The clusters with their weights; one has any weight.
    pub clusters: Box<[(Arc<str>, u32)]>,
    /// How long nothing may move.
    pub idle_timeout: Option<Duration>,
    /// How often connecting is tried.
    pub max_connect_attempts: u32,
    /// How long a connection may exist.
    pub max_duration: Option<Duration>,
    /// Where connections are recorded.
    pub access_log: Box<[AccessLog]>,
    /// Loggers that are not known here.
    pub skipped: Vec<String>,
}

const IDLE: Duration = Duration::from_secs(3600);

impl TcpProxy {
    /// Compiles the filter's message.
    pub fn compile(wire: &wire::TcpProxy) -> Result<TcpProxy, Invalid> {
        if wire.tunneling_config.is_some() {
            return Err(Invalid::new("tunneling_config", "is not supported"));
        }
        let clusters: Box<[(Arc<str>, u32)]> = match &wire.cluster_specifier {
            Some(ClusterSpecifier::Cluster(name)) if !name.is_empty() => {
                Box::new([(name.as_str().into(), 1)])
            }
            Some(ClusterSpecifier::WeightedClusters(weighted)) => weighted
                .clusters
                .iter()
                .map(|cluster| (cluster.name.as_str().into(), cluster.weight))
                .collect(),
            _ => return Err(Invalid::new("cluster", "is missing")),
        };
        if clusters.iter().all(|(_, weight)| *weight == 0) {
            return Err(Invalid::new("weighted_clusters", "have no weight at all"));
        }
        let (access_log, skipped) = AccessLog::compile_all(&wire.access_log)?;
        Ok(TcpProxy {
            stat_prefix: wire.stat_prefix.as_str().into(),
            clusters,
            idle_timeout: match &wire.idle_timeout {
                None => Some(IDLE),
                Some(limit) => duration(limit).filter(|limit| !limit.is_zero()),
            },
            max_connect_attempts: wire.max_connect_attempts.unwrap_or(1).max(1),
            max_duration: wire.max_downstream_connection_duration.as_ref().and_then(duration),
            access_log,
            skipped,
        })
    }

    /// The cluster that a random number falls on.
    pub fn cluster(&self, random: u64) -> Option<&Arc<str>> {
        if let [(only, _)] = &*self.clusters {
            return Some(only);
        }
        let total: u64 = self.clusters.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mut point = random % total.max(1);
        self.clusters.iter().find_map(|(name, weight)| {
            let weight = u64::from(*weight);
            let found = point < weight;
            point = point.saturating_sub(weight);
            found.then_some(name)
        })
    }
}
