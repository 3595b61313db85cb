//! Where an injected pod will run, and how its proxy is started there.

use capture::{PROXY_ID, ProxyMatch};
use serde_json::{Map, Value};

use crate::decision::Policy;

/// What injection needs to know besides the pod.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which pods get a proxy.
    pub policy: Policy,
    /// Image of the proxy and of the init container.
    pub image: String,
    /// The proxy container's command; empty means the image's own.
    pub command: Vec<String>,
    /// The init container's command; empty means the image's own, which is told `istio-iptables` first.
    pub init_command: Vec<String>,
    /// Added to the proxy's arguments.
    pub more_arguments: Vec<String>,
    /// Added to the proxy's environment.
    pub more_environment: Vec<(String, String)>,
    /// What hooks call to wait for the proxy and to drain it; empty leaves those hooks out.
    pub agent_command: Vec<String>,
    /// How the capture rules know the proxy's own connections.
    pub proxy_match: ProxyMatch,
    /// The mesh's `defaultConfig`; annotation `proxy.istio.io/config` goes over it.
    pub proxy_config: Map<String, Value>,
    /// Whether the proxy is an init container that restarts: it is up before the application and goes after it.
    pub native_sidecar: bool,
    /// Whether the control plane gives certificates: with tokens, its own certificate, and sockets for them.
    pub certificates: bool,
    /// Whether the application's probes go through the agent.
    pub rewrite_probes: bool,
    /// Whether the application's metrics are served with the proxy's.
    pub merge_metrics: bool,
    /// Name of the cluster in metrics.
    pub cluster_id: String,
    /// Network of the cluster; empty where there is one.
    pub network: String,
    /// Domain of the cluster's names.
    pub cluster_domain: String,
    /// Trust domain of identities, and name of the mesh.
    pub trust_domain: String,
    /// Revision of the control plane.
    pub revision: String,
    /// Outbound ranges that are captured where a pod does not say, as a list or `*`.
    pub include_outbound_ranges: String,
    /// Outbound ranges that are left alone where a pod does not say.
    pub exclude_outbound_ranges: String,
}

impl Default for Settings {
    /// As Istio's default profile, with Lateen's image and without certificates.
    fn default() -> Self {
        let mut proxy_config = Map::new();
        proxy_config.insert("discoveryAddress".into(), "istiod.istio-system.svc:15010".into());
        Self {
            policy: Policy::default(),
            image: "lateen/lateen".to_owned(),
            command: Vec::new(),
            init_command: Vec::new(),
            more_arguments: Vec::new(),
            more_environment: Vec::new(),
            agent_command: Vec::new(),
            proxy_match: ProxyMatch::Owner { uids: vec![PROXY_ID], gids: vec![PROXY_ID] },
            proxy_config,
            native_sidecar: true,
            certificates: false,
            rewrite_probes: true,
            merge_metrics: true,
            cluster_id: "Kubernetes".to_owned(),
            network: String::new(),
            cluster_domain: "cluster.local".to_owned(),
            trust_domain: "cluster.local".to_owned(),
            revision: "default".to_owned(),
            include_outbound_ranges: "*".to_owned(),
            exclude_outbound_ranges: String::new(),
        }
    }
}
