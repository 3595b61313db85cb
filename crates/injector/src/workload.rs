//! What a pod belongs to, and the names that follow.

use serde_json::Value;

use crate::annotations::of_pod;

/// Longest value of a label.
const MAX_LABEL: usize = 63;

/// The workload that a pod belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Workload {
    /// Its name.
    pub(crate) name: String,
    /// Its kind, as in a URL: `deployments`.
    plural: String,
    /// Its API: `apps/v1`.
    api_version: String,
}

impl Workload {
    /// The Deployment behind a ReplicaSet, another controller, or the pod itself.
    pub(crate) fn of(pod: &Value) -> Workload {
        let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        let owner = owners
            .into_iter()
            .flatten()
            .find(|owner| owner.get("controller").and_then(Value::as_bool).unwrap_or(true));
        let text = |value: &Value, field: &str| {
            value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let Some(owner) = owner else {
            let metadata = &pod["metadata"];
            let name = match text(metadata, "name") {
                name if name.is_empty() => text(metadata, "generateName").trim_end_matches('-').to_owned(),
                name => name,
            };
            return Workload { name, plural: "pods".to_owned(), api_version: "v1".to_owned() };
        };
        let (name, kind) = (text(owner, "name"), text(owner, "kind"));
        let hash = of_pod(pod, "labels").remove("pod-template-hash").unwrap_or_default();
        match name.strip_suffix(&format!("-{hash}")) {
            Some(deployment) if kind == "ReplicaSet" && !hash.is_empty() => Workload {
                name: deployment.to_owned(),
                plural: "deployments".to_owned(),
                api_version: text(owner, "apiVersion"),
            },
            _ => Workload {
                name,
                plural: format!("{}s", kind.to_lowercase()),
                api_version: text(owner, "apiVersion"),
            },
        }
    }

    /// The owner as telemetry knows it.
    pub(crate) fn owner(&self, namespace: &str) -> String {
        format!("kubernetes://apis/{}/namespaces/{namespace}/{}/{}", self.api_version, self.plural, self.name)
    }

    /// Name and revision of the service that the pod is of.
    pub(crate) fn canonical(&self, pod: &Value) -> (String, String) {
        let labels = of_pod(pod, "labels");
        let first = |names: [&str; 3], otherwise: &str| {
            let found = names.iter().find_map(|name| labels.get(*name));
            let value = found.map_or(otherwise, String::as_str);
            value.chars().take(MAX_LABEL).collect::<String>().trim_end_matches(['-', '_', '.']).to_owned()
        };
        let name = first(["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"], &self.name);
        let revision =
            first(["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"], "latest");
        (name, revision)
    }
}

#[cfg(test)]
mod tests;
