//! Which service and revision a workload is, told in labels.

use serde_json::Value;

use crate::annotation::label;

/// A label's value is no longer than this.
const LONGEST: usize = 63;

/// The workload's name: that of the Deployment behind its ReplicaSet, of its
/// owner, or the pod's own.
pub(crate) fn workload(pod: &Value) -> String {
    let owner = &pod["metadata"]["ownerReferences"][0];
    let name = owner["name"].as_str().or_else(|| pod["metadata"]["name"].as_str());
    let name = name.or_else(|| Some(pod["metadata"]["generateName"].as_str()?.trim_end_matches('-')));
    let name = name.unwrap_or_default();
    if owner["kind"] != "ReplicaSet" {
        return name.to_owned();
    }
    let hash = label(pod, "pod-template-hash");
    let deployment = hash.and_then(|hash| name.strip_suffix(hash)?.strip_suffix('-'));
    deployment.unwrap_or(name).to_owned()
}

/// The owner as node metadata names it.
pub(crate) fn owner(pod: &Value, namespace: &str) -> String {
    let owner = &pod["metadata"]["ownerReferences"][0];
    let (version, kind) = match (owner["kind"].as_str(), owner["apiVersion"].as_str()) {
        (Some("ReplicaSet"), _) => ("apps/v1", "deployments".to_owned()),
        (Some(kind), Some(version)) => (version, format!("{}s", kind.to_ascii_lowercase())),
        _ => ("v1", "pods".to_owned()),
    };
    format!("kubernetes://apis/{version}/namespaces/{namespace}/{kind}/{}", workload(pod))
}

/// Adds what Istio adds to every injected pod.
pub(crate) fn add(pod: &mut Value) {
    let own = |names: &[&str]| names.iter().find_map(|name| label(pod, name)).map(str::to_owned);
    let name = own(&["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"]);
    let revision = own(&["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"]);
    let mut name = name.unwrap_or_else(|| workload(pod));
    name.truncate(LONGEST);
    let labels = &mut pod["metadata"]["labels"];
    labels["service.istio.io/canonical-name"] = name.into();
    labels["service.istio.io/canonical-revision"] = revision.unwrap_or_else(|| "latest".to_owned()).into();
    labels["security.istio.io/tlsMode"] = "istio".into();
}
