//! Header names that the proxy itself looks at.

/// A header name, recognised once when a head is parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Known {
    Other,
    Te,
    Via,
    Date,
    Host,
    Cookie,
    Expect,
    Origin,
    Server,
    Trailer,
    Upgrade,
    Location,
    Connection,
    KeepAlive,
    UserAgent,
    GrpcStatus,
    ContentType,
    XRequestId,
    ContentLength,
    Http2Settings,
    XForwardedFor,
    XEnvoyInternal,
    XForwardedHost,
    ProxyConnection,
    XForwardedProto,
    TransferEncoding,
    XEnvoyPeerMetadata,
    XEnvoyAttemptCount,
    XEnvoyOriginalPath,
    XForwardedClientCert,
    XEnvoyPeerMetadataId,
    XEnvoyDecoratorOperation,
    XEnvoyUpstreamServiceTime,
}

impl Known {
    const ALL: [(Known, &'static str); 32] = [
        (Known::Te, "te"),
        (Known::Via, "via"),
        (Known::Date, "date"),
        (Known::Host, "host"),
        (Known::Cookie, "cookie"),
        (Known::Expect, "expect"),
        (Known::Origin, "origin"),
        (Known::Server, "server"),
        (Known::Trailer, "trailer"),
        (Known::Upgrade, "upgrade"),
        (Known::Location, "location"),
        (Known::Connection, "connection"),
        (Known::KeepAlive, "keep-alive"),
        (Known::UserAgent, "user-agent"),
        (Known::GrpcStatus, "grpc-status"),
        (Known::ContentType, "content-type"),
        (Known::XRequestId, "x-request-id"),
        (Known::ContentLength, "content-length"),
        (Known::Http2Settings, "http2-settings"),
        (Known::XForwardedFor, "x-forwarded-for"),
        (Known::XEnvoyInternal, "x-envoy-internal"),
        (Known::XForwardedHost, "x-forwarded-host"),
        (Known::ProxyConnection, "proxy-connection"),
        (Known::XForwardedProto, "x-forwarded-proto"),
        (Known::TransferEncoding, "transfer-encoding"),
        (Known::XEnvoyPeerMetadata, "x-envoy-peer-metadata"),
        (Known::XEnvoyAttemptCount, "x-envoy-attempt-count"),
        (Known::XEnvoyOriginalPath, "x-envoy-original-path"),
        (Known::XForwardedClientCert, "x-forwarded-client-cert"),
        (Known::XEnvoyPeerMetadataId, "x-envoy-peer-metadata-id"),
        (Known::XEnvoyDecoratorOperation, "x-envoy-decorator-operation"),
        (Known::XEnvoyUpstreamServiceTime, "x-envoy-upstream-service-time"),
    ];

    /// The name in lower case; empty for [`Known::Other`].
    pub fn name(self) -> &'static str {
        (self as usize).checked_sub(1).and_then(|place| Known::ALL.get(place)).map_or("", |(_, name)| name)
    }

    /// Recognises a name in any case.
    pub fn of(name: &[u8]) -> Known {
        // The list is ordered by length: each length has few names.
        let (from, to) = match name.len() {
            2 => (0, 1),
            3 => (1, 2),
            4 => (2, 4),
            6 => (4, 8),
            7 => (8, 10),
            8 => (10, 11),
            10 => (11, 14),
            11 => (14, 15),
            12 => (15, 17),
            14 => (17, 19),
            15 => (19, 20),
            16 => (20, 23),
            17 => (23, 25),
            21 => (25, 28),
            23 => (28, 29),
            24 => (29, 30),
            27 => (30, 31),
            29 => (31, 32),
            _ => return Known::Other,
        };
        Known::ALL[from..to]
            .iter()
            .find(|(_, known)| name.eq_ignore_ascii_case(known.as_bytes()))
            .map_or(Known::Other, |(known, _)| *known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_recognised_in_any_case() {
        for (place, (known, name)) in Known::ALL.iter().enumerate() {
            assert_eq!(*known as usize, place + 1, "{name}");
            assert_eq!(Known::of(name.as_bytes()), *known, "{name}");
            assert_eq!(Known::of(name.to_ascii_uppercase().as_bytes()), *known, "{name}");
            assert_eq!(known.name(), *name);
        }
        assert_eq!(Known::of(b"x-other"), Known::Other);
        assert_eq!(Known::Other.name(), "");
    }
}
