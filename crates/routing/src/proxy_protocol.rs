//! The PROXY protocol, as listeners expect it and clusters speak it.

use xds::envoy::config::core::v3::ProxyProtocolConfig;
use xds::envoy::config::core::v3::proxy_protocol_config::Version as WireVersion;
use xds::envoy::extensions::filters::listener::proxy_protocol::v3::ProxyProtocol as WireFilter;

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// A line of text.
    V1,
    /// A block of bytes.
    V2,
}

/// What a listener expects in front of connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// A connection without a header is served, too.
    pub optional: bool,
    /// Versions that are not accepted.
    pub refused: Box<[Version]>,
}

impl Version {
    fn of(wire: i32) -> Version {
        match WireVersion::try_from(wire) {
            Ok(WireVersion::V2) => Version::V2,
            _ => Version::V1,
        }
    }

    /// The version that a cluster speaks.
    pub fn compile(wire: Option<&ProxyProtocolConfig>) -> Version {
        wire.map_or(Version::V1, |wire| Version::of(wire.version))
    }
}

impl Expected {
    /// Compiles the listener filter.
    pub fn compile(wire: &WireFilter) -> Expected {
        Expected {
            optional: wire.allow_requests_without_proxy_protocol,
            refused: wire.disallowed_versions.iter().map(|version| Version::of(*version)).collect(),
        }
    }
}
