//! The JSON form, there and back, and the handwritten descriptors.

use prost::{Message as _, Name as _};
use serde_json::json;

use super::*;
use crate::envoy::config::cluster::v3::Cluster;
use crate::istio;

#[test]
fn message_goes_there_and_back() {
    let json = json!({
        "name": "outbound|9080||reviews.default.svc.cluster.local",
        "type": "EDS",
        "connect_timeout": "0.250s",
        "per_connection_buffer_limit_bytes": 1024,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "metadata": {"filter_metadata": {"lateen": {"object": "Service/default/reviews", "weight": 3}}},
    });
    let cluster: Cluster = decode(&json).expect("a cluster");
    assert_eq!(encode(&cluster), json);
}

#[test]
fn any_of_unknown_type_is_type_and_base64() {
    let any = Any { type_url: "type.googleapis.com/a.B".to_owned(), value: vec![1, 2].into() };
    assert_eq!(encode_any(&any), json!({"@type": "type.googleapis.com/a.B", "value": "AQI="}));
}

#[test]
fn unknown_field_is_an_error_that_names_it() {
    let error = decode::<Cluster>(&json!({"nam": "x"})).expect_err("no such field");
    assert!(error.to_string().contains("nam"), "{error}");
}

#[test]
fn handwritten_messages_have_matching_descriptors() {
    let config = istio::stats::PluginConfig {
        disable_host_header_fallback: true,
        tcp_reporting_duration: Some(prost_types::Duration { seconds: 5, nanos: 0 }),
        metrics: vec![istio::stats::MetricConfig {
            dimensions: [("a".to_owned(), "b".to_owned())].into(),
            name: "requests_total".to_owned(),
            tags_to_remove: vec!["x".to_owned()],
            r#match: "m".to_owned(),
            drop: true,
        }],
        definitions: vec![istio::stats::MetricDefinition {
            name: "n".to_owned(),
            value: "v".to_owned(),
            r#type: istio::stats::MetricType::Histogram.into(),
        }],
        reporter: istio::stats::Reporter::ServerGateway.into(),
        rotation_interval: None,
        graceful_deletion_interval: None,
    };
    assert_eq!(
        encode_any(&crate::any::pack(&config)),
        json!({
            "@type": "type.googleapis.com/stats.PluginConfig",
            "disable_host_header_fallback": true,
            "tcp_reporting_duration": "5s",
            "metrics": [{"dimensions": {"a": "b"}, "name": "requests_total", "tags_to_remove": ["x"],
                         "match": "m", "drop": true}],
            "definitions": [{"name": "n", "value": "v", "type": "HISTOGRAM"}],
            "reporter": "SERVER_GATEWAY",
        })
    );
    let table = istio::nds::NameTable {
        table: [(
            "a.b".to_owned(),
            istio::nds::NameInfo { ips: vec!["1.1.1.1".to_owned()], ..Default::default() },
        )]
        .into(),
    };
    assert_eq!(encode(&table), json!({"table": {"a.b": {"ips": ["1.1.1.1"]}}}));
    let alpn = istio::alpn::FilterConfig {
        alpn_override: vec![istio::alpn::AlpnOverride {
            upstream_protocol: istio::alpn::Protocol::Http2.into(),
            alpn_override: vec!["h2".to_owned()],
        }],
    };
    assert_eq!(
        encode(&alpn),
        json!({"alpn_override": [{"upstream_protocol": "HTTP2", "alpn_override": ["h2"]}]})
    );
}

#[test]
fn typed_struct_shows_its_value() {
    let any = istio::typed_struct("type.googleapis.com/x.Y", crate::origin::string_struct([("k", "v")]));
    assert_eq!(
        encode_any(&any),
        json!({
            "@type": istio::udpa::TypedStruct::type_url(),
            "type_url": "type.googleapis.com/x.Y",
            "value": {"k": "v"},
        })
    );
    assert_eq!(
        istio::udpa::TypedStruct::decode(any.value.as_ref()).map(|it| it.type_url).as_deref(),
        Ok("type.googleapis.com/x.Y")
    );
}
