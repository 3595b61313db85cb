//! A gateway: the pod's own `image: auto` container becomes the proxy.

use serde_json::Value;

use crate::{InjectError, PROXY_CONTAINER, Settings, environment, labels, sidecar, status};

/// Makes `pod` a gateway.
pub(crate) fn inject(mut pod: Value, settings: &Settings) -> Result<Value, InjectError> {
    labels::add(&mut pod);
    let variables = environment::of(&pod, settings)?;
    let template = sidecar::proxy_container("router", variables, settings);
    sidecar::add_volumes(&mut pod);
    let containers = pod["spec"]["containers"].as_array_mut().ok_or(InjectError::NoContainers)?;
    match containers.iter_mut().find(|container| container["name"] == PROXY_CONTAINER) {
        Some(own) => *own = merged(template, own),
        None => containers.push(template),
    }
    let volumes = ["istio-envoy", "istio-data", "istio-podinfo"];
    status::add(&mut pod, settings, &[], &[PROXY_CONTAINER], &volumes);
    Ok(pod)
}

/// The template with what the pod's own container says over it; lists of named
/// things are joined, other lists replaced.
fn merged(template: Value, own: &Value) -> Value {
    match (template, own) {
        (Value::Object(mut template), Value::Object(own)) => {
            for (key, value) in own {
                if key == "image" && value == "auto" {
                    continue;
                }
                let below = template.remove(key).unwrap_or(Value::Null);
                template.insert(key.clone(), merged(below, value));
            }
            Value::Object(template)
        }
        (Value::Array(template), Value::Array(own)) if is_named(&template) && is_named(own) => {
            let kept =
                template.into_iter().filter(|entry| own.iter().all(|other| other["name"] != entry["name"]));
            Value::Array(kept.chain(own.iter().cloned()).collect())
        }
        (_, own) => own.clone(),
    }
}

fn is_named(list: &[Value]) -> bool {
    list.iter().all(|entry| entry["name"].is_string())
}
