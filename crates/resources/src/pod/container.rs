//! Containers of a pod, their environment and mounts.

use serde::Deserialize;
use serde_json::Value;

use super::RestartPolicy;
use super::probe::{Lifecycle, Probe};
use super::security::SecurityContext;
use crate::service::TransportProtocol;

/// A container.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Its name, unique in the pod.
    pub name: String,
    /// Its image.
    pub image: String,
    /// When the image is pulled.
    pub image_pull_policy: String,
    /// Program and first arguments; empty means as the image says.
    pub command: Vec<String>,
    /// Further arguments; empty means as the image says.
    pub args: Vec<String>,
    /// Directory to start in; empty means as the image says.
    pub working_dir: String,
    /// Ports it listens on.
    pub ports: Vec<ContainerPort>,
    /// Environment variables; a later one of the same name wins.
    pub env: Vec<EnvVar>,
    /// Whole ConfigMaps and Secrets as environment variables.
    pub env_from: Vec<EnvFromSource>,
    /// Limits and requests; never read.
    pub resources: Option<Value>,
    /// How changes of limits take effect; never read.
    pub resize_policy: Vec<Value>,
    /// `Always` on an init container makes it a sidecar.
    pub restart_policy: Option<RestartPolicy>,
    /// Restart by exit code; never read.
    pub restart_policy_rules: Vec<Value>,
    /// What is mounted where.
    pub volume_mounts: Vec<VolumeMount>,
    /// Block devices; never read.
    pub volume_devices: Vec<Value>,
    /// Whether it must be started again.
    pub liveness_probe: Option<Probe>,
    /// Whether it takes traffic.
    pub readiness_probe: Option<Probe>,
    /// Whether it has started.
    pub startup_probe: Option<Probe>,
    /// What happens after start and before stop.
    pub lifecycle: Option<Lifecycle>,
    /// File with its last words; never read.
    pub termination_message_path: String,
    /// Where its last words come from; never read.
    pub termination_message_policy: String,
    /// User, group and rights.
    pub security_context: Option<SecurityContext>,
    /// Keep standard input open.
    pub stdin: bool,
    /// Close standard input after the first client.
    pub stdin_once: bool,
    /// Give it a terminal.
    pub tty: bool,
}

/// A port that a container listens on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerPort {
    /// Its name, which Services and probes may use.
    pub name: String,
    /// Its number.
    pub container_port: u16,
    /// TCP, UDP or SCTP.
    pub protocol: TransportProtocol,
    /// Port of the node.
    pub host_port: u16,
    /// Address of the node.
    #[serde(rename = "hostIP")]
    pub host_ip: String,
}

/// An environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// Its value; `$(NAME)` stands for another variable.
    pub value: String,
    /// Where its value comes from.
    pub value_from: Option<EnvVarSource>,
}

/// Where the value of a variable comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvVarSource {
    /// A field of the pod.
    pub field_ref: Option<FieldRef>,
    /// A limit or request of a container.
    pub resource_field_ref: Option<Value>,
    /// A key of a ConfigMap.
    pub config_map_key_ref: Option<KeySelector>,
    /// A key of a Secret.
    pub secret_key_ref: Option<KeySelector>,
    /// A key of a file in a volume.
    pub file_key_ref: Option<Value>,
}

/// A field of the pod.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FieldRef {
    /// Version of the field's meaning.
    pub api_version: String,
    /// Its path, such as `metadata.name`.
    pub field_path: String,
}

/// A key of a ConfigMap or Secret.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KeySelector {
    /// Name of the object.
    pub name: String,
    /// The key.
    pub key: String,
    /// Whether it may be missing.
    pub optional: Option<bool>,
}

/// A whole ConfigMap or Secret as environment variables.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvFromSource {
    /// Put before every name.
    pub prefix: String,
    /// The ConfigMap.
    pub config_map_ref: Option<ConfigMapEnvSource>,
    /// The Secret.
    pub secret_ref: Option<SecretEnvSource>,
}

/// A ConfigMap as environment variables.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigMapEnvSource {
    /// Its name.
    pub name: String,
    /// Whether it may be missing.
    pub optional: Option<bool>,
}

/// A Secret as environment variables.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecretEnvSource {
    /// Its name.
    pub name: String,
    /// Whether it may be missing.
    pub optional: Option<bool>,
}

/// A volume in a container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeMount {
    /// Name of the volume.
    pub name: String,
    /// Where.
    pub mount_path: String,
    /// Which part of the volume; empty means all.
    pub sub_path: String,
    /// Which part, with variables.
    pub sub_path_expr: String,
    /// Whether writing is refused.
    pub read_only: bool,
    /// Whether writing is refused below as well; never read.
    pub recursive_read_only: Option<String>,
    /// How mounts spread; never read.
    pub mount_propagation: Option<String>,
}
