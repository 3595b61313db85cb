//! Users, groups and rights of a pod and its containers.

use serde::Deserialize;
use serde_json::Value;

/// For all containers of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSecurityContext {
    /// User.
    pub run_as_user: Option<u32>,
    /// Group.
    pub run_as_group: Option<u32>,
    /// Refuse to run as root.
    pub run_as_non_root: Option<bool>,
    /// Group of the volumes.
    pub fs_group: Option<u32>,
    /// When the group of volumes is set; never read.
    pub fs_group_change_policy: Option<String>,
    /// Further groups.
    pub supplemental_groups: Vec<u32>,
    /// How further groups are found; never read.
    pub supplemental_groups_policy: Option<String>,
    /// Kernel settings.
    pub sysctls: Vec<Value>,
    /// SELinux; never read.
    pub se_linux_options: Option<Value>,
    /// SELinux; never read.
    pub se_linux_change_policy: Option<String>,
    /// System call filter; never read.
    pub seccomp_profile: Option<Value>,
    /// AppArmor; never read.
    pub app_armor_profile: Option<Value>,
    /// Windows; never read.
    pub windows_options: Option<Value>,
}

/// For one container; what it sets comes before the pod's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecurityContext {
    /// User.
    pub run_as_user: Option<u32>,
    /// Group.
    pub run_as_group: Option<u32>,
    /// Refuse to run as root.
    pub run_as_non_root: Option<bool>,
    /// All rights of the node.
    pub privileged: Option<bool>,
    /// Whether rights may be gained.
    pub allow_privilege_escalation: Option<bool>,
    /// Whether its root is read-only.
    pub read_only_root_filesystem: Option<bool>,
    /// Capabilities.
    pub capabilities: Option<Capabilities>,
    /// How /proc is masked; never read.
    pub proc_mount: Option<String>,
    /// SELinux; never read.
    pub se_linux_options: Option<Value>,
    /// System call filter; never read.
    pub seccomp_profile: Option<Value>,
    /// AppArmor; never read.
    pub app_armor_profile: Option<Value>,
    /// Windows; never read.
    pub windows_options: Option<Value>,
}

/// Linux capabilities.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Capabilities {
    /// Added.
    pub add: Vec<String>,
    /// Taken away.
    pub drop: Vec<String>,
}
