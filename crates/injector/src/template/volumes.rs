//! Volumes of the proxy, and where they are mounted.

use serde_json::{Value, json};

use super::Template;
use crate::InjectError;

/// Seconds that a token for the certificate authority holds.
const TOKEN_SECONDS: u32 = 43200;

/// The volumes.
pub(super) fn volumes(template: &Template<'_>) -> Result<Vec<Value>, InjectError> {
    let field = |path: &str| json!({"path": path, "fieldRef": {"fieldPath": format!("metadata.{path}")}});
    let mut volumes = vec![
        json!({"name": "istio-envoy", "emptyDir": {"medium": "Memory"}}),
        json!({"name": "istio-data", "emptyDir": {}}),
        json!({"name": "istio-podinfo", "downwardAPI": {"items": [field("labels"), field("annotations")]}}),
    ];
    if template.settings.certificates {
        let token = json!({"serviceAccountToken": {
            "audience": "istio-ca", "expirationSeconds": TOKEN_SECONDS, "path": "istio-token",
        }});
        volumes.extend([
            json!({"name": "workload-socket", "emptyDir": {}}),
            json!({"name": "credential-socket", "emptyDir": {}}),
            json!({"name": "workload-certs", "emptyDir": {}}),
            json!({"name": "istio-token", "projected": {"sources": [token]}}),
            json!({"name": "istiod-ca-cert", "configMap": {"name": "istio-ca-root-cert"}}),
        ]);
    }
    volumes.extend(users(template, "sidecar.istio.io/userVolume", "a list of volumes")?);
    Ok(volumes)
}

/// Where they are mounted.
pub(super) fn mounts(template: &Template<'_>) -> Result<Vec<Value>, InjectError> {
    let mut places = vec![
        ("istio-envoy", "/etc/istio/proxy"),
        ("istio-data", "/var/lib/istio/data"),
        ("istio-podinfo", "/etc/istio/pod"),
    ];
    if template.settings.certificates {
        places.extend([
            ("workload-socket", "/var/run/secrets/workload-spiffe-uds"),
            ("credential-socket", "/var/run/secrets/credential-uds"),
            ("workload-certs", "/var/run/secrets/workload-spiffe-credentials"),
            ("istiod-ca-cert", "/var/run/secrets/istio"),
            ("istio-token", "/var/run/secrets/tokens"),
        ]);
    }
    let mut mounts: Vec<Value> =
        places.iter().map(|(name, path)| json!({"name": name, "mountPath": path})).collect();
    mounts.extend(users(template, "sidecar.istio.io/userVolumeMount", "a list of volume mounts")?);
    Ok(mounts)
}

/// What the user adds, as a list or as an object by name.
fn users(template: &Template<'_>, name: &str, expected: &str) -> Result<Vec<Value>, InjectError> {
    match template.annotations.json(name, expected)? {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => Ok(items),
        Some(Value::Object(items)) => Ok(items
            .into_iter()
            .map(|(name, mut item)| {
                item["name"] = json!(name);
                item
            })
            .collect()),
        Some(other) => Err(InjectError::annotation(name, &other.to_string(), expected)),
    }
}
