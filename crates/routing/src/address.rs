//! Addresses of listeners and endpoints.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use xds::envoy::config::core::v3 as wire;
use xds::envoy::config::core::v3::address::Address as WireAddress;
use xds::envoy::config::core::v3::socket_address::PortSpecifier;

use crate::invalid::Invalid;

/// Where something listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IP address and port.
    Socket(SocketAddr),
    /// A name to resolve, and a port.
    Name {
        /// The host name.
        host: Arc<str>,
        /// The port.
        port: u16,
    },
    /// A Unix socket's path.
    Pipe(Arc<str>),
}

impl Address {
    /// Reads an address message.
    pub fn compile(address: Option<&wire::Address>) -> Result<Address, Invalid> {
        match address.and_then(|address| address.address.as_ref()) {
            Some(WireAddress::SocketAddress(socket)) => socket_address(socket),
            Some(WireAddress::Pipe(pipe)) => Ok(Address::Pipe(pipe.path.as_str().into())),
            Some(WireAddress::EnvoyInternalAddress(_)) => {
                Err(Invalid::new("address", "internal addresses are not supported"))
            }
            None => Err(Invalid::new("address", "is missing")),
        }
    }

    /// The address when it needs no resolving.
    pub fn socket(&self) -> Option<SocketAddr> {
        match self {
            Address::Socket(socket) => Some(*socket),
            _ => None,
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Socket(socket) => write!(out, "{socket}"),
            Address::Name { host, port } => write!(out, "{host}:{port}"),
            Address::Pipe(path) => write!(out, "{path}"),
        }
    }
}

/// Reads an IP address or name with its port.
pub fn socket_address(socket: &wire::SocketAddress) -> Result<Address, Invalid> {
    let port = match &socket.port_specifier {
        Some(PortSpecifier::PortValue(port)) => {
            u16::try_from(*port).map_err(|_| Invalid::new("port_value", format!("{port} is no port")))?
        }
        Some(PortSpecifier::NamedPort(_)) => {
            return Err(Invalid::new("named_port", "is not supported"));
        }
        None => 0,
    };
    match socket.address.parse::<IpAddr>() {
        Ok(ip) => Ok(Address::Socket(SocketAddr::new(ip, port))),
        Err(_) if socket.address.is_empty() => Err(Invalid::new("address", "is empty")),
        Err(_) => Ok(Address::Name { host: socket.address.as_str().into(), port }),
    }
}

/// An IPv4 address written as IPv6 becomes IPv4, so that both compare equal.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whether the address belongs to a private network or to this machine, as
/// Envoy decides for `x-envoy-internal`.
pub fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_loopback(),
    }
}
