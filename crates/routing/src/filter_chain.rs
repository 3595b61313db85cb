//! Which filter chain a connection gets.
//!
//! Envoy's order: destination port, destination address, server name,
//! transport protocol, application protocol, direct source address, source
//! type, source address, source port. At each step the most specific key
//! that matches is taken and nothing goes back: a port that matches and an
//! address that does not is no chain (then the default chain, if any).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use xds::envoy::config::listener::v3 as wire;
use xds::envoy::config::listener::v3::filter_chain_match::ConnectionSourceType;

use crate::address_range::AddressRange;
use crate::connection_limit::ConnectionLimit;
use crate::hcm::HttpConnectionManager;
use crate::invalid::{Invalid, Within};
use crate::istio::Stats;
use crate::tcp_proxy::TcpProxy;
use crate::tls::{ServerTls, Transport};

/// What happens to the connections of one filter chain.
#[derive(Debug, Clone)]
pub struct FilterChain {
    /// Its name, if it has one.
    pub name: Box<str>,
    /// The object that caused it.
    pub origin: Option<xds::origin::Origin>,
    /// The hash of the message that it came from.
    pub hash: u64,
    /// Whether connections are TLS that ends here.
    pub transport: Transport<ServerTls>,
    /// How long the client may take for its part of the handshake.
    pub handshake_timeout: Option<Duration>,
    /// What its last filter does.
    pub terminal: Terminal,
    /// Metrics of TCP connections.
    pub stats: Option<Stats>,
    /// How many connections it may have at once.
    pub connection_limit: Option<ConnectionLimit>,
    /// Filters that are configured and not known here: passed over.
    pub skipped: Vec<String>,
}

/// The last filter of a chain.
#[derive(Debug, Clone)]
pub enum Terminal {
    /// HTTP.
    Http(Arc<HttpConnectionManager>),
    /// Bytes to a cluster.
    Tcp(Arc<TcpProxy>),
    /// Nothing: the connection is closed.
    Close,
}

/// What a connection shows before any byte is interpreted, and what the
/// inspectors found.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionInfo<'a> {
    /// Where the client wanted to go.
    pub destination: SocketAddr,
    /// Where the connection comes from.
    pub source: SocketAddr,
    /// The server name of TLS; empty when there is none.
    pub server_name: &'a str,
    /// The protocol that carries the bytes: `tls`, `raw_buffer`, or empty
    /// when nobody looked.
    pub transport_protocol: &'a str,
    /// The application protocols that were asked for or recognised.
    pub application_protocols: &'a [&'a str],
}

/// The chains of a listener.
#[derive(Debug, Clone, Default)]
pub struct FilterChains {
    /// All of them, in the order of configuration.
    pub chains: Box<[Arc<FilterChain>]>,
    /// For connections that match none.
    pub default: Option<Arc<FilterChain>>,
    ports: HashMap<u16, Addresses, RandomState>,
    any_port: Option<Addresses>,
}

/// The longest prefix first.
type Ranges<T> = Vec<(Option<AddressRange>, T)>;
type Addresses = Ranges<Names>;
type Names = HashMap<Box<str>, Transports, RandomState>;
type Transports = Vec<(Box<str>, Applications)>;
type Applications = Vec<(Box<str>, DirectSources)>;
type DirectSources = Ranges<SourceTypes>;
type Sources = Ranges<SourcePorts>;
type SourcePorts = Vec<(u16, u32)>;

#[derive(Debug, Clone, Default)]
struct SourceTypes {
    any: Sources,
    local: Sources,
    external: Sources,
}

impl FilterChains {
    /// Builds the index. Two chains with the same conditions are refused, as
    /// Envoy refuses them.
    pub fn compile(
        matches: &[wire::FilterChainMatch],
        chains: Box<[Arc<FilterChain>]>,
        default: Option<Arc<FilterChain>>,
    ) -> Result<FilterChains, Invalid> {
        let mut index = FilterChains { chains, default, ..FilterChains::default() };
        for (number, conditions) in matches.iter().enumerate() {
            let chain = u32::try_from(number).map_err(|_| Invalid::new("filter_chains", "are too many"))?;
            index
                .insert(conditions, chain)
                .within("filter_chain_match")
                .within_entry("filter_chains", number)?;
        }
        index.sort();
        Ok(index)
    }

    fn insert(&mut self, wire: &wire::FilterChainMatch, chain: u32) -> Result<(), Invalid> {
        if !wire.address_suffix.is_empty() || wire.suffix_len.is_some() {
            return Err(Invalid::new("address_suffix", "is not supported"));
        }
        let addresses = match wire.destination_port {
            Some(port) if port > 0 => {
                let port = u16::try_from(port).map_err(|_| Invalid::new("destination_port", "is no port"))?;
                self.ports.entry(port).or_default()
            }
            _ => self.any_port.get_or_insert_default(),
        };
        for range in ranges(&wire.prefix_ranges)? {
            let names = of_range(addresses, range);
            for name in texts(&wire.server_names) {
                let name = server_name(name)?;
                let transports = names.entry(name).or_default();
                let applications = of_text(transports, &wire.transport_protocol);
                for application in texts(&wire.application_protocols) {
                    insert_sources(of_text(applications, application), wire, chain)?;
                }
            }
        }
        Ok(())
    }

    fn sort(&mut self) {
        for addresses in self.ports.values_mut().chain(&mut self.any_port) {
            longest_first(addresses);
            let transports = addresses.iter_mut().flat_map(|(_, names)| names.values_mut()).flatten();
            for (_, direct) in transports.flat_map(|(_, applications)| applications) {
                longest_first(direct);
                for (_, types) in direct {
                    longest_first(&mut types.any);
                    longest_first(&mut types.local);
                    longest_first(&mut types.external);
                }
            }
        }
    }

    /// The chain for a connection.
    pub fn find(&self, connection: &ConnectionInfo<'_>) -> Option<&Arc<FilterChain>> {
        let found = match self.ports.get(&connection.destination.port()) {
            Some(addresses) => find_address(addresses, connection),
            None => self.any_port.as_ref().and_then(|addresses| find_address(addresses, connection)),
        };
        found.and_then(|number| self.chains.get(usize::try_from(number).ok()?)).or(self.default.as_ref())
    }
}

fn insert_sources(
    direct: &mut DirectSources,
    wire: &wire::FilterChainMatch,
    chain: u32,
) -> Result<(), Invalid> {
    for direct_range in ranges(&wire.direct_source_prefix_ranges)? {
        let types = of_range(direct, direct_range);
        let sources = match ConnectionSourceType::try_from(wire.source_type) {
            Ok(ConnectionSourceType::SameIpOrLoopback) => &mut types.local,
            Ok(ConnectionSourceType::External) => &mut types.external,
            _ => &mut types.any,
        };
        for source_range in ranges(&wire.source_prefix_ranges)? {
            let ports = of_range(sources, source_range);
            let any_port = [0];
            let wanted = if wire.source_ports.is_empty() { &any_port[..] } else { &wire.source_ports };
            for port in wanted {
                let port = u16::try_from(*port).map_err(|_| Invalid::new("source_ports", "hold no port"))?;
                if ports.iter().any(|(present, _)| *present == port) {
                    return Err(Invalid::new("", "another chain has the same conditions"));
                }
                ports.push((port, chain));
            }
        }
    }
    Ok(())
}

/// No range at all stands for every address.
fn ranges(wire: &[xds::envoy::config::core::v3::CidrRange]) -> Result<Vec<Option<AddressRange>>, Invalid> {
    if wire.is_empty() {
        return Ok(vec![None]);
    }
    Ok(AddressRange::compile_all(wire)?.iter().copied().map(Some).collect())
}

/// No text at all stands for every text.
fn texts(wire: &[String]) -> impl Iterator<Item = &str> {
    let any = wire.is_empty().then_some("");
    any.into_iter().chain(wire.iter().map(String::as_str))
}

/// `*.example.com` is kept as `.example.com`.
fn server_name(name: &str) -> Result<Box<str>, Invalid> {
    let name = name.to_ascii_lowercase();
    let plain = match name.strip_prefix('*') {
        Some("") => "",
        Some(rest) if rest.starts_with('.') => rest,
        Some(_) => "*",
        None => &name,
    };
    if plain.contains('*') {
        return Err(Invalid::new("server_names", format!("`{name}`: only a leading `*.` is supported")));
    }
    Ok(plain.into())
}

fn of_range<T: Default>(list: &mut Ranges<T>, range: Option<AddressRange>) -> &mut T {
    let at = list.iter().position(|(present, _)| *present == range).unwrap_or_else(|| {
        list.push((range, T::default()));
        list.len() - 1
    });
    &mut list[at].1
}

fn of_text<'a, T: Default>(list: &'a mut Vec<(Box<str>, T)>, text: &str) -> &'a mut T {
    let at = list.iter().position(|(present, _)| &**present == text).unwrap_or_else(|| {
        list.push((text.into(), T::default()));
        list.len() - 1
    });
    &mut list[at].1
}

fn longest_first<T>(list: &mut Ranges<T>) {
    list.sort_by_key(|(range, _)| {
        std::cmp::Reverse(range.map_or(-1, |range| i16::from(range.prefix_length())))
    });
}

fn in_ranges<T>(list: &Ranges<T>, ip: IpAddr) -> Option<&T> {
    let ip = ip.to_canonical();
    list.iter().find(|(range, _)| range.is_none_or(|range| range.contains(ip))).map(|(_, found)| found)
}

fn find_address(addresses: &Addresses, connection: &ConnectionInfo<'_>) -> Option<u32> {
    let names = in_ranges(addresses, connection.destination.ip())?;
    let transports = find_name(names, connection.server_name)?;
    let applications = find_text(transports, connection.transport_protocol)?;
    let asked = connection.application_protocols.iter();
    let direct = asked
        .filter(|protocol| !protocol.is_empty())
        .find_map(|protocol| applications.iter().find(|(known, _)| **known == **protocol))
        .or_else(|| applications.iter().find(|(known, _)| known.is_empty()))
        .map(|(_, direct)| direct)?;
    let types = in_ranges(direct, connection.source.ip())?;
    let ports = in_ranges(find_sources(types, connection), connection.source.ip())?;
    let port = connection.source.port();
    ports
        .iter()
        .find(|(wanted, _)| *wanted == port)
        .or_else(|| ports.iter().find(|(wanted, _)| *wanted == 0))
        .map(|(_, chain)| *chain)
}

fn find_name<'a>(names: &'a Names, server_name: &str) -> Option<&'a Transports> {
    if let Some(exact) = names.get(server_name) {
        return Some(exact);
    }
    let dots = server_name.char_indices().filter(|(at, character)| *at > 0 && *character == '.');
    for (at, _) in dots {
        if let Some(wildcard) = names.get(&server_name[at..]) {
            return Some(wildcard);
        }
    }
    names.get("")
}

fn find_text<'a, T>(list: &'a [(Box<str>, T)], text: &str) -> Option<&'a T> {
    list.iter()
        .find(|(known, _)| &**known == text)
        .or_else(|| list.iter().find(|(known, _)| known.is_empty()))
        .map(|(_, found)| found)
}

fn find_sources<'a>(types: &'a SourceTypes, connection: &ConnectionInfo<'_>) -> &'a Sources {
    let source = connection.source.ip().to_canonical();
    let is_local = source.is_loopback() || source == connection.destination.ip().to_canonical();
    if is_local && !types.local.is_empty() {
        &types.local
    } else if !is_local && !types.external.is_empty() {
        &types.external
    } else {
        &types.any
    }
}

#[cfg(test)]
mod tests;
