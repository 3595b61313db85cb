//! Filters for opaque connections.

use std::time::Duration;

use xds::envoy::config::listener::v3::Filter;
use xds::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
use xds::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::weighted_cluster::ClusterWeight;
use xds::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::{
    ClusterSpecifier, TcpAccessLogOptions, WeightedCluster,
};
use xds::istio::stats::PluginConfig;

use super::network_filter;
use crate::address::duration;
use crate::node::Facets;
use crate::telemetry::{Reporter, for_tcp, has_stats_filter};

/// The filters that carry bytes to one of `targets`; `None` when the proxy
/// cannot.
pub(super) fn filters(
    facets: &Facets,
    reporter: Reporter,
    stat_prefix: &str,
    targets: &[(String, u32)],
    idle: Option<Duration>,
) -> Option<Vec<Filter>> {
    let mut filters = Vec::new();
    if has_stats_filter(&facets.extensions) {
        filters.extend(network_filter(&facets.extensions, "istio.stats", &PluginConfig::default()));
    }
    let proxy = TcpProxy {
        stat_prefix: stat_prefix.to_owned(),
        cluster_specifier: Some(specifier(targets)),
        idle_timeout: idle.map(duration),
        access_log: for_tcp(facets, reporter),
        // The statistics count a connection when it is made, not when it ends.
        access_log_options: Some(TcpAccessLogOptions {
            flush_access_log_on_connected: true,
            ..TcpAccessLogOptions::default()
        }),
        ..TcpProxy::default()
    };
    filters.push(network_filter(&facets.extensions, "envoy.filters.network.tcp_proxy", &proxy)?);
    Some(filters)
}

fn specifier(targets: &[(String, u32)]) -> ClusterSpecifier {
    match targets {
        [(only, _)] => ClusterSpecifier::Cluster(only.clone()),
        several => {
            let clusters = several
                .iter()
                .map(|(name, weight)| ClusterWeight {
                    name: name.clone(),
                    weight: *weight,
                    ..ClusterWeight::default()
                })
                .collect();
            ClusterSpecifier::WeightedClusters(WeightedCluster { clusters })
        }
    }
}
