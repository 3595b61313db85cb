//! What is spoken on a port: said by `appProtocol`, by the port's name, or
//! found out by looking at the first bytes.

use crate::mesh::SERVER_FIRST_PORTS;

/// A protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// HTTP/1.1, and whatever upgrades from it.
    Http,
    /// HTTP/2 without TLS.
    Http2,
    /// gRPC, which is HTTP/2.
    Grpc,
    /// gRPC for browsers, which is HTTP/1.1.
    GrpcWeb,
    /// TLS with HTTP inside, which the proxy does not see.
    Https,
    /// TLS with something inside.
    Tls,
    /// Opaque bytes.
    Tcp,
    /// Not for the proxy.
    Udp,
    /// Not said: HTTP when it looks like it, else opaque bytes.
    Detected,
}

impl Protocol {
    /// The protocol of a Kubernetes Service's port.
    pub fn of_service_port(name: &str, app_protocol: Option<&str>, port: u16) -> Self {
        app_protocol
            .filter(|text| !text.is_empty())
            .map_or_else(|| Self::of_port_name(name), |text| Self::parse(text).or(Some(Self::Detected)))
            .filter(|protocol| *protocol != Self::Detected)
            .unwrap_or_else(|| Self::undeclared(port))
    }

    /// The protocol that a `protocol` field names; empty is not said.
    pub fn of_field(text: &str, port: u16) -> Self {
        Self::parse(text).unwrap_or_else(|| Self::undeclared(port))
    }

    /// A port whose protocol nobody says.
    fn undeclared(port: u16) -> Self {
        if SERVER_FIRST_PORTS.contains(&port) { Self::Tcp } else { Self::Detected }
    }

    fn of_port_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        if name == "grpc-web" || name.starts_with("grpc-web-") {
            return Some(Self::GrpcWeb);
        }
        Self::parse(name.split('-').next().unwrap_or_default())
    }

    fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "http" | "kubernetes.io/ws" => Self::Http,
            "http2" | "h2c" | "kubernetes.io/h2c" => Self::Http2,
            "grpc" => Self::Grpc,
            "grpc-web" => Self::GrpcWeb,
            "https" | "kubernetes.io/wss" => Self::Https,
            "tls" => Self::Tls,
            "tcp" | "mongo" | "redis" | "mysql" => Self::Tcp,
            "udp" => Self::Udp,
            _ => return None,
        })
    }

    /// Declared to be HTTP of any version, in the clear.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Http2 | Self::Grpc | Self::GrpcWeb)
    }

    /// HTTP/2 from the first byte.
    pub fn is_http2(self) -> bool {
        matches!(self, Self::Http2 | Self::Grpc)
    }

    /// TLS that the proxy passes through.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Tls)
    }

    /// HTTP routes may apply: declared or detected.
    pub fn may_be_http(self) -> bool {
        self.is_http() || self == Self::Detected
    }
}

#[cfg(test)]
mod tests;
