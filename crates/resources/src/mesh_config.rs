//! MeshConfig: settings of the mesh as a whole, as far as they are read: the text `mesh` of the ConfigMap
//! `istio` in the root namespace.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config_map::ConfigMap;
use crate::yaml;

/// The ConfigMap's name.
pub const NAME: &str = "istio";
/// The text in it.
const KEY: &str = "mesh";

/// Settings of the mesh as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshConfig {
    /// Where lines of access logs go; none means standard output, and an empty text that there are none.
    pub access_log_file: Option<String>,
    /// The line: text with Envoy's operators, or a JSON object of them; empty means Istio's.
    pub access_log_format: String,
    /// Whether lines are text or JSON.
    pub access_log_encoding: AccessLogEncoding,
    /// Whether clients with a sidecar use mutual TLS by themselves towards workloads that take it; none means
    /// yes, where workloads get certificates.
    pub enable_auto_mtls: Option<bool>,
    /// Whether workloads get certificates of the mesh, which is this mesh's own setting; none means as
    /// [`WORKLOAD_CERTIFICATES`] says.
    pub workload_certificates: Option<bool>,
    /// The domain of all identities; empty means `cluster.local`.
    pub trust_domain: String,
    /// Where sidecars are an HTTP proxy for applications that ask for one; 0 means nowhere.
    pub proxy_http_port: u16,
}

/// Whether workloads get certificates of the mesh where its settings say nothing.
pub const WORKLOAD_CERTIFICATES: bool = false;

/// The form of the lines of an access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AccessLogEncoding {
    /// A line of text.
    #[default]
    Text,
    /// A JSON object.
    Json,
}

impl MeshConfig {
    /// Reads the settings of a ConfigMap; what cannot be read is as if it were not there.
    pub fn of(config_map: &ConfigMap) -> Self {
        let text = config_map.data.get(KEY).map_or("", String::as_str);
        let root = yaml::read(text).into_iter().find(|document| !document.is_refused());
        let json = root.and_then(|document| document.root).map(|root| root.to_json());
        let json = json.filter(serde_json::Value::is_object);
        json.and_then(|json| serde_json::from_value(json).ok()).unwrap_or_default()
    }

    /// Whether workloads get certificates of the mesh.
    pub fn gives_certificates(&self) -> bool {
        self.workload_certificates.unwrap_or(WORKLOAD_CERTIFICATES)
    }

    /// Whether clients use mutual TLS by themselves.
    pub fn auto_mtls(&self) -> bool {
        self.gives_certificates() && self.enable_auto_mtls.unwrap_or(true)
    }

    /// The domain of all identities.
    pub fn trust_domain(&self) -> &str {
        if self.trust_domain.is_empty() { "cluster.local" } else { &self.trust_domain }
    }

    /// The fields of a format in JSON, by name; none when it is no object.
    pub fn json_format(&self) -> Option<BTreeMap<String, serde_json::Value>> {
        serde_json::from_str(&self.access_log_format).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mesh: &str) -> MeshConfig {
        MeshConfig::of(&ConfigMap {
            data: BTreeMap::from([(KEY.to_owned(), mesh.to_owned())]),
            ..ConfigMap::default()
        })
    }

    #[test]
    fn settings_are_read_beside_others() {
        let found = read(
            "accessLogFile: ''\naccessLogEncoding: JSON\ndefaultConfig: {tracing: {}}\n\
             accessLogFormat: '{\"code\": \"%RESPONSE_CODE%\"}'\n",
        );
        assert_eq!(found.access_log_file.as_deref(), Some(""));
        assert_eq!(found.access_log_encoding, AccessLogEncoding::Json);
        assert_eq!(found.json_format().expect("an object")["code"], "%RESPONSE_CODE%");
    }

    #[test]
    fn what_cannot_be_read_changes_nothing() {
        for text in ["", "[", "- a", "accessLogEncoding: XML"] {
            assert_eq!(read(text), MeshConfig::default(), "{text}");
        }
    }
}
