//! Volumes of a pod.

use serde::Deserialize;
use serde_json::Value;

use super::container::FieldRef;

/// Something to mount.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(from = "RawVolume")]
pub struct Volume {
    /// Its name, unique in the pod.
    pub name: String,
    /// What it holds.
    pub source: VolumeSource,
}

/// What a volume holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum VolumeSource {
    /// Nothing said; as an empty directory.
    #[default]
    Unset,
    /// An empty directory.
    EmptyDir(EmptyDirVolume),
    /// A ConfigMap.
    ConfigMap(ConfigMapVolume),
    /// A Secret.
    Secret(SecretVolume),
    /// Several sources in one directory.
    Projected(ProjectedVolume),
    /// Fields of the pod.
    DownwardApi(DownwardApiVolume),
    /// Any other kind, by the name of its field.
    Other(String),
}

/// An empty directory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EmptyDirVolume {
    /// `Memory`, or empty for disk.
    pub medium: String,
    /// Its greatest size; never read.
    pub size_limit: Option<Value>,
}

/// A ConfigMap as files.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigMapVolume {
    /// Its name.
    pub name: String,
    /// Which keys go where; empty means all under their own names.
    pub items: Vec<KeyToPath>,
    /// Mode of the files; none means 0644.
    pub default_mode: Option<u32>,
    /// Whether it may be missing.
    pub optional: Option<bool>,
}

/// A Secret as files.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecretVolume {
    /// Its name.
    pub secret_name: String,
    /// Its name, as a projected source spells it.
    pub name: String,
    /// Which keys go where; empty means all under their own names.
    pub items: Vec<KeyToPath>,
    /// Mode of the files; none means 0644.
    pub default_mode: Option<u32>,
    /// Whether it may be missing.
    pub optional: Option<bool>,
}

/// A key and its file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KeyToPath {
    /// The key.
    pub key: String,
    /// The file, relative to the mount.
    pub path: String,
    /// Its mode.
    pub mode: Option<u32>,
}

/// Several sources in one directory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProjectedVolume {
    /// The sources.
    pub sources: Vec<ProjectedSource>,
    /// Mode of the files; none means 0644.
    pub default_mode: Option<u32>,
}

/// A source of a projected volume; one of them is set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProjectedSource {
    /// A ConfigMap.
    pub config_map: Option<ConfigMapVolume>,
    /// A Secret.
    pub secret: Option<SecretVolume>,
    /// Fields of the pod.
    #[serde(rename = "downwardAPI")]
    pub downward_api: Option<DownwardApiVolume>,
    /// A token.
    pub service_account_token: Option<ServiceAccountTokenProjection>,
    /// Trust anchors; never read.
    pub cluster_trust_bundle: Option<Value>,
    /// A certificate; never read.
    pub pod_certificate: Option<Value>,
}

/// Fields of the pod as files.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DownwardApiVolume {
    /// The files.
    pub items: Vec<DownwardApiFile>,
    /// Mode of the files; none means 0644.
    pub default_mode: Option<u32>,
}

/// A field of the pod as a file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DownwardApiFile {
    /// The file, relative to the mount.
    pub path: String,
    /// The field.
    pub field_ref: Option<FieldRef>,
    /// A limit or request of a container.
    pub resource_field_ref: Option<Value>,
    /// Its mode.
    pub mode: Option<u32>,
}

/// A token of the pod's service account as a file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceAccountTokenProjection {
    /// Whom the token is for.
    pub audience: String,
    /// Its lifetime.
    pub expiration_seconds: Option<u64>,
    /// The file, relative to the mount.
    pub path: String,
}

/// Declares the raw form with one field per kind of volume that is only known by name.
macro_rules! raw_volume {
    ($($field:ident = $name:literal),* $(,)?) => {
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        struct RawVolume {
            name: String,
            empty_dir: Option<EmptyDirVolume>,
            config_map: Option<ConfigMapVolume>,
            secret: Option<SecretVolume>,
            projected: Option<ProjectedVolume>,
            #[serde(rename = "downwardAPI")]
            downward_api: Option<DownwardApiVolume>,
            $(#[serde(rename = $name)] $field: Option<Value>,)*
        }

        impl RawVolume {
            fn other(&self) -> Option<&'static str> {
                $(if self.$field.is_some() { return Some($name); })*
                None
            }
        }
    };
}

raw_volume! {
    aws_elastic_block_store = "awsElasticBlockStore",
    azure_disk = "azureDisk",
    azure_file = "azureFile",
    cephfs = "cephfs",
    cinder = "cinder",
    csi = "csi",
    ephemeral = "ephemeral",
    fc = "fc",
    flex_volume = "flexVolume",
    flocker = "flocker",
    gce_persistent_disk = "gcePersistentDisk",
    git_repo = "gitRepo",
    glusterfs = "glusterfs",
    host_path = "hostPath",
    image = "image",
    iscsi = "iscsi",
    nfs = "nfs",
    persistent_volume_claim = "persistentVolumeClaim",
    photon_persistent_disk = "photonPersistentDisk",
    portworx_volume = "portworxVolume",
    quobyte = "quobyte",
    rbd = "rbd",
    scale_io = "scaleIO",
    storageos = "storageos",
    vsphere_volume = "vsphereVolume",
}

impl From<RawVolume> for Volume {
    fn from(raw: RawVolume) -> Self {
        let other = raw.other();
        let source = (raw.empty_dir.map(VolumeSource::EmptyDir))
            .or(raw.config_map.map(VolumeSource::ConfigMap))
            .or(raw.secret.map(VolumeSource::Secret))
            .or(raw.projected.map(VolumeSource::Projected))
            .or(raw.downward_api.map(VolumeSource::DownwardApi))
            .or(other.map(|name| VolumeSource::Other(name.to_owned())))
            .unwrap_or_default();
        Self { name: raw.name, source }
    }
}
