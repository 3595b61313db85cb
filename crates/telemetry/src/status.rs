//! What programs ask each other about the state of a mesh: served as JSON by
//! the control plane, read by the command line and the console.

use serde::{Deserialize, Serialize};

/// The control plane and every proxy that is connected to it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MeshStatus {
    /// The newest state of the mesh's objects.
    pub generation: u64,
    /// Connected proxies, by node id.
    pub proxies: Vec<ProxyStatus>,
}

/// One connected proxy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProxyStatus {
    /// `sidecar~10.44.0.3~reviews-v1-7d9.default~default.svc.cluster.local`.
    pub node: String,
    /// The pod.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// `sidecar` or `router`.
    pub kind: String,
    /// Which data plane, as it says of itself: `envoy`, `lateen`.
    pub user_agent: String,
    /// `delta` or `sotw`.
    pub protocol: String,
    /// The newest generation that it holds in full.
    pub held_generation: u64,
    /// The newest generation that changed anything for it.
    pub changed_generation: u64,
    /// What it has, by type.
    pub types: Vec<TypeStatus>,
}

impl ProxyStatus {
    /// Whether it holds everything that `generation` means for it.
    pub fn holds(&self, generation: u64) -> bool {
        self.held_generation >= generation
    }

    /// Everything that it refuses.
    pub fn rejections(&self) -> impl Iterator<Item = &RejectionStatus> {
        self.types.iter().flat_map(|status| &status.rejections)
    }
}

/// What a proxy has of one type.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TypeStatus {
    /// The type URL.
    pub type_url: String,
    /// How many resources it holds.
    pub held: usize,
    /// The generation of the last push.
    pub sent: u64,
    /// The generation of the last push that it answered.
    pub acknowledged: u64,
    /// A hash over what it holds.
    pub version: String,
    /// What it refuses.
    pub rejections: Vec<RejectionStatus>,
}

/// A resource that a proxy refuses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RejectionStatus {
    /// The resource.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The proxy's reason.
    pub message: String,
}
