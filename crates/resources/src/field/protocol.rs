//! Application protocols by the names that Istio's kinds use.

use std::fmt;

/// The protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Opaque TCP.
    Tcp,
    /// UDP; not carried by the mesh.
    Udp,
    /// HTTP/1.1.
    Http,
    /// HTTP of a forward proxy; for listeners of a Sidecar.
    HttpProxy,
    /// HTTP/2.
    Http2,
    /// gRPC.
    Grpc,
    /// gRPC-Web.
    GrpcWeb,
    /// HTTP in TLS.
    Https,
    /// Anything in TLS.
    Tls,
    /// MongoDB.
    Mongo,
    /// Redis.
    Redis,
    /// MySQL.
    MySql,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Self; 12] = [
        Self::Http,
        Self::HttpProxy,
        Self::Http2,
        Self::Grpc,
        Self::GrpcWeb,
        Self::Https,
        Self::Tls,
        Self::Tcp,
        Self::Udp,
        Self::Mongo,
        Self::Redis,
        Self::MySql,
    ];

    /// Reads a name in any case: `HTTP`, `grpc-web`.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.as_str().eq_ignore_ascii_case(name))
    }

    /// Its name, as Istio writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Http => "HTTP",
            Self::HttpProxy => "HTTP_PROXY",
            Self::Http2 => "HTTP2",
            Self::Grpc => "GRPC",
            Self::GrpcWeb => "GRPC-WEB",
            Self::Https => "HTTPS",
            Self::Tls => "TLS",
            Self::Mongo => "MONGO",
            Self::Redis => "REDIS",
            Self::MySql => "MYSQL",
        }
    }

    /// Whether requests can be told apart without opening TLS.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::HttpProxy | Self::Http2 | Self::Grpc | Self::GrpcWeb)
    }

    /// Whether it runs inside TLS.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Tls)
    }

    /// Whether it is routed by connection, TLS included.
    pub fn is_tcp(self) -> bool {
        matches!(self, Self::Tcp | Self::Https | Self::Tls | Self::Mongo | Self::Redis | Self::MySql)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
