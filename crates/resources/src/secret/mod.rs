//! Secret: certificates, keys and passwords for pods and gateways.
//!
//! # Manual
//!
#![doc = include_str!("manual.md")]

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use crate::field;

/// A Kubernetes Secret.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Secret {
    /// What sort of secret, such as `kubernetes.io/tls`.
    #[serde(rename = "type")]
    pub secret_type: String,
    /// Bytes by name (base64 in YAML).
    #[serde(deserialize_with = "field::base64_map")]
    pub data: BTreeMap<String, Vec<u8>>,
    /// Text by name, which comes before `data`.
    pub string_data: BTreeMap<String, String>,
    /// Whether changes are refused by a cluster.
    pub immutable: Option<bool>,
}

impl Secret {
    /// The bytes under a name, wherever they are written.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        let text = self.string_data.get(key).map(String::as_bytes);
        text.or_else(|| self.data.get(key).map(Vec::as_slice))
    }
}

/// Shows names, never values.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("secret_type", &self.secret_type)
            .field("data", &self.data.keys())
            .field("string_data", &self.string_data.keys())
            .finish_non_exhaustive()
    }
}
