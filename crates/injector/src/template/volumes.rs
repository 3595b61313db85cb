//! Volumes of the proxy, and where they are mounted.

use serde_json::{Value, json};

use super::{Template, TemplateError};
use crate::annotations::AnnotationError;
use crate::settings::Environment;

/// Seconds that a token for the certificate authority holds.
const TOKEN_SECONDS: u32 = 43200;

/// The volumes.
pub(super) fn volumes(template: &Template<'_>) -> Result<Vec<Value>, TemplateError> {
    let field = |path: &str| json!({"path": path, "fieldRef": {"fieldPath": format!("metadata.{path}")}});
    let mut volumes = vec![
        json!({"name": "workload-socket", "emptyDir": {}}),
        json!({"name": "credential-socket", "emptyDir": {}}),
        json!({"name": "workload-certs", "emptyDir": {}}),
        json!({"name": "istio-envoy", "emptyDir": {"medium": "Memory"}}),
        json!({"name": "istio-data", "emptyDir": {}}),
        json!({"name": "istio-podinfo", "downwardAPI": {"items": [field("labels"), field("annotations")]}}),
    ];
    if template.settings.environment == Environment::Kubernetes {
        let token = json!({"serviceAccountToken": {
            "audience": "istio-ca", "expirationSeconds": TOKEN_SECONDS, "path": "istio-token",
        }});
        volumes.push(json!({"name": "istio-token", "projected": {"sources": [token]}}));
        volumes.push(json!({"name": "istiod-ca-cert", "configMap": {"name": "istio-ca-root-cert"}}));
    }
    volumes.extend(users(template, "sidecar.istio.io/userVolume", "a list of volumes")?);
    Ok(volumes)
}

/// Where they are mounted.
pub(super) fn mounts(template: &Template<'_>) -> Result<Vec<Value>, TemplateError> {
    let mut places = vec![
        ("workload-socket", "/var/run/secrets/workload-spiffe-uds"),
        ("credential-socket", "/var/run/secrets/credential-uds"),
        ("workload-certs", "/var/run/secrets/workload-spiffe-credentials"),
        ("istio-data", "/var/lib/istio/data"),
        ("istio-envoy", "/etc/istio/proxy"),
        ("istio-podinfo", "/etc/istio/pod"),
    ];
    if template.settings.environment == Environment::Kubernetes {
        places.push(("istiod-ca-cert", "/var/run/secrets/istio"));
        places.push(("istio-token", "/var/run/secrets/tokens"));
    }
    let mut mounts: Vec<Value> =
        places.iter().map(|(name, path)| json!({"name": name, "mountPath": path})).collect();
    mounts.extend(users(template, "sidecar.istio.io/userVolumeMount", "a list of volume mounts")?);
    Ok(mounts)
}

/// What the user adds, as a list or as an object by name.
fn users(template: &Template<'_>, name: &str, expected: &str) -> Result<Vec<Value>, AnnotationError> {
    match template.annotations.yaml(name, expected)? {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => Ok(items),
        Some(Value::Object(items)) => Ok(items
            .into_iter()
            .map(|(name, mut item)| {
                item["name"] = json!(name);
                item
            })
            .collect()),
        Some(other) => Err(AnnotationError {
            name: name.to_owned(),
            value: other.to_string(),
            expected: expected.to_owned(),
        }),
    }
}
