//! Listeners of a gateway.

use xds::envoy::config::core::v3::TrafficDirection;
use xds::envoy::config::listener::v3::{FilterChain, FilterChainMatch, Listener};
use xds::origin::Origin;
use xds::resource::Resource;

use super::http::{self, Routes, Side};
use super::{Reporter, TcpChain, origin_metadata, resource, tls_inspector};
use crate::address::socket;
use crate::memo::Shared;
use crate::node::Facets;
use crate::server_tls::{Credential, Secured};
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
    /// HTTP inside TLS that ends here.
    pub(crate) https: Vec<HttpsChain>,
    pub(crate) chains: Vec<TcpChain>,
    pub(crate) origin: Origin,
}

/// HTTP inside TLS that ends at the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct HttpsChain {
    /// Server names of the handshake; empty for any.
    pub(crate) server_names: Vec<String>,
    /// The route configuration.
    pub(crate) routes: String,
    pub(crate) secured: Secured,
    pub(crate) origin: Origin,
}

impl GatewayKey {
    /// The Secrets that it names.
    pub(crate) fn credentials(&self) -> Vec<Credential> {
        let https = self.https.iter().map(|chain| &chain.secured);
        let tcp = self.chains.iter().filter_map(|chain| chain.secured.as_ref());
        https.chain(tcp).flat_map(Secured::credentials).collect()
    }

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
        let https: Vec<FilterChain> =
            self.https.iter().filter_map(|chain| chain.build(&self.facets, &self.name())).collect();
        let tcp = self.chains.iter().filter_map(|chain| chain.build(&self.facets, Reporter::Source));
        let speaks_http = http.is_some();
        let by_name = !https.is_empty() || self.chains.iter().any(|chain| !chain.server_names.is_empty());
        let filter_chains: Vec<FilterChain> = http.into_iter().chain(https).chain(tcp).collect();
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
        let routes = self.routes.iter().filter(|_| speaks_http);
        resource(&listener, routes.chain(self.https.iter().map(|chain| &chain.routes)))
    }
}

impl HttpsChain {
    /// `None` when the proxy cannot, or there is no certificate to show.
    fn build(&self, facets: &Facets, listener: &str) -> Option<FilterChain> {
        let prefix = format!("outbound_{listener};");
        let filter = http::filter(facets, Side::Gateway, &prefix, Routes::Named(self.routes.clone()))?;
        Some(FilterChain {
            filter_chain_match: Some(FilterChainMatch {
                server_names: self.server_names.clone(),
                transport_protocol: "tls".to_owned(),
                ..FilterChainMatch::default()
            }),
            filters: vec![filter],
            transport_socket: Some(self.secured.socket(facets, true)?),
            metadata: origin_metadata(&self.origin),
            ..FilterChain::default()
        })
    }
}
