//! Listeners of a gateway.

use xds::envoy::config::core::v3::TrafficDirection;
use xds::envoy::config::listener::v3::{FilterChain, Listener};
use xds::origin::Origin;
use xds::resource::Resource;

use super::http::{self, Routes, Side};
use super::{Reporter, TcpChain, origin_metadata, resource, tls_inspector};
use crate::address::socket;
use crate::memo::Shared;
use crate::node::Facets;
use crate::telemetry::for_listener;

/// All that a gateway's listener is made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct GatewayKey {
    pub(crate) facets: Shared<Facets>,
    pub(crate) bind: String,
    /// The port of the pod.
    pub(crate) port: u16,
    /// The route configuration, when its servers speak HTTP.
    pub(crate) routes: Option<String>,
    pub(crate) chains: Vec<TcpChain>,
    pub(crate) origin: Origin,
}

impl GatewayKey {
    pub(crate) fn name(&self) -> String {
        format!("{}_{}", self.bind, self.port)
    }

    pub(crate) fn build(&self) -> Resource {
        let extensions = &self.facets.extensions;
        let http = self.routes.as_ref().and_then(|routes| {
            let prefix = format!("outbound_{};", self.name());
            let filter = http::filter(&self.facets, Side::Gateway, &prefix, Routes::Named(routes.clone()))?;
            Some(FilterChain {
                filters: vec![filter],
                metadata: origin_metadata(&self.origin),
                ..FilterChain::default()
            })
        });
        let tcp = self.chains.iter().filter_map(|chain| chain.build(&self.facets, Reporter::Source));
        let speaks_http = http.is_some();
        let filter_chains: Vec<FilterChain> = http.into_iter().chain(tcp).collect();
        let by_name = self.chains.iter().any(|chain| !chain.server_names.is_empty());
        let listener = Listener {
            name: self.name(),
            address: Some(socket(&self.bind, self.port)),
            filter_chains,
            listener_filters: tls_inspector(extensions, None).filter(|_| by_name).into_iter().collect(),
            traffic_direction: TrafficDirection::Outbound.into(),
            access_log: for_listener(&self.facets),
            metadata: origin_metadata(&self.origin),
            ..Listener::default()
        };
        resource(&listener, self.routes.iter().filter(|_| speaks_http))
    }
}
