//! Clusters with their shares, and who is behind them.

use std::net::SocketAddr;

use routing::cluster::{Cluster, Discovery};
use routing::config::Config;
use routing::endpoint::Endpoint;
use routing::header_mutation::HeaderMutations;
use routing::route::{Forward, Target, WeightedCluster};

use super::resolve::OUTSIDE;
use super::view::{Destination, EndpointView, header_changes, host_rewrite};
use super::{Locate, place};

/// A cluster, its weight, and what else the route says of it.
pub(super) type Share<'a> = (&'a str, u64, Option<&'a WeightedCluster>);

/// What destinations are looked up in.
pub(super) struct Scene<'a> {
    pub(super) config: &'a Config,
    pub(super) destination: SocketAddr,
    pub(super) host: &'a str,
    pub(super) locate: Locate<'a>,
}

/// Every cluster that the route names, with its weight.
pub(super) fn share_of_each<'a>(options: &'a Forward, chosen: &'a str) -> Vec<Share<'a>> {
    match &options.target {
        Target::Weighted(weighted) => weighted
            .clusters
            .iter()
            .map(|cluster| (&*cluster.name, u64::from(cluster.weight), Some(cluster)))
            .collect(),
        Target::Cluster(_) | Target::Header(_) => vec![(chosen, 1, None)],
    }
}

impl Scene<'_> {
    /// The destinations of all shares.
    pub(super) fn destinations(&self, shares: Vec<Share<'_>>) -> Vec<Destination> {
        let total: u64 = shares.iter().map(|(_, weight, _)| weight).sum();
        shares
            .into_iter()
            .map(|(name, weight, weighted)| {
                let cluster = self.config.cluster(name);
                let origin = cluster.and_then(|cluster| cluster.origin.as_ref());
                let changes = |of: fn(&WeightedCluster) -> &HeaderMutations| {
                    weighted.map(of).map(header_changes).unwrap_or_default()
                };
                Destination {
                    cluster: name.to_owned(),
                    percent: weight as f64 * 100.0 / total.max(1) as f64,
                    exists: cluster.is_some(),
                    defined_by: origin.map(|origin| place(origin, self.locate)),
                    endpoints: cluster.map(|cluster| self.endpoints(cluster)).unwrap_or_default(),
                    host: weighted.and_then(|weighted| weighted.host_rewrite.as_ref()).map(host_rewrite),
                    request_headers: changes(|weighted| &weighted.request_headers),
                    response_headers: changes(|weighted| &weighted.response_headers),
                }
            })
            .collect()
    }

    fn endpoints(&self, cluster: &Cluster) -> Vec<EndpointView> {
        match &cluster.discovery {
            Discovery::OriginalDestination { port, .. } => {
                let port = port.unwrap_or(self.destination.port());
                // An address that stands for any: the client knows the real one.
                let address = match self.destination.ip() == OUTSIDE {
                    true => format!("{}:{port}", self.host),
                    false => SocketAddr::new(self.destination.ip(), port).to_string(),
                };
                vec![EndpointView { address, workload: None }]
            }
            Discovery::StrictDns { endpoints, .. } => endpoints.list.iter().map(view).collect(),
            Discovery::Static(_) | Discovery::Eds(_) => {
                self.config.candidates(cluster).into_iter().map(view).collect()
            }
        }
    }
}

fn view(endpoint: &Endpoint) -> EndpointView {
    let workload = endpoint.workload.as_deref().and_then(|workload| workload.split(';').next());
    EndpointView {
        address: endpoint.address.to_string(),
        workload: workload.filter(|workload| !workload.is_empty()).map(str::to_owned),
    }
}
