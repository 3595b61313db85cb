//! Where an injected pod will run, and how its proxy is started there.

use serde_json::{Map, Value};

use crate::decision::Policy;

/// What injection needs to know besides the pod.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which pods get a sidecar.
    pub policy: Policy,
    /// Image of the proxy and of the init container.
    pub image: String,
    /// The proxy container's command; empty means the image's own.
    pub command: Vec<String>,
    /// The init container's command; empty means the image's own.
    pub init_command: Vec<String>,
    /// Added to the proxy's arguments.
    pub more_arguments: Vec<String>,
    /// Added to the proxy's environment.
    pub more_environment: Vec<(String, String)>,
    /// How the capture rules know the proxy's own connections.
    pub proxy_match: capture::ProxyMatch,
    /// The mesh's `defaultConfig`; annotation `proxy.istio.io/config` goes
    /// over it.
    pub proxy_config: Map<String, Value>,
    /// Whether the proxy is an init container that restarts: it is up before
    /// the application and goes after it.
    pub native_sidecar: bool,
    /// Name of the cluster in metrics.
    pub cluster_id: String,
    /// Trust domain of identities.
    pub trust_domain: String,
    /// Revision of the control plane.
    pub revision: String,
}

impl Default for Settings {
    /// As Istio's default profile, with Lateen's image.
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
            proxy_match: capture::ProxyMatch::Owner {
                uids: vec![capture::PROXY_ID],
                gids: vec![capture::PROXY_ID],
            },
            proxy_config,
            native_sidecar: true,
            cluster_id: "Kubernetes".to_owned(),
            trust_domain: "cluster.local".to_owned(),
            revision: "default".to_owned(),
        }
    }
}
