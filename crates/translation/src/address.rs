//! Addresses, durations and other small messages.

use std::time::Duration;

use xds::envoy::config::core::v3::{
    Address, CidrRange, Pipe, SocketAddress, address, socket_address::PortSpecifier,
};

/// `address:port`, or a socket for `unix://path`.
pub(crate) fn endpoint(host: &str, port: u16) -> Address {
    match host.strip_prefix("unix://") {
        Some(path) => Address {
            address: Some(address::Address::Pipe(Pipe { path: path.to_owned(), ..Pipe::default() })),
        },
        None => socket(host, port),
    }
}

/// `address:port`.
pub(crate) fn socket(host: &str, port: u16) -> Address {
    Address { address: Some(address::Address::SocketAddress(socket_address(host, port))) }
}

/// `address:port`.
pub(crate) fn socket_address(host: &str, port: u16) -> SocketAddress {
    SocketAddress {
        address: host.to_owned(),
        port_specifier: Some(PortSpecifier::PortValue(u32::from(port))),
        ..SocketAddress::default()
    }
}

/// `10.0.0.0/8`, or a single address.
pub(crate) fn range(text: &str) -> Option<CidrRange> {
    let net: ipnet::IpNet = match text.parse() {
        Ok(net) => net,
        Err(_) => text.parse::<std::net::IpAddr>().ok()?.into(),
    };
    Some(CidrRange { address_prefix: net.addr().to_string(), prefix_len: Some(u32::from(net.prefix_len())) })
}

/// Whether the text is an address with a prefix length of its own.
pub(crate) fn is_range(text: &str) -> bool {
    text.parse::<ipnet::IpNet>().is_ok_and(|net| net.prefix_len() != net.max_prefix_len())
}

/// A duration as protobuf has it.
pub(crate) fn duration(duration: Duration) -> prost_types::Duration {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let nanos = i32::try_from(duration.subsec_nanos()).unwrap_or_default();
    prost_types::Duration { seconds, nanos }
}
