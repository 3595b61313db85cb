//! Probes and hooks of the application, sent through the agent.
//!
//! The kubelet's connections are not part of the mesh: with strict mutual TLS the proxy refuses them. The agent asks
//! the application instead, by what stands in `ISTIO_KUBE_APP_PROBERS`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The variable that tells the agent what to ask.
pub(crate) const APP_PROBERS: &str = "ISTIO_KUBE_APP_PROBERS";

const PROBES: [(&str, &str); 3] =
    [("livenessProbe", "livez"), ("readinessProbe", "readyz"), ("startupProbe", "startupz")];

const HOOKS: [&str; 2] = ["postStart", "preStop"];

/// Sends all probes and hooks of the containers through the agent; returns what it has to ask, by path.
pub(crate) fn rewrite(pod: &mut Value, status_port: u16, proxy: &str) -> BTreeMap<String, Value> {
    let mut originals = BTreeMap::new();
    for section in ["containers", "initContainers"] {
        let containers = pod.pointer_mut(&format!("/spec/{section}")).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let name = container["name"].as_str().unwrap_or_default().to_owned();
            if name == proxy || name.starts_with("istio-") {
                continue;
            }
            rewrite_container(container, &name, status_port, &mut originals);
        }
    }
    originals
}

fn rewrite_container(
    container: &mut Value,
    name: &str,
    status_port: u16,
    originals: &mut BTreeMap<String, Value>,
) {
    let ports = container.get("ports").cloned().unwrap_or_default();
    for (field, word) in PROBES {
        let Some(probe) = container.get_mut(field) else { continue };
        let path = format!("/app-health/{name}/{word}");
        let Some(mut original) = original(probe, &ports) else { continue };
        if let Some(timeout) = probe.get("timeoutSeconds") {
            original["timeoutSeconds"] = timeout.clone();
        }
        for action in ["httpGet", "tcpSocket", "grpc"] {
            probe.as_object_mut().map(|probe| probe.remove(action));
        }
        probe["httpGet"] = json!({"path": path, "port": status_port});
        originals.insert(path, original);
    }
    for hook in HOOKS {
        let Some(handler) = container.pointer_mut(&format!("/lifecycle/{hook}")) else { continue };
        if handler.get("httpGet").is_none() {
            continue;
        }
        let path = format!("/app-lifecycle/{name}/{hook}");
        let Some(original) = original(handler, &ports) else { continue };
        *handler = json!({"httpGet": {"path": path, "port": status_port}});
        originals.insert(path, original);
    }
}

/// What is asked, with the port as a number; nothing for a command.
fn original(probe: &Value, ports: &Value) -> Option<Value> {
    let action = ["httpGet", "tcpSocket", "grpc"].into_iter().find(|action| probe.get(*action).is_some())?;
    let mut asked = probe[action].clone();
    let number = number(asked.get("port")?, ports)?;
    asked["port"] = json!(number);
    Some(json!({action: asked}))
}

fn number(port: &Value, ports: &Value) -> Option<u64> {
    if let Some(number) = port.as_u64() {
        return Some(number);
    }
    let name = port.as_str()?;
    let named = ports.as_array()?.iter().find(|port| port["name"] == name);
    named.and_then(|port| port["containerPort"].as_u64()).or_else(|| name.parse().ok())
}

#[cfg(test)]
mod tests;
