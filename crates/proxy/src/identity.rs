//! Who this proxy is, and what it tells its peers about itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;
use prost_types::value::Kind;
use prost_types::{Struct, Value};
use telemetry::istio::Workload;
use xds::envoy::config::core::v3::Node;

/// Labels of a pod that describe its workload.
const APP: &str = "app";
const VERSION: &str = "version";
const CANONICAL_NAME: &str = "service.istio.io/canonical-name";
const CANONICAL_REVISION: &str = "service.istio.io/canonical-revision";

/// Who this proxy is.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// The node as the control plane knows it.
    pub node: Node,
    /// Its workload, as labels of metrics.
    pub workload: Workload,
    /// The value of `x-envoy-peer-metadata`.
    pub peer_metadata: String,
}

impl Identity {
    /// Reads the node's metadata.
    pub fn new(node: Node) -> Identity {
        let empty = Struct::default();
        let metadata = node.metadata.as_ref().unwrap_or(&empty);
        let workload = workload(metadata);
        let peer_metadata = STANDARD.encode(told(metadata).encode_to_vec());
        Identity { workload, peer_metadata, node }
    }

    /// Whether the metadata ask for reasons in responses:
    /// `ISTIO_META_LATEEN_REASONS: "true"` in `proxyMetadata`.
    pub fn tells_reasons(&self) -> bool {
        let metadata = self.node.metadata.as_ref();
        metadata.and_then(|metadata| text(metadata, "LATEEN_REASONS")) == Some("true")
    }

    /// The value of `x-envoy-peer-metadata-id`.
    pub fn node_id(&self) -> &str {
        &self.node.id
    }
}

/// The workload that metadata describe: our own, or a peer's.
fn workload(metadata: &Struct) -> Workload {
    let labels = match kind(metadata, "LABELS") {
        Some(Kind::StructValue(labels)) => labels.clone(),
        _ => Struct::default(),
    };
    let own = |name| text(metadata, name).unwrap_or_default().to_owned();
    let label = |name| text(&labels, name).unwrap_or_default().to_owned();
    let name = own("WORKLOAD_NAME");
    let canonical = [label(CANONICAL_NAME), label(APP), name.clone()];
    Workload {
        namespace: own("NAMESPACE"),
        canonical_service: canonical.into_iter().find(|name| !name.is_empty()).unwrap_or_default(),
        canonical_revision: [label(CANONICAL_REVISION), label(VERSION)]
            .into_iter()
            .find(|revision| !revision.is_empty())
            .unwrap_or_default(),
        app: label(APP),
        version: label(VERSION),
        cluster: own("CLUSTER_ID"),
        principal: String::new(),
        name,
    }
}

/// The part of the metadata that peers are told.
fn told(metadata: &Struct) -> Struct {
    const NAMES: [&str; 6] = ["CLUSTER_ID", "MESH_ID", "NAME", "NAMESPACE", "OWNER", "WORKLOAD_NAME"];
    const LABELS: [&str; 4] = [APP, VERSION, CANONICAL_NAME, CANONICAL_REVISION];
    let mut told = Struct::default();
    for name in NAMES {
        if let Some(value) = metadata.fields.get(name) {
            told.fields.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(Kind::StructValue(labels)) = kind(metadata, "LABELS") {
        let wanted = labels.fields.iter().filter(|(name, _)| LABELS.contains(&name.as_str()));
        let labels = Struct { fields: wanted.map(|(name, value)| (name.clone(), value.clone())).collect() };
        told.fields.insert("LABELS".to_owned(), Value { kind: Some(Kind::StructValue(labels)) });
    }
    told
}

/// The workload that a peer's `x-envoy-peer-metadata` describes.
pub fn peer(header: &[u8]) -> Option<Workload> {
    let bytes = STANDARD.decode(header).ok()?;
    Some(workload(&Struct::decode(bytes.as_slice()).ok()?))
}

/// The workload that an endpoint's metadata describe:
/// `name;namespace;canonical name;canonical revision;cluster`.
pub fn endpoint(text: &str) -> Workload {
    let mut parts = text.split(';').map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    let (name, namespace, canonical_service, canonical_revision) = (next(), next(), next(), next());
    Workload {
        app: canonical_service.clone(),
        version: canonical_revision.clone(),
        cluster: next(),
        name,
        namespace,
        canonical_service,
        canonical_revision,
        principal: String::new(),
    }
}

fn kind<'a>(fields: &'a Struct, name: &str) -> Option<&'a Kind> {
    fields.fields.get(name)?.kind.as_ref()
}

fn text<'a>(fields: &'a Struct, name: &str) -> Option<&'a str> {
    match kind(fields, name)? {
        Kind::StringValue(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Node {
        let json = serde_json::json!({"id": "sidecar~10.44.0.3~reviews-v1-1.default~default.svc.cluster.local",
            "metadata": {"WORKLOAD_NAME": "reviews-v1", "NAMESPACE": "default", "CLUSTER_ID": "Kubernetes",
                "SECRET": "kept", "LABELS": {"app": "reviews", "version": "v1", "pod-template-hash": "x"}}});
        xds::json::decode(&json).expect("a test's own JSON")
    }

    #[test]
    fn peers_are_told_what_they_can_read() {
        let identity = Identity::new(node());
        assert_eq!(peer(identity.peer_metadata.as_bytes()).as_ref(), Some(&identity.workload));
        assert_eq!(identity.workload.canonical_service, "reviews");
        assert_eq!(identity.workload.version, "v1");
        let told = told(identity.node.metadata.as_ref().expect("it has some"));
        assert!(!told.fields.contains_key("SECRET"));
        assert_eq!(peer(b"not base64!"), None);
    }

    #[test]
    fn endpoints_describe_their_workload() {
        let workload = endpoint("reviews-v2;default;reviews;v2;Kubernetes");
        assert_eq!((workload.name.as_str(), workload.version.as_str()), ("reviews-v2", "v2"));
        assert_eq!(workload.cluster, "Kubernetes");
        assert_eq!(endpoint("").name, "");
    }
}
