//! What was injected, told in an annotation.

use serde_json::{Value, json};

use crate::Settings;
use crate::annotation::annotate;

/// Adds the status annotation, and which container is meant when none is
/// named.
pub(crate) fn add(
    pod: &mut Value,
    settings: &Settings,
    init: &[&str],
    containers: &[&str],
    volumes: &[&str],
) {
    let status = json!({
        "initContainers": init,
        "containers": containers,
        "volumes": volumes,
        "imagePullSecrets": null,
        "revision": settings.revision,
    });
    annotate(pod, "sidecar.istio.io/status", status.to_string());
    annotate(pod, "istio.io/rev", settings.revision.clone());
    let first = pod["spec"]["containers"][0]["name"].clone();
    if first.is_string() {
        for name in
            ["kubectl.kubernetes.io/default-container", "kubectl.kubernetes.io/default-logs-container"]
        {
            if pod["metadata"]["annotations"].get(name).is_none() {
                annotate(pod, name, first.clone());
            }
        }
    }
}
