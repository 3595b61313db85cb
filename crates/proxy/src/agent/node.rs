//! Who the proxy tells the control plane it is.

use std::collections::BTreeMap;

use prost_types::value::Kind;
use prost_types::{ListValue, Struct};
use serde_json::{Map, Value, json};

use super::settings::Settings;

/// The Istio release whose contract this proxy speaks.
const ISTIO_VERSION: &str = "1.32.0";

/// `sidecar~10.44.0.3~reviews-v1-7d9.default~default.svc.cluster.local`.
pub fn id(settings: &Settings) -> String {
    format!(
        "{}~{}~{}.{}~{}",
        settings.role.as_str(),
        settings.instance_ip,
        settings.pod_name,
        settings.namespace,
        settings.domain
    )
}

/// `app.namespace`.
pub fn cluster(settings: &Settings) -> String {
    let app = settings.labels.get("app").map_or("istio-proxy", String::as_str);
    format!("{app}.{}", settings.namespace)
}

/// The node's metadata in JSON: what the environment says, completed.
pub fn metadata(settings: &Settings) -> Value {
    let mut metadata = Map::new();
    metadata.insert("NAME".into(), json!(settings.pod_name));
    metadata.insert("NAMESPACE".into(), json!(settings.namespace));
    metadata.insert("SERVICE_ACCOUNT".into(), json!(settings.service_account));
    metadata.insert("INSTANCE_IPS".into(), json!(settings.instance_ip.to_string()));
    metadata.insert("ISTIO_VERSION".into(), json!(ISTIO_VERSION));
    metadata.insert("PILOT_SAN".into(), json!(["istiod.istio-system.svc"]));
    metadata.insert("CLUSTER_ID".into(), json!("Kubernetes"));
    metadata.insert("MESH_ID".into(), json!("cluster.local"));
    metadata.insert("WORKLOAD_NAME".into(), json!(settings.pod_name));
    if !settings.proxy_config_json.is_null() {
        metadata.insert("PROXY_CONFIG".into(), settings.proxy_config_json.clone());
    }
    for (key, value) in &settings.metadata {
        metadata.insert(key.clone(), value.clone());
    }
    metadata.insert("LABELS".into(), json!(settings.labels));
    metadata.insert("ANNOTATIONS".into(), json!(settings.annotations));
    Value::Object(metadata)
}

/// The same for a client that speaks xDS itself; extensions are the caller's.
pub fn node(settings: &Settings) -> xds::envoy::config::core::v3::Node {
    xds::envoy::config::core::v3::Node {
        id: id(settings),
        cluster: cluster(settings),
        metadata: structure(&metadata(settings)),
        user_agent_name: "lateen".to_owned(),
        ..Default::default()
    }
}

fn structure(value: &Value) -> Option<Struct> {
    match kind(value) {
        Kind::StructValue(structure) => Some(structure),
        _ => None,
    }
}

fn kind(value: &Value) -> Kind {
    match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(*flag),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(0.0)),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(values) => Kind::ListValue(ListValue { values: values.iter().map(wrapped).collect() }),
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> =
                fields.iter().map(|(key, value)| (key.clone(), wrapped(value))).collect();
            Kind::StructValue(Struct { fields })
        }
    }
}

fn wrapped(value: &Value) -> prost_types::Value {
    prost_types::Value { kind: Some(kind(value)) }
}
