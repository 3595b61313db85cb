//! What the proxy's agent is told, in the variables that Istio's agent reads.

use serde_json::{Map, Value, json};

use super::{PROXY, Role, Template, TemplateError};
use crate::annotations::of_pod;
use crate::settings::Environment;

/// The variables of the proxy.
pub(super) fn variables(template: &Template<'_>) -> Result<Vec<Value>, TemplateError> {
    let settings = template.settings;
    let proxy_config = proxy_config(template)?;
    let mut variables = Variables(Vec::new());
    if !settings.ca_address.is_empty() {
        variables.value("PILOT_CERT_PROVIDER", "istiod");
        variables.value("CA_ADDR", &settings.ca_address);
    }
    variables.field("POD_NAME", "metadata.name");
    variables.field("POD_NAMESPACE", "metadata.namespace");
    variables.field("INSTANCE_IP", "status.podIP");
    variables.field("SERVICE_ACCOUNT", "spec.serviceAccountName");
    variables.field("HOST_IP", "status.hostIP");
    variables.0.push(json!({
        "name": "ISTIO_CPU_LIMIT",
        "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}},
    }));
    variables.value("PROXY_CONFIG", &format!("{proxy_config}\n"));
    variables.value("ISTIO_META_POD_PORTS", &pod_ports(template.pod).to_string());
    variables.value("ISTIO_META_APP_CONTAINERS", &app_containers(template.pod));
    variables.value("ISTIO_META_CLUSTER_ID", &settings.cluster_id);
    variables.field("ISTIO_META_NODE_NAME", "spec.nodeName");
    if template.role == Role::Sidecar {
        variables.value("ISTIO_META_INTERCEPTION_MODE", "REDIRECT");
    } else {
        variables.value("ISTIO_META_UNPRIVILEGED_POD", "true");
    }
    if !settings.network.is_empty() {
        variables.value("ISTIO_META_NETWORK", &settings.network);
    }
    variables.value("ISTIO_META_WORKLOAD_NAME", &template.workload.name);
    variables.value("ISTIO_META_OWNER", &template.workload.owner(&template.namespace));
    variables.value("ISTIO_META_MESH_ID", &settings.mesh_id);
    variables.value("TRUST_DOMAIN", &settings.trust_domain);
    let metadata = proxy_config.get("proxyMetadata").and_then(Value::as_object);
    for (name, value) in metadata.into_iter().flatten() {
        variables.value(name, value.as_str().unwrap_or_default());
    }
    if settings.environment == Environment::Local {
        variables.value("ISTIO_METAJSON_LABELS", &json!(of_pod(template.pod, "labels")).to_string());
    }
    for (name, value) in &settings.proxy_environment {
        variables.value(name, value);
    }
    Ok(variables.0)
}

struct Variables(Vec<Value>);

impl Variables {
    fn value(&mut self, name: &str, value: &str) {
        self.0.push(json!({"name": name, "value": value}));
    }

    fn field(&mut self, name: &str, path: &str) {
        self.0.push(json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}));
    }
}

/// The mesh's ProxyConfig under the pod's own.
pub(crate) fn proxy_config(template: &Template<'_>) -> Result<Value, TemplateError> {
    let mut config: Map<String, Value> =
        template.settings.proxy_config.as_object().cloned().unwrap_or_default();
    let own =
        template.annotations.yaml("proxy.istio.io/config", "a ProxyConfig in YAML")?.unwrap_or_default();
    for (name, value) in own.as_object().cloned().unwrap_or_default() {
        config.insert(name, value);
    }
    Ok(Value::Object(config))
}

fn app(pod: &Value) -> impl Iterator<Item = &Value> {
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array);
    containers.into_iter().flatten().filter(|container| container["name"] != PROXY)
}

fn pod_ports(pod: &Value) -> Value {
    app(pod)
        .filter_map(|container| container.get("ports").and_then(Value::as_array))
        .flatten()
        .map(|port| {
            let mut shown = Map::new();
            for field in ["name", "containerPort", "protocol"] {
                if let Some(value) = port.get(field) {
                    shown.insert(field.to_owned(), value.clone());
                }
            }
            Value::Object(shown)
        })
        .collect()
}

fn app_containers(pod: &Value) -> String {
    app(pod).filter_map(|container| container["name"].as_str()).collect::<Vec<_>>().join(",")
}
