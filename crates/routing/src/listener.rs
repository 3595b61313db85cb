//! Listeners: where connections arrive, and their filter chains.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prost::{Message as _, Name};
use xds::any::message_name;
use xds::envoy::config::core::v3::TrafficDirection;
use xds::envoy::config::listener::v3 as wire;
use xds::envoy::config::listener::v3::filter::ConfigType;
use xds::envoy::config::listener::v3::listener_filter::ConfigType as ListenerConfigType;
use xds::envoy::config::listener::v3::listener_filter_chain_match_predicate::Rule;
use xds::envoy::extensions::filters::listener::http_inspector::v3::HttpInspector;
use xds::envoy::extensions::filters::listener::original_dst::v3::OriginalDst;
use xds::envoy::extensions::filters::listener::proxy_protocol::v3::ProxyProtocol;
use xds::envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector;
use xds::envoy::extensions::filters::network::connection_limit::v3::ConnectionLimit as WireConnectionLimit;
use xds::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager as WireHcm;
use xds::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy as WireTcpProxy;

use xxhash_rust::xxh3::xxh3_64;

use crate::access_log::AccessLog;
use crate::address::Address;
use crate::connection_limit::ConnectionLimit;
use crate::filter_chain::{FilterChain, FilterChains, Terminal};
use crate::hcm::HttpConnectionManager;
use crate::http_filter::guards_access;
use crate::invalid::{Invalid, Within};
use crate::istio::{self, Stats};
use crate::message::{decode, duration, positive};
use crate::metadata::origin;
use crate::proxy_protocol::Expected;
use crate::tcp_proxy::TcpProxy;
use crate::tls;

/// A compiled listener.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Its name.
    pub name: Arc<str>,
    /// The object that caused it.
    pub origin: Option<xds::origin::Origin>,
    /// Where it listens, or, without `bind_to_port`, which original
    /// destination is handed to it.
    pub addresses: Box<[SocketAddr]>,
    /// Whether a socket is opened.
    pub bind_to_port: bool,
    /// Connections are handed to the listener of their original destination.
    pub use_original_dst: bool,
    /// The original destination is restored.
    pub original_dst: bool,
    /// What stands in front of connections.
    pub proxy_protocol: Option<Expected>,
    /// Whether the connection's own first bytes are looked at.
    pub tls_inspector: Inspector,
    /// Whether HTTP is recognised.
    pub http_inspector: Inspector,
    /// How long inspection may take; `None`: for ever.
    pub inspection_timeout: Option<Duration>,
    /// When it took too long, the connection goes on unrecognised.
    pub continue_on_timeout: bool,
    /// The chains.
    pub chains: FilterChains,
    /// Which side of the workload it serves.
    pub direction: Direction,
    /// Records connections that found no chain.
    pub access_log: Box<[AccessLog]>,
    /// How many bytes of one connection are held.
    pub buffer_limit: usize,
    /// Filters that are configured and not known here: passed over.
    pub skipped: Vec<String>,
}

/// Which side of the workload a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Towards the workload.
    Inbound,
    /// Away from it.
    Outbound,
    /// Not said.
    Unspecified,
}

/// A listener filter that looks at the first bytes.
#[derive(Debug, Clone, Default)]
pub enum Inspector {
    /// There is none.
    #[default]
    Absent,
    /// It looks, unless the predicate holds.
    Present(Option<Predicate>),
}

/// A test of the destination port.
#[derive(Debug, Clone)]
pub enum Predicate {
    /// One holds.
    Or(Box<[Predicate]>),
    /// All hold.
    And(Box<[Predicate]>),
    /// It does not hold.
    Not(Box<Predicate>),
    /// Always, or never.
    Any(bool),
    /// The port lies in this half-open range.
    Port(i32, i32),
}

const BUFFER_LIMIT: u32 = 1 << 20;
const INSPECTION_TIMEOUT: Duration = Duration::from_secs(15);

impl Inspector {
    /// Whether it looks at connections to this port.
    pub fn looks_at(&self, port: u16) -> bool {
        match self {
            Inspector::Absent => false,
            Inspector::Present(None) => true,
            Inspector::Present(Some(disabled)) => !disabled.holds(port),
        }
    }
}

impl Predicate {
    fn compile(wire: &wire::ListenerFilterChainMatchPredicate, depth: usize) -> Result<Predicate, Invalid> {
        if depth > 16 {
            return Err(Invalid::new("filter_disabled", "is nested too deeply"));
        }
        let all = |rules: &[wire::ListenerFilterChainMatchPredicate]| {
            rules.iter().map(|rule| Predicate::compile(rule, depth + 1)).collect::<Result<_, _>>()
        };
        Ok(match &wire.rule {
            Some(Rule::OrMatch(set)) => Predicate::Or(all(&set.rules)?),
            Some(Rule::AndMatch(set)) => Predicate::And(all(&set.rules)?),
            Some(Rule::NotMatch(rule)) => Predicate::Not(Box::new(Predicate::compile(rule, depth + 1)?)),
            Some(Rule::AnyMatch(any)) => Predicate::Any(*any),
            Some(Rule::DestinationPortRange(range)) => Predicate::Port(range.start, range.end),
            None => return Err(Invalid::new("filter_disabled.rule", "is missing")),
        })
    }

    /// Whether it holds for a port.
    pub fn holds(&self, port: u16) -> bool {
        match self {
            Predicate::Or(rules) => rules.iter().any(|rule| rule.holds(port)),
            Predicate::And(rules) => rules.iter().all(|rule| rule.holds(port)),
            Predicate::Not(rule) => !rule.holds(port),
            Predicate::Any(any) => *any,
            Predicate::Port(start, end) => (*start..*end).contains(&i32::from(port)),
        }
    }
}

impl Listener {
    /// Compiles a listener message. Filter chains that the listener had
    /// before and that are the same are shared, so that their connections
    /// are not disturbed.
    pub fn compile(wire: &wire::Listener, previous: Option<&Listener>) -> Result<Listener, Invalid> {
        if wire.filter_chain_matcher.is_some() || wire.fcds_config.is_some() {
            return Err(Invalid::new("filter_chain_matcher", "is not supported"));
        }
        if wire.udp_listener_config.is_some()
            || wire.api_listener.is_some()
            || wire.listener_specifier.is_some()
        {
            return Err(Invalid::new("listener", "is not one of TCP"));
        }
        let mut listener = Listener::without_filters(wire)?;
        for (index, filter) in wire.listener_filters.iter().enumerate() {
            listener.add_listener_filter(filter).within_entry("listener_filters", index)?;
        }
        let chains = wire
            .filter_chains
            .iter()
            .enumerate()
            .map(|(index, chain)| {
                shared_or_compiled(chain, wire.traffic_direction, previous)
                    .within_entry("filter_chains", index)
            })
            .collect::<Result<_, _>>()?;
        let matches: Vec<_> = wire
            .filter_chains
            .iter()
            .map(|chain| chain.filter_chain_match.clone().unwrap_or_default())
            .collect();
        let default = wire
            .default_filter_chain
            .as_ref()
            .map(|chain| shared_or_compiled(chain, wire.traffic_direction, previous))
            .transpose()
            .within("default_filter_chain")?;
        listener.chains = FilterChains::compile(&matches, chains, default)?;
        Ok(listener)
    }

    fn without_filters(wire: &wire::Listener) -> Result<Listener, Invalid> {
        let address = Address::compile(wire.address.as_ref())?;
        let more = wire.additional_addresses.iter().map(|more| Address::compile(more.address.as_ref()));
        let addresses = std::iter::once(Ok(address))
            .chain(more)
            .map(|address| {
                let address = address?;
                address
                    .socket()
                    .ok_or_else(|| Invalid::new("address", format!("`{address}` is no IP address and port")))
            })
            .collect::<Result<_, _>>()?;
        let (access_log, skipped) = AccessLog::compile_all(&wire.access_log)?;
        let deprecated = wire.deprecated_v1.as_ref().and_then(|deprecated| deprecated.bind_to_port);
        Ok(Listener {
            name: wire.name.as_str().into(),
            origin: origin(wire.metadata.as_ref()),
            addresses,
            bind_to_port: wire.bind_to_port.or(deprecated).unwrap_or(true),
            use_original_dst: wire.use_original_dst.unwrap_or(false),
            original_dst: wire.use_original_dst.unwrap_or(false),
            proxy_protocol: None,
            tls_inspector: Inspector::Absent,
            http_inspector: Inspector::Absent,
            inspection_timeout: match &wire.listener_filters_timeout {
                None => Some(INSPECTION_TIMEOUT),
                Some(limit) => duration(limit).filter(|limit| !limit.is_zero()),
            },
            continue_on_timeout: wire.continue_on_listener_filters_timeout,
            chains: FilterChains::default(),
            direction: match TrafficDirection::try_from(wire.traffic_direction) {
                Ok(TrafficDirection::Inbound) => Direction::Inbound,
                Ok(TrafficDirection::Outbound) => Direction::Outbound,
                _ => Direction::Unspecified,
            },
            access_log,
            buffer_limit: usize::try_from(wire.per_connection_buffer_limit_bytes.unwrap_or(BUFFER_LIMIT))
                .unwrap_or(usize::MAX),
            skipped,
        })
    }

    fn add_listener_filter(&mut self, filter: &wire::ListenerFilter) -> Result<(), Invalid> {
        let any = match &filter.config_type {
            Some(ListenerConfigType::TypedConfig(any)) => any,
            _ => return Err(Invalid::new("typed_config", "is missing")),
        };
        let disabled = filter.filter_disabled.as_ref().map(|rule| Predicate::compile(rule, 0)).transpose()?;
        let name = message_name(&any.type_url);
        if name == OriginalDst::full_name() {
            self.original_dst = true;
        } else if name == ProxyProtocol::full_name() {
            self.proxy_protocol = Some(Expected::compile(&decode(any)?));
        } else if name == TlsInspector::full_name() {
            self.tls_inspector = Inspector::Present(disabled);
        } else if name == HttpInspector::full_name() {
            self.http_inspector = Inspector::Present(disabled);
        } else {
            // Bytes that such a filter would take off the connection must
            // not reach the next protocol.
            return Err(Invalid::new("typed_config", format!("`{name}` is not supported")));
        }
        Ok(())
    }

    /// Every filter chain, the default one last.
    pub fn all_chains(&self) -> impl Iterator<Item = &Arc<FilterChain>> {
        self.chains.chains.iter().chain(&self.chains.default)
    }

    /// The route configurations that must be there.
    pub fn route_names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.all_chains().filter_map(|chain| match &chain.terminal {
            Terminal::Http(manager) => manager.route_name(),
            _ => None,
        })
    }
}

fn shared_or_compiled(
    wire: &wire::FilterChain,
    direction: i32,
    previous: Option<&Listener>,
) -> Result<Arc<FilterChain>, Invalid> {
    let mut bytes = wire.encode_to_vec();
    // What a chain reports depends on its listener's direction.
    bytes.extend_from_slice(&direction.to_le_bytes());
    let hash = xxh3_64(&bytes);
    let mut known = previous.into_iter().flat_map(Listener::all_chains);
    match known.find(|chain| chain.hash == hash) {
        Some(chain) => Ok(chain.clone()),
        None => compile_chain(wire, hash).map(Arc::new),
    }
}

fn compile_chain(wire: &wire::FilterChain, hash: u64) -> Result<FilterChain, Invalid> {
    if wire.use_proxy_proto.unwrap_or(false) {
        return Err(Invalid::new("use_proxy_proto", "is not supported"));
    }
    let mut chain = FilterChain {
        name: wire.name.as_str().into(),
        origin: origin(wire.metadata.as_ref()),
        hash,
        transport: tls::downstream(wire.transport_socket.as_ref()).within("transport_socket")?,
        handshake_timeout: positive(wire.transport_socket_connect_timeout.as_ref()),
        terminal: Terminal::Close,
        stats: None,
        connection_limit: None,
        skipped: Vec::new(),
    };
    for (index, filter) in wire.filters.iter().enumerate() {
        add_network_filter(&mut chain, filter).within_entry("filters", index)?;
    }
    if matches!(chain.terminal, Terminal::Close) && !wire.filters.is_empty() {
        return Err(Invalid::new("filters", "do not end in one that takes the connection"));
    }
    Ok(chain)
}

fn add_network_filter(chain: &mut FilterChain, filter: &wire::Filter) -> Result<(), Invalid> {
    let any = match &filter.config_type {
        Some(ConfigType::TypedConfig(any)) => any,
        Some(ConfigType::ConfigDiscovery(_)) => {
            return Err(Invalid::new("config_discovery", "is not supported"));
        }
        None => return Err(Invalid::new("typed_config", "is missing")),
    };
    let config = istio::unwrap(any)?;
    let name = config.type_name.as_str();
    if name == WireHcm::full_name() {
        let manager = HttpConnectionManager::compile(&crate::message::decode(any)?)?;
        chain.skipped.extend(manager.filters.skipped.iter().cloned());
        chain.terminal = Terminal::Http(Arc::new(manager));
    } else if name == WireTcpProxy::full_name() {
        let proxy = TcpProxy::compile(&crate::message::decode(any)?)?;
        chain.skipped.extend(proxy.skipped.iter().cloned());
        chain.terminal = Terminal::Tcp(Arc::new(proxy));
    } else if name == WireConnectionLimit::full_name() {
        chain.connection_limit = ConnectionLimit::compile(&crate::message::decode(any)?)?;
    } else if name == istio::names::STATS {
        chain.stats = Some(Stats::compile(&config.content)?);
    } else if guards_access(name) {
        return Err(Invalid::new("typed_config", format!("`{name}` guards access and is not supported")));
    } else if name != istio::names::METADATA_EXCHANGE {
        chain.skipped.push(format!("{} ({name})", filter.name));
    }
    Ok(())
}
