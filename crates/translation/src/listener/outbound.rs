//! Listeners for what the own application connects to.

use xds::envoy::config::core::v3::TrafficDirection;
use xds::envoy::config::listener::v3::{AdditionalAddress, FilterChain, FilterChainMatch, Listener};
use xds::origin::Origin;
use xds::resource::Resource;

use super::http::{self, Routes, Side};
use super::{
    Reporter, TcpChain, connection, http_inspector, origin_metadata, plain_http, resource, tls_inspector,
};
use crate::address::socket;
use crate::cluster::{BLACK_HOLE, PASSTHROUGH};
use crate::memo::Shared;
use crate::mesh::OUTBOUND_PORT;
use crate::node::Facets;
use crate::route::HTTP_PROXY;
use crate::scope::Unknown;
use crate::telemetry::for_listener;

/// All that the listener for captured connections is made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct VirtualOutboundKey {
    pub(crate) facets: Shared<Facets>,
    pub(crate) unknown: Unknown,
}

impl VirtualOutboundKey {
    /// The listener that hands each connection to the one of its destination,
    /// and keeps those that have none.
    pub(crate) fn build(&self) -> Resource {
        let port = u32::from(OUTBOUND_PORT);
        let loops = connection::filters(&self.facets, Reporter::Source, BLACK_HOLE, &to(BLACK_HOLE), None);
        let own = loops.map(|filters| FilterChain {
            name: "virtualOutbound-blackhole".to_owned(),
            filter_chain_match: Some(FilterChainMatch {
                destination_port: Some(port),
                ..FilterChainMatch::default()
            }),
            filters,
            ..FilterChain::default()
        });
        let unknown = unknown_chain(&self.facets, &self.unknown, "virtualOutbound-catchall-tcp");
        let listener = Listener {
            name: "virtualOutbound".to_owned(),
            address: Some(socket("0.0.0.0", OUTBOUND_PORT)),
            use_original_dst: Some(true),
            filter_chains: own.into_iter().chain(unknown).collect(),
            traffic_direction: TrafficDirection::Outbound.into(),
            access_log: for_listener(&self.facets),
            ..Listener::default()
        };
        resource(&listener, [])
    }
}

/// All that the listener of one destination port or address is made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct OutboundKey {
    pub(crate) facets: Shared<Facets>,
    pub(crate) shape: Shared<OutboundShape>,
}

/// The part of a listener that is the same for many nodes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct OutboundShape {
    /// Addresses; the first gives the name.
    pub(crate) addresses: Vec<String>,
    pub(crate) port: u16,
    /// The route configuration, when HTTP is expected.
    pub(crate) routes: Option<String>,
    /// Everything else.
    pub(crate) chains: Vec<TcpChain>,
    /// What takes connections that are neither; `None` when they are refused.
    pub(crate) unknown: Option<Unknown>,
    /// Applications connect to the listener itself.
    pub(crate) binds: bool,
    pub(crate) origin: Origin,
}

impl OutboundShape {
    pub(crate) fn name(&self) -> String {
        format!("{}_{}", self.addresses.first().map_or("0.0.0.0", String::as_str), self.port)
    }
}

impl OutboundKey {
    pub(crate) fn build(&self) -> Resource {
        let (extensions, shape) = (&self.facets.extensions, &*self.shape);
        let mut listener = Listener {
            name: shape.name(),
            traffic_direction: TrafficDirection::Outbound.into(),
            bind_to_port: (!shape.binds).then_some(false),
            access_log: for_listener(&self.facets),
            metadata: origin_metadata(&shape.origin),
            ..Listener::default()
        };
        let mut addresses = shape.addresses.iter().map(|address| socket(address, shape.port));
        listener.address = addresses.next();
        listener.additional_addresses = addresses
            .map(|address| AdditionalAddress { address: Some(address), ..AdditionalAddress::default() })
            .collect();
        let http = shape.routes.as_ref().and_then(|routes| self.http_chain(routes));
        let has_http = http.is_some();
        let looks = has_http && !self.is_http_proxy();
        listener.filter_chains.extend(http);
        for chain in &shape.chains {
            let built = chain.build(&self.facets, Reporter::Source);
            // What matches everything else stands apart, so that the order does not matter.
            if chain.is_narrowed()
                || !looks && listener.default_filter_chain.is_none() && shape.chains.len() == 1
            {
                listener.filter_chains.extend(built);
            } else if listener.default_filter_chain.is_none() {
                listener.default_filter_chain = built;
            }
        }
        if listener.default_filter_chain.is_none()
            && let Some(unknown) = &shape.unknown
        {
            listener.default_filter_chain = unknown_chain(&self.facets, unknown, "PassthroughFilterChain");
        }
        if looks || shape.chains.iter().any(|chain| !chain.server_names.is_empty()) {
            listener.listener_filters.extend(tls_inspector(extensions, None));
            listener.listener_filters.extend(http_inspector(extensions, None).filter(|_| looks));
            listener.listener_filters_timeout = Some(prost_types::Duration::default());
            listener.continue_on_listener_filters_timeout = true;
        }
        resource(&listener, shape.routes.iter().filter(|_| has_http))
    }

    fn http_chain(&self, routes: &str) -> Option<FilterChain> {
        let shape = &self.shape;
        let prefix = format!("outbound_{};", shape.name());
        let filter = http::filter(
            &self.facets,
            Side::Outbound,
            Reporter::Source,
            &prefix,
            Routes::Named(routes.to_owned()),
        )?;
        Some(FilterChain {
            filter_chain_match: (!self.is_http_proxy()).then(|| FilterChainMatch {
                transport_protocol: "raw_buffer".to_owned(),
                application_protocols: plain_http(),
                ..FilterChainMatch::default()
            }),
            filters: vec![filter],
            metadata: origin_metadata(&shape.origin),
            ..FilterChain::default()
        })
    }

    /// Whether applications know that they speak HTTP to a proxy.
    fn is_http_proxy(&self) -> bool {
        self.shape.routes.as_deref() == Some(HTTP_PROXY)
    }
}

fn to(cluster: &str) -> Vec<(String, u32)> {
    vec![(cluster.to_owned(), 1)]
}

fn unknown_chain(facets: &Facets, unknown: &Unknown, name: &str) -> Option<FilterChain> {
    let cluster = match unknown {
        Unknown::Pass => PASSTHROUGH,
        Unknown::Block => BLACK_HOLE,
        Unknown::Through(cluster) => cluster,
    };
    Some(FilterChain {
        name: name.to_owned(),
        filters: connection::filters(facets, Reporter::Source, cluster, &to(cluster), None)?,
        ..FilterChain::default()
    })
}
