//! ConfigMap: files and settings for pods.
//!
//! # Manual
//!
#![doc = include_str!("manual.md")]

pub(crate) mod validate;

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::field;

/// A Kubernetes ConfigMap.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigMap {
    /// Text by name.
    pub data: BTreeMap<String, String>,
    /// Bytes by name (base64 in YAML).
    #[serde(deserialize_with = "field::base64_map")]
    pub binary_data: BTreeMap<String, Vec<u8>>,
    /// Whether changes are refused by a cluster.
    pub immutable: Option<bool>,
}
