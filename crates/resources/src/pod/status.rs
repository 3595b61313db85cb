//! What is known of a running pod.

use serde::Deserialize;
use serde_json::Value;

/// State of a pod.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// Where it stands.
    pub phase: PodPhase,
    /// Conditions by type, of which `Ready` decides whether it takes traffic.
    pub conditions: Vec<PodCondition>,
    /// Its address; empty before it has one.
    #[serde(rename = "podIP")]
    pub pod_ip: String,
    /// Its addresses, one per family.
    #[serde(rename = "podIPs")]
    pub pod_ips: Vec<PodIp>,
    /// Address of its node.
    #[serde(rename = "hostIP")]
    pub host_ip: String,
    /// Addresses of its node.
    #[serde(rename = "hostIPs")]
    pub host_ips: Vec<PodIp>,
    /// When it started.
    pub start_time: Option<jiff::Timestamp>,
    /// Its containers.
    pub container_statuses: Vec<ContainerStatus>,
    /// Its init containers.
    pub init_container_statuses: Vec<ContainerStatus>,
    /// Its debugging containers; never read.
    pub ephemeral_container_statuses: Vec<Value>,
    /// Why it is in this phase, in a word.
    pub reason: String,
    /// Why it is in this phase.
    pub message: String,
    /// Class of service; never read.
    pub qos_class: String,
    /// Node it displaces others on; never read.
    pub nominated_node_name: String,
    /// Whether limits change; never read.
    pub resize: String,
    /// Generation it speaks of; never read.
    pub observed_generation: i64,
    /// Claims on devices; never read.
    pub resource_claim_statuses: Vec<Value>,
    /// Claims on devices; never read.
    pub extended_resource_claim_status: Option<Value>,
}

impl PodStatus {
    /// Whether the pod takes traffic.
    pub fn is_ready(&self) -> bool {
        self.conditions
            .iter()
            .any(|condition| condition.condition_type == "Ready" && condition.status == "True")
    }
}

/// Where a pod stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum PodPhase {
    /// Accepted, not running yet. Left when all containers have started.
    #[default]
    Pending,
    /// At least one container runs or is about to be started again.
    Running,
    /// All containers ended well and stay so.
    Succeeded,
    /// All containers ended, at least one badly, and stay so.
    Failed,
    /// Its node does not answer.
    Unknown,
}

/// A condition of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodCondition {
    /// Which, such as `Ready`.
    #[serde(rename = "type")]
    pub condition_type: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, in a word.
    pub reason: String,
    /// Why.
    pub message: String,
    /// Since when.
    pub last_transition_time: Option<jiff::Timestamp>,
    /// Last looked at.
    pub last_probe_time: Option<jiff::Timestamp>,
    /// Generation it speaks of; never read.
    pub observed_generation: i64,
}

/// An address of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodIp {
    /// The address.
    pub ip: String,
}

/// State of a container.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    /// Its name.
    pub name: String,
    /// What it does now.
    pub state: ContainerState,
    /// What it did before the last start.
    pub last_state: ContainerState,
    /// Whether it passes its readiness probe.
    pub ready: bool,
    /// Whether it passed its startup probe and hook.
    pub started: Option<bool>,
    /// How often it was started again.
    pub restart_count: u32,
    /// Its image.
    pub image: String,
    /// Its image, exactly.
    #[serde(rename = "imageID")]
    pub image_id: String,
    /// Its identity at the runtime.
    #[serde(rename = "containerID")]
    pub container_id: String,
    /// Limits given; never read.
    pub allocated_resources: Option<Value>,
    /// Its devices; never read.
    pub allocated_resources_status: Vec<Value>,
    /// Its limits; never read.
    pub resources: Option<Value>,
    /// Its mounts; never read.
    pub volume_mounts: Vec<Value>,
    /// Its user; never read.
    pub user: Option<Value>,
    /// Its stop signal; never read.
    pub stop_signal: Option<String>,
}

/// What a container does: at most one of the three.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerState {
    /// It waits to be started: `reason` and `message`.
    pub waiting: Option<Value>,
    /// It runs: `startedAt`.
    pub running: Option<Value>,
    /// It ended: `exitCode`, `reason`.
    pub terminated: Option<Value>,
}
