//! What the agent is told through its environment.

use serde_json::{Map, Value, json};

use crate::annotation::annotation;
use crate::{InjectError, PROXY_CONTAINER, Settings, labels};

const CONFIG: &str = "proxy.istio.io/config";

/// The proxy container's environment.
pub(crate) fn of(pod: &Value, settings: &Settings) -> Result<Vec<Value>, InjectError> {
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or("default");
    let mut environment = vec![
        from_field("POD_NAME", "metadata.name"),
        from_field("POD_NAMESPACE", "metadata.namespace"),
        from_field("INSTANCE_IP", "status.podIP"),
        from_field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
        from_field("HOST_IP", "status.hostIP"),
        literal("PROXY_CONFIG", Value::Object(proxy_config(pod, settings)?).to_string()),
        literal("ISTIO_META_POD_PORTS", ports(pod).to_string()),
        literal("ISTIO_META_APP_CONTAINERS", application_names(pod).join(",")),
        literal("ISTIO_META_CLUSTER_ID", &*settings.cluster_id),
        from_field("ISTIO_META_NODE_NAME", "spec.nodeName"),
        literal("ISTIO_META_INTERCEPTION_MODE", "REDIRECT"),
        literal("ISTIO_META_WORKLOAD_NAME", labels::workload(pod)),
        literal("ISTIO_META_OWNER", labels::owner(pod, namespace)),
        literal("ISTIO_META_MESH_ID", &*settings.trust_domain),
        literal("TRUST_DOMAIN", &*settings.trust_domain),
    ];
    environment.extend(settings.more_environment.iter().map(|(name, value)| literal(name, &**value)));
    Ok(environment)
}

/// A variable with this value.
pub(crate) fn literal(name: &str, value: impl Into<String>) -> Value {
    json!({"name": name, "value": value.into()})
}

fn from_field(name: &str, path: &str) -> Value {
    json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}})
}

/// The mesh's configuration with the pod's annotation over it, field by field.
fn proxy_config(pod: &Value, settings: &Settings) -> Result<Map<String, Value>, InjectError> {
    let mut config = settings.proxy_config.clone();
    if let Some(text) = annotation(pod, CONFIG) {
        let own: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| InjectError::Annotation {
                name: CONFIG.to_owned(),
                value: text.to_owned(),
                why: format!("it is no JSON object: {error}"),
            })?;
        config.extend(own);
    }
    Ok(config)
}

fn ports(pod: &Value) -> Value {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let ports = containers.filter(|container| container["name"] != PROXY_CONTAINER);
    ports.flat_map(|container| container["ports"].as_array().cloned().unwrap_or_default()).collect()
}

fn application_names(pod: &Value) -> Vec<&str> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    containers
        .filter_map(|container| container["name"].as_str())
        .filter(|name| *name != PROXY_CONTAINER)
        .collect()
}
