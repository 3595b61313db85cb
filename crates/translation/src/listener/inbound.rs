//! The listener for what comes to the own application.

use xds::envoy::config::core::v3::TrafficDirection;
use xds::envoy::config::listener::v3::{FilterChain, FilterChainMatch, Listener};
use xds::envoy::config::route::v3::{
    Decorator, RetryPolicy, Route, RouteConfiguration, VirtualHost, route::Action,
};
use xds::envoy::extensions::filters::listener::original_dst::v3::OriginalDst;
use xds::origin::Origin;
use xds::resource::Resource;

use super::http::{self, Routes, Side};
use super::{
    Reporter, connection, disabled_on, http_inspector, listener_filter, origin_metadata, plain_http, resource,
};
use crate::address::socket;
use crate::cluster::{BLACK_HOLE, INBOUND_PASSTHROUGH, inbound_name};
use crate::memo::Shared;
use crate::mesh::INBOUND_PORT;
use crate::node::Facets;
use crate::protocol::Protocol;
use crate::route::{configuration, everything, to_cluster};
use crate::telemetry::for_listener;

/// The transport of connections without TLS.
const RAW: &str = "raw_buffer";
/// Any transport.
const ANY: &str = "";

/// All that the listener is made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct VirtualInboundKey {
    pub(crate) facets: Shared<Facets>,
    pub(crate) ports: Vec<InboundPort>,
}

/// A port of the own application.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct InboundPort {
    /// The port that connections come to.
    pub(crate) port: u16,
    pub(crate) protocol: Protocol,
    /// The service's host and port.
    pub(crate) host: String,
    pub(crate) service_port: u16,
    pub(crate) origin: Origin,
}

/// The filters of a chain, and which connections it takes among those of its
/// port. A chain with mesh TLS would be one more of these.
struct Variant {
    /// Empty for any.
    transport: &'static str,
    application_protocols: Vec<String>,
    filters: Option<Vec<xds::envoy::config::listener::v3::Filter>>,
}

impl VirtualInboundKey {
    pub(crate) fn build(&self) -> Resource {
        let extensions = &self.facets.extensions;
        let mut chains: Vec<FilterChain> = self.own_port_chain().into_iter().collect();
        for port in &self.ports {
            chains.extend(self.port_chains(port));
        }
        chains.extend(self.unknown_chains());
        let declared: Vec<u16> = self
            .ports
            .iter()
            .filter(|port| port.protocol != Protocol::Detected)
            .map(|port| port.port)
            .collect();
        let original =
            listener_filter(extensions, "envoy.filters.listener.original_dst", &OriginalDst::default(), None);
        let inspector = http_inspector(extensions, disabled_on(&declared));
        let listener = Listener {
            name: "virtualInbound".to_owned(),
            address: Some(socket("0.0.0.0", INBOUND_PORT)),
            filter_chains: chains,
            listener_filters: original.into_iter().chain(inspector).collect(),
            listener_filters_timeout: Some(prost_types::Duration::default()),
            continue_on_listener_filters_timeout: true,
            traffic_direction: TrafficDirection::Inbound.into(),
            access_log: for_listener(&self.facets),
            ..Listener::default()
        };
        resource(&listener, [])
    }

    /// A connection to the capture port itself would go round for ever.
    fn own_port_chain(&self) -> Option<FilterChain> {
        let targets = vec![(BLACK_HOLE.to_owned(), 1)];
        Some(FilterChain {
            name: "virtualInbound-blackhole".to_owned(),
            filter_chain_match: Some(FilterChainMatch {
                destination_port: Some(u32::from(INBOUND_PORT)),
                ..FilterChainMatch::default()
            }),
            filters: connection::filters(&self.facets, Reporter::Destination, BLACK_HOLE, &targets, None)?,
            ..FilterChain::default()
        })
    }

    fn port_chains(&self, port: &InboundPort) -> Vec<FilterChain> {
        self.variants(port)
            .into_iter()
            .filter_map(|variant| {
                Some(FilterChain {
                    name: format!("0.0.0.0_{}", port.port),
                    filter_chain_match: Some(FilterChainMatch {
                        destination_port: Some(u32::from(port.port)),
                        transport_protocol: variant.transport.to_owned(),
                        application_protocols: variant.application_protocols,
                        ..FilterChainMatch::default()
                    }),
                    filters: variant.filters?,
                    metadata: origin_metadata(&port.origin),
                    ..FilterChain::default()
                })
            })
            .collect()
    }

    fn variants(&self, port: &InboundPort) -> Vec<Variant> {
        let cluster = inbound_name(port.port);
        let http = |transport, application_protocols| Variant {
            transport,
            application_protocols,
            filters: self.http(&cluster, &format!("0.0.0.0_{}", port.port), Some(port)),
        };
        let tcp =
            |transport| Variant { transport, application_protocols: Vec::new(), filters: self.tcp(&cluster) };
        match port.protocol {
            // A connection that matches a chain's transport is not compared with those of any transport.
            Protocol::Detected => vec![http(RAW, plain_http()), tcp(RAW), tcp(ANY)],
            protocol if protocol.is_http() => vec![http(ANY, Vec::new())],
            _ => vec![tcp(ANY)],
        }
    }

    fn unknown_chains(&self) -> Vec<FilterChain> {
        let http = self.http(INBOUND_PASSTHROUGH, "0.0.0.0_0", None).map(|filters| FilterChain {
            name: "virtualInbound-catchall-http".to_owned(),
            filter_chain_match: Some(FilterChainMatch {
                transport_protocol: RAW.to_owned(),
                application_protocols: plain_http(),
                ..FilterChainMatch::default()
            }),
            filters,
            ..FilterChain::default()
        });
        let tcp = [RAW, ANY].into_iter().filter_map(|transport| {
            Some(FilterChain {
                name: "virtualInbound".to_owned(),
                filter_chain_match: Some(FilterChainMatch {
                    transport_protocol: transport.to_owned(),
                    ..FilterChainMatch::default()
                }),
                filters: self.tcp(INBOUND_PASSTHROUGH)?,
                ..FilterChain::default()
            })
        });
        http.into_iter().chain(tcp).collect()
    }

    fn tcp(&self, cluster: &str) -> Option<Vec<xds::envoy::config::listener::v3::Filter>> {
        let targets = vec![(cluster.to_owned(), 1)];
        connection::filters(&self.facets, Reporter::Destination, cluster, &targets, None)
    }

    fn http(
        &self,
        cluster: &str,
        address: &str,
        port: Option<&InboundPort>,
    ) -> Option<Vec<xds::envoy::config::listener::v3::Filter>> {
        let routes = Routes::Inline(Box::new(routes(cluster, port)));
        let prefix = format!("inbound_{address};");
        Some(vec![http::filter(&self.facets, Side::Inbound, &prefix, routes)?])
    }
}

fn routes(cluster: &str, port: Option<&InboundPort>) -> RouteConfiguration {
    let number = port.map_or(0, |port| port.service_port);
    let operation = match port {
        Some(port) => format!("{}:{}/*", port.host, port.service_port),
        None => ":0/*".to_owned(),
    };
    let mut action = to_cluster(cluster);
    // The application may close a kept connection at the moment it is used.
    action.retry_policy = Some(RetryPolicy {
        retry_on: "reset-before-request".to_owned(),
        num_retries: Some(2),
        ..RetryPolicy::default()
    });
    let host = VirtualHost {
        name: format!("inbound|http|{number}"),
        domains: vec!["*".to_owned()],
        routes: vec![Route {
            name: "default".to_owned(),
            r#match: Some(everything()),
            metadata: port.and_then(|port| origin_metadata(&port.origin)),
            decorator: Some(Decorator { operation, propagate: None }),
            action: Some(Action::Route(action)),
            ..Route::default()
        }],
        ..VirtualHost::default()
    };
    configuration(cluster, vec![host])
}
