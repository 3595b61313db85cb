//! The asking data plane, read from what it says of itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost_types::Value;
use prost_types::value::Kind as ValueKind;
use resources::mesh_config::MeshConfig;
use xds::envoy::config::core::v3;

use crate::extensions::Extensions;
use crate::mesh::CLUSTER_ID;
use crate::mutual_tls;

/// Why a node could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// Not `TYPE~IP~NAME.NAMESPACE~DOMAIN`.
    #[error("node id `{0}` is not of the form `TYPE~IP~NAME.NAMESPACE~DOMAIN`")]
    Id(String),
    /// A type of proxy that is not served.
    #[error("node id `{id}` has the unknown type `{kind}`; known are `sidecar` and `router`")]
    Kind {
        /// The whole id.
        id: String,
        /// Its first part.
        kind: String,
    },
}

/// What a proxy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Beside an application.
    Sidecar,
    /// A gateway.
    Router,
}

/// A data plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: String,
    /// Its own address.
    pub ip: String,
    /// The name of its pod.
    pub name: String,
    /// Everything about it that decides what it gets; equal for replicas.
    pub facets: Facets,
}

/// The part of a node that decides what it gets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Facets {
    /// Sidecar or gateway.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// The labels of its pod.
    pub labels: BTreeMap<String, String>,
    /// The workload it belongs to, such as `reviews-v1`.
    pub workload: String,
    /// Its service account.
    pub service_account: String,
    /// The name of its cluster.
    pub cluster_id: String,
    /// Its region, zone and sub-zone.
    pub locality: Locality,
    /// What it has compiled in.
    pub extensions: Extensions,
    /// What holds for the whole mesh; a snapshot's generator sets it.
    pub mesh_config: Arc<MeshConfig>,
    /// Whether its agent answers the application's questions about names.
    pub captures_names: bool,
    /// Where it is an HTTP proxy, when it says so itself.
    pub http_proxy_port: Option<u16>,
}

/// A place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Locality {
    /// Region.
    pub region: String,
    /// Zone.
    pub zone: String,
    /// Sub-zone.
    pub sub_zone: String,
}

impl Locality {
    /// Where a pod is, as its labels say.
    pub(crate) fn of_labels(labels: &BTreeMap<String, String>) -> Self {
        if let Some(text) = labels.get("istio-locality").filter(|text| !text.is_empty()) {
            // Labels hold no slashes, so dots stand for them.
            let separator = if text.contains('/') { '/' } else { '.' };
            let mut parts = text.splitn(3, separator).map(str::to_owned);
            let mut next = || parts.next().unwrap_or_default();
            return Self { region: next(), zone: next(), sub_zone: next() };
        }
        let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
        Self {
            region: label("topology.kubernetes.io/region"),
            zone: label("topology.kubernetes.io/zone"),
            sub_zone: label("topology.istio.io/subzone"),
        }
    }
}

impl Node {
    /// Reads a node as it comes in the first request of a stream.
    pub fn from_xds(node: &v3::Node) -> Result<Self, NodeError> {
        let parts: Vec<&str> = node.id.split('~').collect();
        let [kind, ip, name, domain] = parts.as_slice() else { return Err(NodeError::Id(node.id.clone())) };
        let kind = match *kind {
            "sidecar" => Kind::Sidecar,
            "router" => Kind::Router,
            other => return Err(NodeError::Kind { id: node.id.clone(), kind: other.to_owned() }),
        };
        let (name, id_namespace) = name.split_once('.').unwrap_or((name, ""));
        let metadata = Metadata(node.metadata.as_ref());
        let namespace = metadata
            .text("NAMESPACE")
            .or_else(|| Some(id_namespace.to_owned()).filter(|text| !text.is_empty()))
            .unwrap_or_else(|| domain.split('.').next().unwrap_or_default().to_owned());
        let labels = metadata.map("LABELS");
        let workload =
            metadata.text("WORKLOAD_NAME").or_else(|| metadata.owner()).unwrap_or_else(|| name.to_owned());
        let istio_version = metadata.text("ISTIO_VERSION");
        let facets = Facets {
            kind,
            namespace,
            labels,
            workload,
            service_account: metadata.text("SERVICE_ACCOUNT").unwrap_or_else(|| "default".to_owned()),
            cluster_id: metadata.text("CLUSTER_ID").unwrap_or_else(|| CLUSTER_ID.to_owned()),
            locality: locality(node.locality.as_ref()),
            extensions: Extensions::of_node(node, istio_version.as_deref()),
            mesh_config: Arc::default(),
            captures_names: metadata.text("DNS_CAPTURE").as_deref() == Some("true"),
            http_proxy_port: metadata.text("HTTP_PROXY_PORT").and_then(|port| port.parse().ok()),
        };
        Ok(Self { id: node.id.clone(), ip: (*ip).to_owned(), name: name.to_owned(), facets })
    }
}

impl Facets {
    /// Whether the proxy has a certificate of the mesh.
    pub(crate) fn has_certificate(&self) -> bool {
        let holds = self.kind == Kind::Router || mutual_tls::takes_tls(&self.labels);
        holds && self.mesh_config.gives_certificates()
    }

    /// What the workload is called in metrics: the label `app` or what stands
    /// for it.
    pub fn app(&self) -> &str {
        app(&self.labels).unwrap_or("unknown")
    }

    /// The label `version` or what stands for it.
    pub fn version(&self) -> &str {
        version(&self.labels).unwrap_or("unknown")
    }

    /// The service that the workload is a version of.
    pub fn canonical_service(&self) -> &str {
        canonical_service(&self.labels).unwrap_or(&self.workload)
    }

    /// Where applications find an HTTP proxy.
    pub(crate) fn http_proxy(&self) -> Option<u16> {
        let port = self.http_proxy_port.unwrap_or(self.mesh_config.proxy_http_port);
        (port > 0 && self.kind == Kind::Sidecar).then_some(port)
    }

    /// Which version of it.
    pub fn canonical_revision(&self) -> &str {
        canonical_revision(&self.labels)
    }
}

/// The application that labels name.
pub(crate) fn app(labels: &BTreeMap<String, String>) -> Option<&str> {
    first(labels, &["app", "app.kubernetes.io/name", "service.istio.io/canonical-name"])
}

/// The version that labels name.
pub(crate) fn version(labels: &BTreeMap<String, String>) -> Option<&str> {
    first(labels, &["version", "app.kubernetes.io/version", "service.istio.io/canonical-revision"])
}

/// The canonical service that labels name.
pub(crate) fn canonical_service(labels: &BTreeMap<String, String>) -> Option<&str> {
    first(labels, &["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"])
}

/// The canonical revision that labels name; `latest` when none does.
pub(crate) fn canonical_revision(labels: &BTreeMap<String, String>) -> &str {
    first(labels, &["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"])
        .unwrap_or("latest")
}

fn first<'a>(labels: &'a BTreeMap<String, String>, keys: &[&str]) -> Option<&'a str> {
    keys.iter().find_map(|key| labels.get(*key)).map(String::as_str)
}

fn locality(locality: Option<&v3::Locality>) -> Locality {
    locality.map_or_else(Locality::default, |locality| Locality {
        region: locality.region.clone(),
        zone: locality.zone.clone(),
        sub_zone: locality.sub_zone.clone(),
    })
}

/// A node's metadata, whatever its shape.
struct Metadata<'a>(Option<&'a prost_types::Struct>);

impl Metadata<'_> {
    fn kind(&self, key: &str) -> Option<&ValueKind> {
        self.0?.fields.get(key)?.kind.as_ref()
    }

    fn text(&self, key: &str) -> Option<String> {
        match self.kind(key)? {
            ValueKind::StringValue(text) if !text.is_empty() => Some(text.clone()),
            _ => None,
        }
    }

    fn map(&self, key: &str) -> BTreeMap<String, String> {
        let Some(ValueKind::StructValue(value)) = self.kind(key) else { return BTreeMap::new() };
        let text = |value: &Value| match value.kind.as_ref() {
            Some(ValueKind::StringValue(text)) => text.clone(),
            _ => String::new(),
        };
        value.fields.iter().map(|(key, value)| (key.clone(), text(value))).collect()
    }

    /// The workload at the end of `kubernetes://apis/apps/v1/namespaces/NS/deployments/NAME`.
    fn owner(&self) -> Option<String> {
        let owner = self.text("OWNER")?;
        owner.rsplit('/').next().filter(|name| !name.is_empty()).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests;
