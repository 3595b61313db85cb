//! The listener for what comes to the own application.

use resources::peer_authentication::MutualTlsMode as Mode;
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
    Reporter, connection, disabled_on, http_inspector, listener_filter, origin_metadata, plain_http,
    resource, tls_inspector,
};
use crate::address::socket;
use crate::cluster::{BLACK_HOLE, INBOUND_PASSTHROUGH, inbound_name};
use crate::memo::Shared;
use crate::mesh::INBOUND_PORT;
use crate::mutual_tls::{self, HTTP_PROTOCOLS, TCP_PROTOCOLS};
use crate::node::Facets;
use crate::protocol::Protocol;
use crate::route::{configuration, everything, to_cluster};
use crate::snapshot::Policies;
use crate::telemetry::for_listener;

/// The transport of connections without TLS.
const RAW: &str = "raw_buffer";
/// The transport of connections with TLS.
const TLS: &str = "tls";
/// Any transport.
const ANY: &str = "";

/// All that the listener is made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct VirtualInboundKey {
    pub(crate) facets: Shared<Facets>,
    pub(crate) ports: Vec<InboundPort>,
    /// What ports take, where the proxy has a certificate of the mesh.
    pub(crate) policies: Option<Shared<Policies>>,
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

/// What a chain does, and which connections it takes among those of its port.
#[derive(Debug, Clone)]
struct Variant {
    /// Empty for any.
    transport: &'static str,
    application_protocols: Vec<String>,
    is_http: bool,
    /// TLS ends here.
    ends_tls: bool,
}

impl Variant {
    fn plain(transport: &'static str, application_protocols: Vec<String>, is_http: bool) -> Self {
        Self { transport, application_protocols, is_http, ends_tls: false }
    }

    fn mutual(application_protocols: Vec<String>, is_http: bool) -> Self {
        Self { transport: TLS, application_protocols, is_http, ends_tls: true }
    }
}

fn names(protocols: &[&str]) -> Vec<String> {
    protocols.iter().map(ToString::to_string).collect()
}

/// The chains of a port: in the clear or in the mesh's TLS, as what is asked
/// for tells.
fn variants(mode: Mode, protocol: Protocol) -> Vec<Variant> {
    let http = protocol.is_http();
    let all = [&HTTP_PROTOCOLS[..], &TCP_PROTOCOLS].concat();
    match (mode, protocol) {
        // A connection that matches a chain's transport is not compared with those of any transport.
        (Mode::Disable, Protocol::Detected) => vec![
            Variant::plain(RAW, plain_http(), true),
            Variant::plain(RAW, Vec::new(), false),
            Variant::plain(ANY, Vec::new(), false),
        ],
        (Mode::Disable, _) => vec![Variant::plain(ANY, Vec::new(), http)],
        (Mode::Strict, Protocol::Detected) => {
            vec![Variant::mutual(names(&HTTP_PROTOCOLS), true), Variant::mutual(Vec::new(), false)]
        }
        (Mode::Strict, _) => vec![Variant::mutual(Vec::new(), http)],
        (_, Protocol::Detected) => vec![
            Variant::mutual(names(&HTTP_PROTOCOLS), true),
            Variant::plain(RAW, plain_http(), true),
            Variant::mutual(names(&TCP_PROTOCOLS), false),
            Variant::plain(RAW, Vec::new(), false),
            Variant::plain(TLS, Vec::new(), false),
        ],
        _ if http => vec![Variant::mutual(names(&all), true), Variant::plain(RAW, Vec::new(), true)],
        _ => vec![
            Variant::mutual(names(&all), false),
            Variant::plain(RAW, Vec::new(), false),
            // The application's own TLS.
            Variant::plain(TLS, Vec::new(), false),
        ],
    }
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
        let http = http_inspector(extensions, disabled_on(&declared));
        let tls = tls_inspector(extensions, None).filter(|_| self.policies.is_some());
        let listener = Listener {
            name: "virtualInbound".to_owned(),
            address: Some(socket("0.0.0.0", INBOUND_PORT)),
            filter_chains: chains,
            listener_filters: original.into_iter().chain(tls).chain(http).collect(),
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

    /// What connections to a port may be.
    fn mode(&self, port: u16) -> Mode {
        self.policies.as_ref().map_or(Mode::Disable, |policies| policies.mode(&self.facets.labels, port))
    }

    fn port_chains(&self, port: &InboundPort) -> Vec<FilterChain> {
        let cluster = inbound_name(port.port);
        let name = format!("0.0.0.0_{}", port.port);
        let chain = |variant: Variant| {
            let filters = match variant.is_http {
                true => self.http(&cluster, &name, Some(port)),
                false => self.tcp(&cluster),
            };
            let mut chain = self.chain(variant, filters?)?;
            chain.name.clone_from(&name);
            chain.metadata = origin_metadata(&port.origin);
            let condition = chain.filter_chain_match.get_or_insert_default();
            condition.destination_port = Some(u32::from(port.port));
            Some(chain)
        };
        variants(self.mode(port.port), port.protocol).into_iter().filter_map(chain).collect()
    }

    /// A chain without a port; `None` when the proxy cannot do what it should.
    fn chain(
        &self,
        variant: Variant,
        filters: Vec<xds::envoy::config::listener::v3::Filter>,
    ) -> Option<FilterChain> {
        let domain = self.facets.mesh_config.trust_domain();
        let transport_socket = match variant.ends_tls {
            true => Some(mutual_tls::inbound(&self.facets.extensions, domain, variant.is_http)?),
            false => None,
        };
        Some(FilterChain {
            filter_chain_match: Some(FilterChainMatch {
                transport_protocol: variant.transport.to_owned(),
                application_protocols: variant.application_protocols,
                ..FilterChainMatch::default()
            }),
            filters,
            transport_socket,
            ..FilterChain::default()
        })
    }

    /// Chains for ports without a service: those that a policy names, then
    /// all others.
    fn unknown_chains(&self) -> Vec<FilterChain> {
        let mut chains = Vec::new();
        let labels = &self.facets.labels;
        let named = self.policies.iter().flat_map(|policies| policies.named_ports(labels));
        for port in named.filter(|port| !self.ports.iter().any(|own| own.port == *port)) {
            for mut chain in self.passthrough_chains(self.mode(port)) {
                let condition = chain.filter_chain_match.get_or_insert_default();
                condition.destination_port = Some(u32::from(port));
                chains.push(chain);
            }
        }
        let policies = self.policies.as_ref();
        let mode = policies.map_or(Mode::Disable, |policies| policies.mode_of_others(labels));
        chains.extend(self.passthrough_chains(mode));
        chains
    }

    fn passthrough_chains(&self, mode: Mode) -> Vec<FilterChain> {
        let chain = |variant: Variant| {
            let (name, filters) = match variant.is_http {
                true => ("virtualInbound-catchall-http", self.http(INBOUND_PASSTHROUGH, "0.0.0.0_0", None)),
                false => ("virtualInbound", self.tcp(INBOUND_PASSTHROUGH)),
            };
            let chain = self.chain(variant, filters?)?;
            Some(FilterChain { name: name.to_owned(), ..chain })
        };
        variants(mode, Protocol::Detected).into_iter().filter_map(chain).collect()
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
