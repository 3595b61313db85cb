//! Protocol selection.

use super::*;

#[test]
fn service_ports_speak_what_they_say() {
    for (name, app_protocol, port, expected) in [
        ("http", None, 9080, Protocol::Http),
        ("http-web", None, 80, Protocol::Http),
        ("HTTP2", None, 80, Protocol::Http2),
        ("http2foo", None, 80, Protocol::Detected),
        ("grpc-web-x", None, 80, Protocol::GrpcWeb),
        ("grpc-x", None, 80, Protocol::Grpc),
        ("", None, 9080, Protocol::Detected),
        ("", None, 3306, Protocol::Tcp),
        ("mongo", None, 27017, Protocol::Tcp),
        ("http", Some("kubernetes.io/h2c"), 80, Protocol::Http2),
        ("http", Some("tcp"), 80, Protocol::Tcp),
        ("http", Some("example.com/x"), 80, Protocol::Detected),
        ("https", None, 443, Protocol::Https),
    ] {
        assert_eq!(Protocol::of_service_port(name, app_protocol, port), expected, "{name} {app_protocol:?}");
    }
}
