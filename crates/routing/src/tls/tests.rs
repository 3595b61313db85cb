use serde_json::{Value, json};
use xds::envoy::config::core::v3::TransportSocket;

use super::*;

const PACKAGE: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";

fn socket(kind: &str, mut context: Value) -> TransportSocket {
    context["@type"] = json!(format!("{PACKAGE}.{kind}"));
    xds::json::decode(&json!({"name": "tls", "typed_config": context})).expect("a test's own message")
}

fn client(context: Value) -> Result<Arc<ClientTls>, Invalid> {
    match upstream(Some(&socket("UpstreamTlsContext", context)))? {
        Transport::Tls(context) => Ok(context),
        Transport::Plain => panic!("it is TLS"),
    }
}

fn server(context: Value) -> Result<Arc<ServerTls>, Invalid> {
    match downstream(Some(&socket("DownstreamTlsContext", context)))? {
        Transport::Tls(context) => Ok(context),
        Transport::Plain => panic!("it is TLS"),
    }
}

fn mesh() -> Value {
    let agent = json!({"api_config_source": {"api_type": "GRPC",
        "grpc_services": [{"envoy_grpc": {"cluster_name": "sds-grpc"}}]}});
    json!({
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3",
            "cipher_suites": ["ECDHE-ECDSA-AES256-GCM-SHA384", "AES256-GCM-SHA384"]},
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_certificate_sds_secret_configs": [{"name": "default", "sds_config": agent}],
        "combined_validation_context": {
            "default_validation_context": {"match_typed_subject_alt_names": [
                {"san_type": "URI", "matcher": {"exact": "spiffe://cluster.local/ns/a/sa/b"}}]},
            "validation_context_sds_secret_config": {"name": "ROOTCA", "sds_config": {"ads": {}}}},
    })
}

#[test]
fn the_meshs_contexts_are_understood() {
    let server = server(json!({"common_tls_context": mesh(), "require_client_certificate": true}))
        .expect("it is understood");
    assert!(server.requires_client_certificate && server.resumes);
    let common = &server.common;
    assert_eq!(common.alpn.iter().map(|name| &name[..]).collect::<Vec<_>>(), [&b"h2"[..], b"http/1.1"]);
    let Certificates::Named(names) = &common.certificates else { panic!("they are secrets") };
    assert_eq!((&*names[0].name, names[0].from_control_plane), ("default", false));
    let wanted: Vec<&str> = common.wanted_secrets().map(|name| &**name).collect();
    assert_eq!(wanted, ["ROOTCA"], "the agent has the other one");
    assert_eq!(common.parameters.suites.as_deref(), Some(&[Suite::EcdsaAes256][..]));
    let names = &common.validation.as_ref().expect("it is there").names;
    assert!(names[0].matches(&SubjectName::Uri("spiffe://cluster.local/ns/a/sa/b")));
    assert!(!names[0].matches(&SubjectName::Dns("spiffe://cluster.local/ns/a/sa/b")));
    assert!(!names[0].matches(&SubjectName::Uri("spiffe://cluster.local/ns/a/sa/bb")));
}

#[test]
fn versions_are_envoys_when_nobody_says_otherwise() {
    let ours = client(json!({})).expect("it is understood");
    assert_eq!((ours.common.parameters.min, ours.common.parameters.max), (Version::V12, Version::V12));
    assert!(ours.common.validation.is_none(), "nobody asks for the peer's certificate");
    let certificate = json!({"certificate_chain": {"inline_string": "c"}, "private_key": {"filename": "k"}});
    let theirs =
        server(json!({"common_tls_context": {"tls_certificates": [certificate]}})).expect("understood");
    assert_eq!((theirs.common.parameters.min, theirs.common.parameters.max), (Version::V12, Version::V13));
    let text = format!("{theirs:?}");
    assert!(text.contains("Inline(1 bytes)"), "no key is shown: {text}");
}

#[test]
fn what_guards_and_is_not_known_is_refused() {
    let table = [
        (
            json!({"validation_context": {"custom_validator_config": {"name": "spiffe"}}}),
            "custom_validator_config",
        ),
        (json!({"validation_context": {"max_verify_depth": 1}}), "max_verify_depth"),
        (json!({"validation_context": {"verify_certificate_hash": ["ab"]}}), "verify_certificate_hash"),
        (
            json!({"validation_context": {"match_typed_subject_alt_names":
                [{"san_type": "URI", "matcher": {"exact": "a"}}]}}),
            "match_typed_subject_alt_names",
        ),
        (json!({"tls_params": {"cipher_suites": ["NONE"]}}), "cipher_suites"),
        (json!({"tls_params": {"cipher_suites": ["AES128-SHA"]}}), "cipher_suites"),
        (json!({"tls_params": {"ecdh_curves": ["P-521"]}}), "ecdh_curves"),
        (json!({"custom_handshaker": {"name": "own"}}), "custom_handshaker"),
        (
            json!({"tls_params": {"tls_minimum_protocol_version": "TLSv1_3",
                "tls_maximum_protocol_version": "TLSv1_2"}}),
            "tls_maximum_protocol_version",
        ),
    ];
    for (common, field) in table {
        let refused = client(json!({"common_tls_context": common})).expect_err(field);
        assert!(refused.field.contains(field), "{refused}");
    }
    let refused = server(json!({"common_tls_context": {}})).expect_err("no certificate");
    assert!(refused.reason.contains("certificate"), "{refused}");
    let unknown: TransportSocket =
        xds::json::decode(&json!({"name": "envoy.transport_sockets.alts"})).expect("fine");
    assert!(upstream(Some(&unknown)).is_err());
}

#[test]
fn hashes_are_read_as_envoy_writes_them() {
    let colons = (0..32).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":");
    let hash = hex_hash(&colons).expect("a hash");
    assert_eq!((hash[0], hash[31]), (0, 31));
    assert_eq!(hex_hash(&colons.replace(':', "")), Some(hash));
    assert_eq!(base64_hash("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="), Some(hash));
    assert_eq!(base64_hash("AAECAwQ="), None);
    assert_eq!(hex_hash("0"), None);
}
