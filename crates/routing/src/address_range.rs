//! Ranges of addresses.

use std::net::IpAddr;

use ipnet::IpNet;
use xds::envoy::config::core::v3::CidrRange;

use crate::invalid::{Invalid, Within};

/// A network and the length of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange(IpNet);

impl AddressRange {
    /// Reads a range message; a missing length is zero, as in Envoy.
    pub fn compile(wire: &CidrRange) -> Result<AddressRange, Invalid> {
        let ip: IpAddr = wire.address_prefix.parse().map_err(|_| {
            Invalid::new("address_prefix", format!("`{}` is no address", wire.address_prefix))
        })?;
        let length = u8::try_from(wire.prefix_len.unwrap_or(0)).unwrap_or(u8::MAX);
        IpNet::new(ip, length).map(|net| AddressRange(net.trunc())).map_err(|_| {
            Invalid::new("prefix_len", format!("{} is too long for {ip}", wire.prefix_len.unwrap_or(0)))
        })
    }

    /// Reads a list of range messages.
    pub fn compile_all(wire: &[CidrRange]) -> Result<Box<[AddressRange]>, Invalid> {
        wire.iter()
            .enumerate()
            .map(|(index, range)| AddressRange::compile(range).within_entry("cidr_ranges", index))
            .collect()
    }

    /// Whether the address lies in the range.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.contains(&ip)
    }

    /// How many bits are fixed.
    pub fn prefix_length(&self) -> u8 {
        self.0.prefix_len()
    }
}

impl std::fmt::Display for AddressRange {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(out)
    }
}
