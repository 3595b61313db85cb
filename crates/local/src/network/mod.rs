//! The world as a router: addresses, links, rules, relays.

pub(crate) mod doors;
pub(crate) mod egress;
pub(crate) mod filter;
pub(crate) mod links;
pub(crate) mod relay;
pub(crate) mod rules;

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// Addresses of Services.
pub(crate) const SERVICE_RANGE: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 96, 0, 0), 16);

/// Addresses of pods.
pub(crate) const POD_RANGE: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 44, 0, 0), 16);

/// The cluster's DNS server.
pub(crate) const DNS_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);

/// The control plane.
pub const CONTROL_PLANE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 11);

/// The router, as every pod sees it.
pub(crate) const ROUTER_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// Addresses for the link alone.
pub(crate) const LINK_RANGE: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16);

/// Addresses of the machine itself.
pub(crate) const LOOPBACK_RANGE: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);

/// Port of the relay to the outside.
pub(crate) const EGRESS_PORT: u16 = 15999;

/// Start of the names of the world's link ends; a number follows.
pub(crate) const LINK_PREFIX: &str = "pod";
