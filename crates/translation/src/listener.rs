//! Listeners: where connections arrive and which filters take them.

mod connection;
mod gateway;
mod http;
mod inbound;
mod outbound;

pub(crate) use gateway::{GatewayKey, HttpsChain};
pub(crate) use inbound::{InboundPort, VirtualInboundKey};
pub(crate) use outbound::{OutboundKey, OutboundShape, VirtualOutboundKey};

use prost::{Message, Name};
use xds::envoy::config::core::v3::Metadata;
use xds::envoy::config::listener::v3::listener_filter_chain_match_predicate::{MatchSet, Rule};
use xds::envoy::config::listener::v3::{
    FilterChain, FilterChainMatch, Listener, ListenerFilter, ListenerFilterChainMatchPredicate, filter,
    listener_filter,
};
use xds::envoy::extensions::filters::listener::http_inspector::v3::HttpInspector;
use xds::envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector;
use xds::envoy::r#type::v3::Int32Range;
use xds::origin::Origin;
use xds::resource::{Follow, Resource};
use xds::type_url;

use crate::address;
use crate::extensions::Extensions;
use crate::node::Facets;
use crate::server_tls::Secured;
use crate::telemetry::Reporter;

/// A chain of filters for some connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TcpChain {
    /// Server names of the handshake; empty for any.
    pub(crate) server_names: Vec<String>,
    /// Destination addresses; empty for any.
    pub(crate) ranges: Vec<String>,
    /// Clusters and their shares.
    pub(crate) targets: Vec<(String, u32)>,
    /// What statistics call it.
    pub(crate) stat_prefix: String,
    /// How long a connection may be idle, when a rule says it.
    pub(crate) idle: Option<std::time::Duration>,
    /// Where TLS ends here: as this server says.
    pub(crate) secured: Option<Secured>,
    pub(crate) origin: Origin,
}

impl TcpChain {
    /// Everything to one cluster.
    pub(crate) fn to(cluster: &str, origin: Origin) -> Self {
        Self {
            server_names: Vec::new(),
            ranges: Vec::new(),
            targets: vec![(cluster.to_owned(), 1)],
            stat_prefix: cluster.to_owned(),
            idle: None,
            secured: None,
            origin,
        }
    }

    fn is_narrowed(&self) -> bool {
        !self.server_names.is_empty() || !self.ranges.is_empty()
    }

    fn build(&self, facets: &Facets, reporter: Reporter) -> Option<FilterChain> {
        let filters = connection::filters(facets, reporter, &self.stat_prefix, &self.targets, self.idle)?;
        let condition = FilterChainMatch {
            server_names: self.server_names.clone(),
            prefix_ranges: self.ranges.iter().filter_map(|text| address::range(text)).collect(),
            ..FilterChainMatch::default()
        };
        let transport_socket = match &self.secured {
            Some(secured) => Some(secured.socket(facets, false)?),
            None => None,
        };
        Some(FilterChain {
            filter_chain_match: self.is_narrowed().then_some(condition),
            filters,
            transport_socket,
            metadata: Some(self.origin.to_metadata()),
            ..FilterChain::default()
        })
    }
}

/// What the HTTP inspector finds in clear-text HTTP.
fn plain_http() -> Vec<String> {
    vec!["http/1.1".to_owned(), "h2c".to_owned()]
}

/// Ports on which a listener filter has nothing to do.
fn disabled_on(ports: &[u16]) -> Option<ListenerFilterChainMatchPredicate> {
    let mut rules = ports.iter().map(|port| ListenerFilterChainMatchPredicate {
        rule: Some(Rule::DestinationPortRange(Int32Range {
            start: i32::from(*port),
            end: i32::from(*port) + 1,
        })),
    });
    match ports.len() {
        0 => None,
        1 => rules.next(),
        _ => Some(ListenerFilterChainMatchPredicate {
            rule: Some(Rule::OrMatch(MatchSet { rules: rules.collect() })),
        }),
    }
}

fn listener_filter<M: Message + Name>(
    extensions: &Extensions,
    name: &str,
    config: &M,
    filter_disabled: Option<ListenerFilterChainMatchPredicate>,
) -> Option<ListenerFilter> {
    Some(ListenerFilter {
        name: name.to_owned(),
        filter_disabled,
        config_type: Some(listener_filter::ConfigType::TypedConfig(extensions.pack(config)?)),
    })
}

fn http_inspector(
    extensions: &Extensions,
    disabled: Option<ListenerFilterChainMatchPredicate>,
) -> Option<ListenerFilter> {
    listener_filter(extensions, "envoy.filters.listener.http_inspector", &HttpInspector::default(), disabled)
}

fn tls_inspector(
    extensions: &Extensions,
    disabled: Option<ListenerFilterChainMatchPredicate>,
) -> Option<ListenerFilter> {
    listener_filter(extensions, "envoy.filters.listener.tls_inspector", &TlsInspector::default(), disabled)
}

/// A network filter.
fn network_filter<M: Message + Name>(
    extensions: &Extensions,
    name: &str,
    config: &M,
) -> Option<xds::envoy::config::listener::v3::Filter> {
    Some(xds::envoy::config::listener::v3::Filter {
        name: name.to_owned(),
        config_type: Some(filter::ConfigType::TypedConfig(extensions.pack(config)?)),
    })
}

/// The listener as a resource that its routes follow.
fn resource<'a>(listener: &Listener, routes: impl IntoIterator<Item = &'a String>) -> Resource {
    let follows = routes.into_iter().map(|name| Follow { type_url: type_url::ROUTE, name: name.clone() });
    Resource::new(listener.name.clone(), listener, follows.collect())
}

fn origin_metadata(origin: &Origin) -> Option<Metadata> {
    Some(origin.to_metadata())
}
