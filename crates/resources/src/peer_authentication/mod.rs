//! PeerAuthentication: whether workloads take connections in the clear.
//!
//! # Manual
//!
#![doc = include_str!("manual.md")]

pub(crate) mod validate;

use std::collections::BTreeMap;

use serde::Deserialize;

/// Whether some workloads take connections in the clear.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PeerAuthentication {
    /// Workloads meant; none means all of the namespace, or of the mesh in its root namespace.
    pub selector: Option<LabelSelector>,
    /// For all ports.
    pub mtls: Option<MutualTls>,
    /// For ports of the workload, by their numbers.
    pub port_level_mtls: BTreeMap<String, MutualTls>,
}

/// Workloads by their labels.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Labels that they all have.
    pub match_labels: BTreeMap<String, String>,
}

/// Whether mutual TLS is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MutualTls {
    /// How.
    pub mode: MutualTlsMode,
}

/// Whether mutual TLS is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MutualTlsMode {
    /// As what stands above says; at the top, `PERMISSIVE`.
    #[default]
    Unset,
    /// Never: connections come in the clear.
    Disable,
    /// Both ways are taken.
    Permissive,
    /// Always: connections in the clear are refused.
    Strict,
}

impl PeerAuthentication {
    /// What it says for all ports.
    pub fn mode(&self) -> MutualTlsMode {
        self.mtls.unwrap_or_default().mode
    }

    /// The labels of the workloads meant; none means all.
    pub fn labels(&self) -> Option<&BTreeMap<String, String>> {
        let selector = self.selector.as_ref()?;
        (!selector.match_labels.is_empty()).then_some(&selector.match_labels)
    }

    /// What it says for single ports.
    pub fn ports(&self) -> impl Iterator<Item = (u16, MutualTlsMode)> {
        self.port_level_mtls.iter().filter_map(|(port, mtls)| Some((port.parse().ok()?, mtls.mode)))
    }
}
