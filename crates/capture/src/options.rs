//! What a pod wants captured.

use std::net::IpAddr;

use ipnet::IpNet;

/// The address family a rule set is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A choice of ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ports {
    /// Every port, written `*`.
    All,
    /// These ports; an empty list is none.
    Only(Vec<u16>),
}

/// A choice of address ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ranges {
    /// Every address, written `*`.
    All,
    /// These ranges; an empty list is none.
    Only(Vec<IpNet>),
}

/// How a rule tells the proxy's own connections from the application's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyMatch {
    /// By the user and group that own the socket.
    Owner {
        /// User ids of the proxy.
        uids: Vec<u32>,
        /// Group ids of the proxy.
        gids: Vec<u32>,
    },
    /// By the DSCP value that the proxy sets on its sockets.
    ///
    /// Where only one user id is mapped the kernel refuses an owner match; this one needs no capability.
    Dscp(u8),
}

/// Which questions about names go to the proxy's agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsCapture {
    /// None.
    Off,
    /// Those to the name servers of the pod.
    Servers(Vec<IpAddr>),
    /// All.
    All,
}

/// Everything the rules depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Port of the proxy that takes outbound connections.
    pub outbound_capture_port: u16,
    /// Port of the proxy that takes inbound connections.
    pub inbound_capture_port: u16,
    /// Port of inbound tunnels, never redirected.
    pub inbound_tunnel_port: u16,
    /// How the proxy's own connections are known.
    pub proxy: ProxyMatch,
    /// Inbound ports to capture.
    pub inbound_ports: Ports,
    /// Inbound ports to leave alone; only with [`Ports::All`].
    pub inbound_ports_excluded: Vec<u16>,
    /// Outbound destinations to capture.
    pub outbound_ranges: Ranges,
    /// Outbound destinations to leave alone.
    pub outbound_ranges_excluded: Vec<IpNet>,
    /// Outbound ports captured whatever their destination is.
    pub outbound_ports: Vec<u16>,
    /// Outbound ports to leave alone.
    pub outbound_ports_excluded: Vec<u16>,
    /// Interfaces whose inbound traffic is a virtual machine's outbound traffic.
    pub rerouted_interfaces: Vec<String>,
    /// Interfaces whose traffic is left alone.
    pub excluded_interfaces: Vec<String>,
    /// Which questions about names are captured.
    pub dns: DnsCapture,
}

/// The port of the agent that answers questions about names.
pub const DNS_CAPTURE_PORT: u16 = 15053;

/// User and group id of the proxy on Kubernetes.
pub const PROXY_ID: u32 = 1337;

/// The DSCP value of the proxy's own connections where an owner match is impossible.
pub const PROXY_DSCP: u8 = 0x22;

impl Default for Options {
    fn default() -> Self {
        Options {
            outbound_capture_port: 15001,
            inbound_capture_port: 15006,
            inbound_tunnel_port: 15008,
            proxy: ProxyMatch::Owner { uids: vec![PROXY_ID], gids: vec![PROXY_ID] },
            inbound_ports: Ports::Only(Vec::new()),
            inbound_ports_excluded: Vec::new(),
            outbound_ranges: Ranges::Only(Vec::new()),
            outbound_ranges_excluded: Vec::new(),
            outbound_ports: Vec::new(),
            outbound_ports_excluded: Vec::new(),
            rerouted_interfaces: Vec::new(),
            excluded_interfaces: Vec::new(),
            dns: DnsCapture::Off,
        }
    }
}
