//! The application's probes, turned towards the agent: it asks the application
//! inside the pod, where no capture and no mutual TLS stands between.

use serde_json::{Map, Value, json};

use crate::annotation::annotation;
use crate::{InjectError, PROXY_CONTAINER};

/// The agent's port.
const STATUS_PORT: u16 = 15020;

const REWRITE: &str = "sidecar.istio.io/rewriteAppHTTPProbers";

const PROBES: [(&str, &str); 3] =
    [("livenessProbe", "livez"), ("readinessProbe", "readyz"), ("startupProbe", "startupz")];

/// Turns the probes of every application container; the originals by path, for
/// `ISTIO_KUBE_APP_PROBERS`.
pub(crate) fn rewrite(pod: &mut Value) -> Result<Map<String, Value>, InjectError> {
    let mut originals = Map::new();
    if !is_wanted(pod)? {
        return Ok(originals);
    }
    for container in pod["spec"]["containers"].as_array_mut().into_iter().flatten() {
        let name = container["name"].as_str().unwrap_or_default().to_owned();
        if name == PROXY_CONTAINER {
            continue;
        }
        let ports = container["ports"].clone();
        for (field, short) in PROBES {
            let Some(probe) = container.get_mut(field) else { continue };
            let path = format!("/app-health/{name}/{short}");
            if let Some(original) = turn(probe, &path, &ports) {
                originals.insert(path, original);
            }
        }
    }
    Ok(originals)
}

fn is_wanted(pod: &Value) -> Result<bool, InjectError> {
    match annotation(pod, REWRITE) {
        None | Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(other) => Err(InjectError::Annotation {
            name: REWRITE.to_owned(),
            value: other.to_owned(),
            why: "it is neither true nor false".to_owned(),
        }),
    }
}

/// Turns one probe; what it was, with named ports resolved. Exec probes stay.
fn turn(probe: &mut Value, path: &str, ports: &Value) -> Option<Value> {
    let kind = ["httpGet", "tcpSocket", "grpc"].into_iter().find(|kind| probe.get(kind).is_some())?;
    let mut original = probe[kind].clone();
    if let Some(name) = original["port"].as_str() {
        original["port"] = numbered(name, ports)?;
    }
    let fields = probe.as_object_mut()?;
    fields.remove(kind);
    fields.insert("httpGet".to_owned(), json!({"path": path, "port": STATUS_PORT}));
    let timeout = fields.get("timeoutSeconds").cloned().unwrap_or_else(|| json!(1));
    Some(json!({kind: original, "timeoutSeconds": timeout}))
}

/// The number of a named container port; a text that is a number is one.
fn numbered(name: &str, ports: &Value) -> Option<Value> {
    if let Ok(number) = name.parse::<u16>() {
        return Some(json!(number));
    }
    ports.as_array()?.iter().find(|port| port["name"] == name)?.get("containerPort").cloned()
}
