//! Reading nodes.

use xds::envoy::config::core::v3;

use super::*;

fn node(json: serde_json::Value) -> Result<Node, NodeError> {
    Node::from_xds(&xds::json::decode::<v3::Node>(&json).expect("a node"))
}

#[test]
fn sidecar_says_who_it_is() {
    let node = node(serde_json::json!({
        "id": "sidecar~10.44.0.7~reviews-v1-0.default~default.svc.cluster.local",
        "metadata": {
            "LABELS": {"app": "reviews", "version": "v1"},
            "OWNER": "kubernetes://apis/apps/v1/namespaces/default/deployments/reviews-v1",
            "SERVICE_ACCOUNT": "bookinfo-reviews",
        },
    }))
    .expect("a node");
    assert_eq!((node.name.as_str(), node.ip.as_str()), ("reviews-v1-0", "10.44.0.7"));
    assert_eq!(node.facets.kind, Kind::Sidecar);
    assert_eq!(node.facets.namespace, "default");
    assert_eq!(node.facets.workload, "reviews-v1");
    assert_eq!((node.facets.app(), node.facets.version()), ("reviews", "v1"));
    assert_eq!(node.facets.canonical_revision(), "v1");
}

#[test]
fn node_without_a_list_has_what_its_kind_has() {
    let stock = node(serde_json::json!({"id": "router~1.1.1.1~a.b~b.svc.cluster.local"})).expect("a node");
    let proxyv2 = node(serde_json::json!({
        "id": "router~1.1.1.1~a.b~b.svc.cluster.local", "metadata": {"ISTIO_VERSION": "1.28.0"}
    }))
    .expect("a node");
    assert!(!stock.facets.extensions.hold_name("stats.PluginConfig"));
    assert!(proxyv2.facets.extensions.hold_name("stats.PluginConfig"));
}

#[test]
fn other_ids_are_refused() {
    assert_eq!(
        node(serde_json::json!({"id": "x"})).map_err(|error| error.to_string()),
        Err("node id `x` is not of the form `TYPE~IP~NAME.NAMESPACE~DOMAIN`".to_owned())
    );
    assert!(matches!(node(serde_json::json!({"id": "ztunnel~1.1.1.1~a.b~c"})), Err(NodeError::Kind { .. })));
}
