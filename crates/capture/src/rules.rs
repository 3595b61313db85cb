//! The rules themselves, before they are written in anybody's syntax.
//!
//! The order is Istio's, so that a person who knows its rules finds them here:
//! <https://github.com/istio/istio/blob/master/tools/istio-iptables/pkg/capture/run.go>.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::{DNS_CAPTURE_PORT, DnsCapture, Family, Options, Ports, ProxyMatch, Ranges};

/// The port of name servers.
const DNS_PORT: u16 = 53;

/// All rules of one address family, in the order in which they are appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSet {
    /// The family that the rules are for.
    pub family: Family,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// The chains: two of the kernel, four of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chain {
    /// The kernel's, for packets that come in.
    Prerouting,
    /// The kernel's, for packets that local processes send.
    Output,
    /// Decides about inbound connections.
    Inbound,
    /// Sends a connection to the outbound listener.
    Redirect,
    /// Sends a connection to the inbound listener.
    InRedirect,
    /// Decides about outbound connections.
    Outbound,
}

/// One condition of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// The packet comes in by this interface.
    InInterface(String),
    /// The packet goes out by this interface.
    OutInterface(String),
    /// The source address lies in this range.
    Source(IpNet),
    /// The destination address lies in this range.
    Destination(IpNet),
    /// The destination address lies outside of this range.
    NotDestination(IpNet),
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// The destination port; follows [`Match::Tcp`] or [`Match::Udp`].
    Port(u16),
    /// Any other destination port; follows [`Match::Tcp`].
    NotPort(u16),
    /// Any destination port but these; follows [`Match::Tcp`].
    NotPorts([u16; 2]),
    /// The socket belongs to this user.
    Uid(u32),
    /// The socket belongs to another user.
    NotUid(u32),
    /// The socket belongs to this group.
    Gid(u32),
    /// The socket belongs to another group.
    NotGid(u32),
    /// The packet carries this DSCP value.
    Dscp(u8),
    /// The packet carries another DSCP value.
    NotDscp(u8),
}

/// What happens to a packet that fulfils all conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It leaves the chain, untouched.
    Return,
    /// It goes on in another chain.
    Jump(Chain),
    /// Its connection goes to this local port.
    RedirectTo(u16),
}

/// A rule of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The chain it is appended to.
    pub chain: Chain,
    /// Its conditions; all must hold.
    pub matches: Vec<Match>,
    /// What follows.
    pub verdict: Verdict,
}

/// The rules of `options` for one address family.
pub fn build(options: &Options, family: Family) -> RuleSet {
    let mut set = RuleSet { family, rules: Vec::new() };
    interfaces(&mut set, options);
    set.append(Chain::Inbound, [Match::Tcp, Match::Port(options.inbound_tunnel_port)], Verdict::Return);
    set.append(Chain::Redirect, [Match::Tcp], Verdict::RedirectTo(options.outbound_capture_port));
    set.append(Chain::InRedirect, [Match::Tcp], Verdict::RedirectTo(options.inbound_capture_port));
    inbound(&mut set, options);
    outbound(&mut set, options);
    set
}

impl RuleSet {
    fn append(&mut self, chain: Chain, matches: impl Into<Vec<Match>>, verdict: Verdict) {
        self.rules.push(Rule { chain, matches: matches.into(), verdict });
    }

    fn holds(&self, range: &IpNet) -> bool {
        matches!((self.family, range), (Family::V4, IpNet::V4(_)) | (Family::V6, IpNet::V6(_)))
    }

    fn loopback(&self) -> IpNet {
        IpNet::from(match self.family {
            Family::V4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Family::V6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
        })
    }

    /// The address that the proxy binds when it delivers a captured inbound connection to the application.
    fn inbound_source(&self) -> IpNet {
        IpNet::from(match self.family {
            Family::V4 => IpAddr::V4(Ipv4Addr::new(127, 0, 0, 6)),
            Family::V6 => IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 6)),
        })
    }
}

fn interfaces(set: &mut RuleSet, options: &Options) {
    for name in &options.excluded_interfaces {
        set.append(Chain::Prerouting, [Match::InInterface(name.clone())], Verdict::Return);
        set.append(Chain::Output, [Match::OutInterface(name.clone())], Verdict::Return);
    }
    for name in &options.rerouted_interfaces {
        let from = Match::InInterface(name.clone());
        match &options.outbound_ranges {
            Ranges::All => set.append(Chain::Prerouting, [from.clone()], Verdict::Jump(Chain::Redirect)),
            Ranges::Only(ranges) => {
                for range in ranges.iter().filter(|range| set.holds(range)).copied().collect::<Vec<_>>() {
                    let matches = [from.clone(), Match::Destination(range)];
                    set.append(Chain::Prerouting, matches, Verdict::Jump(Chain::Redirect));
                }
            }
        }
        set.append(Chain::Prerouting, [from], Verdict::Return);
    }
}

fn inbound(set: &mut RuleSet, options: &Options) {
    let captured = Verdict::Jump(Chain::InRedirect);
    match &options.inbound_ports {
        Ports::Only(ports) if ports.is_empty() => {}
        Ports::Only(ports) => {
            set.append(Chain::Prerouting, [Match::Tcp], Verdict::Jump(Chain::Inbound));
            for port in ports {
                set.append(Chain::Inbound, [Match::Tcp, Match::Port(*port)], captured);
            }
        }
        Ports::All => {
            set.append(Chain::Prerouting, [Match::Tcp], Verdict::Jump(Chain::Inbound));
            for port in &options.inbound_ports_excluded {
                set.append(Chain::Inbound, [Match::Tcp, Match::Port(*port)], Verdict::Return);
            }
            set.append(Chain::Inbound, [Match::Tcp], captured);
        }
    }
}

fn outbound(set: &mut RuleSet, options: &Options) {
    set.append(Chain::Output, [], Verdict::Jump(Chain::Outbound));
    for port in &options.outbound_ports_excluded {
        set.append(Chain::Outbound, [Match::Tcp, Match::Port(*port)], Verdict::Return);
    }
    let delivered = [Match::OutInterface("lo".to_owned()), Match::Source(set.inbound_source())];
    set.append(Chain::Outbound, delivered, Verdict::Return);
    match &options.proxy {
        ProxyMatch::Owner { uids, gids } => {
            for uid in uids {
                own_connections(set, options, Match::Uid(*uid), Match::NotUid(*uid));
            }
            for gid in gids {
                own_connections(set, options, Match::Gid(*gid), Match::NotGid(*gid));
            }
        }
        ProxyMatch::Dscp(value) => {
            own_connections(set, options, Match::Dscp(*value), Match::NotDscp(*value));
        }
    }
    names(set, options);
    set.append(Chain::Outbound, [Match::Destination(set.loopback())], Verdict::Return);
    destinations(set, options);
}

/// The three rules about the proxy's own connections.
///
/// The first catches an application that calls its own Service: the proxy chose this very pod, and the call enters
/// by the inbound listener as from anywhere. The second leaves an application alone that calls its own pod address.
/// The third keeps the proxy's connections out of the proxy.
fn own_connections(set: &mut RuleSet, options: &Options, is_proxy: Match, is_not_proxy: Match) {
    let loopback = || Match::OutInterface("lo".to_owned());
    let captures_names = options.dns != DnsCapture::Off;
    let not_tunnel = match captures_names {
        true => Match::NotPorts([DNS_PORT, options.inbound_tunnel_port]),
        false => Match::NotPort(options.inbound_tunnel_port),
    };
    let to_itself =
        vec![loopback(), Match::NotDestination(set.loopback()), Match::Tcp, not_tunnel, is_proxy.clone()];
    set.append(Chain::Outbound, to_itself, Verdict::Jump(Chain::InRedirect));
    // A name server on loopback is captured like any other.
    let local = match captures_names {
        true => vec![loopback(), Match::Tcp, Match::NotPort(DNS_PORT), is_not_proxy],
        false => vec![loopback(), is_not_proxy],
    };
    set.append(Chain::Outbound, local, Verdict::Return);
    set.append(Chain::Outbound, [is_proxy], Verdict::Return);
}

/// Questions about names go to the agent; its own are returned before.
fn names(set: &mut RuleSet, options: &Options) {
    let servers: Vec<Option<Match>> = match &options.dns {
        DnsCapture::Off => return,
        DnsCapture::All => vec![None],
        DnsCapture::Servers(servers) => {
            let ranges = servers.iter().copied().map(IpNet::from).filter(|range| set.holds(range));
            ranges.map(|range| Some(Match::Destination(range))).collect()
        }
    };
    for transport in [Match::Udp, Match::Tcp] {
        for server in &servers {
            let matches: Vec<Match> =
                [transport.clone(), Match::Port(DNS_PORT)].into_iter().chain(server.clone()).collect();
            set.append(Chain::Outbound, matches, Verdict::RedirectTo(DNS_CAPTURE_PORT));
        }
    }
}

fn destinations(set: &mut RuleSet, options: &Options) {
    let of_family = |set: &RuleSet, ranges: &[IpNet]| -> Vec<IpNet> {
        ranges.iter().filter(|range| set.holds(range)).copied().collect()
    };
    for range in of_family(set, &options.outbound_ranges_excluded) {
        set.append(Chain::Outbound, [Match::Destination(range)], Verdict::Return);
    }
    for port in &options.outbound_ports {
        set.append(Chain::Outbound, [Match::Tcp, Match::Port(*port)], Verdict::Jump(Chain::Redirect));
    }
    match &options.outbound_ranges {
        Ranges::All => set.append(Chain::Outbound, [], Verdict::Jump(Chain::Redirect)),
        Ranges::Only(ranges) => {
            for range in of_family(set, ranges) {
                set.append(Chain::Outbound, [Match::Destination(range)], Verdict::Jump(Chain::Redirect));
            }
        }
    }
}

#[cfg(test)]
mod tests;
