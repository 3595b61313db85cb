//! Tests of finding the name that was meant.

use super::nearest;
use super::spelling::to_camel_case;

#[test]
fn the_nearest_name_is_found() {
    let fields = ["hosts", "gateways", "http", "tls", "tcp", "exportTo"];
    let cases = [
        ("gateway", Some("gateways")),
        ("host", Some("hosts")),
        ("HTTP", Some("http")),
        ("htpt", Some("http")),
        ("export_to", Some("exportTo")),
        ("exportsTo", Some("exportTo")),
        ("something", None),
        ("x", None),
        ("", None),
    ];
    for (name, expected) in cases {
        assert_eq!(nearest(name, fields), expected, "{name}");
    }
}

#[test]
fn proto_names_become_json_names() {
    let cases = [
        ("per_try_timeout", "perTryTimeout"),
        ("consecutive_5xx_errors", "consecutive5xxErrors"),
        ("http1_max_pending_requests", "http1MaxPendingRequests"),
        ("useSourceIp", "useSourceIp"),
    ];
    for (proto, json) in cases {
        assert_eq!(to_camel_case(proto), json);
    }
}
