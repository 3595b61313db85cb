//! What injection depends on beside the pod.

use capture::{PROXY_ID, ProxyMatch};
use resources::metadata::LabelSelector;
use serde_json::{Value, json};

/// Whether pods are injected that say nothing themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// They are.
    Enabled,
    /// They are not.
    Disabled,
    /// Nothing is injected, whatever a pod says.
    Off,
}

/// What the pod will run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// A cluster that has service account tokens and a certificate of its control plane.
    Kubernetes,
    /// One machine, without tokens; what a proxy reads from files there is in its environment too.
    Local,
}

/// What injection depends on beside the pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Whether pods are injected that say nothing themselves.
    pub policy: Policy,
    /// Whether namespaces are injected that say nothing themselves.
    pub namespaces_by_default: bool,
    /// Revision of the control plane.
    pub revision: String,
    /// Further names of that revision.
    pub tags: Vec<String>,
    /// Pods that are never injected unless they ask for it.
    pub never_inject: Vec<LabelSelector>,
    /// Pods that are always injected unless they refuse.
    pub always_inject: Vec<LabelSelector>,
    /// What the pod will run on.
    pub environment: Environment,
    /// Image of proxy and init container.
    pub proxy_image: String,
    /// Template of pods that name none.
    pub default_template: String,
    /// Program of the image that hooks call; none leaves those hooks out.
    pub agent_program: Option<String>,
    /// How the proxy's own connections are known in the capture rules.
    pub proxy_match: ProxyMatch,
    /// Whether the proxy is an init container that goes on.
    pub native_sidecars: bool,
    /// Whether probes of the application go through the agent.
    pub rewrite_probes: bool,
    /// Whether the application's metrics are served with the proxy's.
    pub merge_metrics: bool,
    /// Domain of the cluster.
    pub cluster_domain: String,
    /// Trust domain of the mesh.
    pub trust_domain: String,
    /// Name of the mesh.
    pub mesh_id: String,
    /// Name of the cluster.
    pub cluster_id: String,
    /// Network of the cluster; empty when there is one network.
    pub network: String,
    /// Address of the certificate authority; empty where there is none.
    pub ca_address: String,
    /// The mesh's ProxyConfig, as JSON.
    pub proxy_config: Value,
    /// Port of the agent: health, metrics, probes.
    pub status_port: u16,
    /// Outbound ranges that are captured, as a list or `*`.
    pub include_outbound_ranges: String,
    /// Outbound ranges that are not captured.
    pub exclude_outbound_ranges: String,
    /// Further variables of the proxy.
    pub proxy_environment: Vec<(String, String)>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            policy: Policy::Enabled,
            namespaces_by_default: false,
            revision: "default".to_owned(),
            tags: Vec::new(),
            never_inject: Vec::new(),
            always_inject: Vec::new(),
            environment: Environment::Kubernetes,
            proxy_image: "lateen/lateen".to_owned(),
            default_template: "sidecar".to_owned(),
            agent_program: Some("pilot-agent".to_owned()),
            proxy_match: ProxyMatch::Owner { uids: vec![PROXY_ID], gids: vec![PROXY_ID] },
            native_sidecars: false,
            rewrite_probes: true,
            merge_metrics: true,
            cluster_domain: "cluster.local".to_owned(),
            trust_domain: "cluster.local".to_owned(),
            mesh_id: "cluster.local".to_owned(),
            cluster_id: "Kubernetes".to_owned(),
            network: String::new(),
            ca_address: "istiod.istio-system.svc:15012".to_owned(),
            proxy_config: json!({}),
            status_port: 15020,
            include_outbound_ranges: "*".to_owned(),
            exclude_outbound_ranges: String::new(),
            proxy_environment: Vec::new(),
        }
    }
}
