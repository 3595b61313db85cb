//! Whether a pod gets a proxy.
//!
//! Two questions, as on Kubernetes: does a webhook see the pod at all (labels of namespace and pod), and does the
//! injector behind it want it (policy, selectors, the pod's own word).

use std::collections::BTreeMap;

use resources::metadata::LabelSelector;
use serde_json::Value;

use crate::annotations::{INJECT, STATUS, of_pod};
use crate::settings::{Policy, Settings};

/// A namespace, as far as injection looks at it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// Whether a pod gets a proxy, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It does.
    Inject(&'static str),
    /// It does not.
    Skip(&'static str),
}

impl Decision {
    /// Whether the pod gets a proxy.
    pub fn is_injected(self) -> bool {
        matches!(self, Decision::Inject(_))
    }

    /// Why.
    pub fn reason(self) -> &'static str {
        match self {
            Decision::Inject(reason) | Decision::Skip(reason) => reason,
        }
    }
}

/// Namespaces that belong to the cluster itself.
const SYSTEM_NAMESPACES: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];

/// Label of a namespace: `enabled` or `disabled`.
const INJECTION: &str = "istio-injection";

/// Label of a namespace or pod: a revision or tag.
const REVISION: &str = "istio.io/rev";

/// Whether a pod of `namespace` gets a proxy, both questions asked.
pub fn decide(pod: &Value, namespace: &Namespace, settings: &Settings) -> Decision {
    match selected(pod, namespace, settings) {
        Decision::Skip(reason) => Decision::Skip(reason),
        Decision::Inject(_) => inject_required(pod, namespace, settings),
    }
}

/// Whether a webhook would see the pod.
fn selected(pod: &Value, namespace: &Namespace, settings: &Settings) -> Decision {
    let labels = of_pod(pod, "labels");
    let wish = labels.get(INJECT).map(String::as_str);
    let refused = (wish == Some("false")).then_some("its label refuses a sidecar");
    let is_ours = |revision: &String| policy.revisions.contains(revision);
    match (namespace.get(INJECTION).map(String::as_str), namespace.get(REVISION)) {
        (Some("enabled"), _) => refused,
        (Some("disabled"), _) => Some("its namespace is disabled"),
        (Some(_), _) => Some("its namespace's istio-injection label is neither enabled nor disabled"),
        (None, Some(revision)) if is_ours(revision) => refused,
        (None, Some(_)) => Some("its namespace is another revision's"),
        (None, None) => match labels.get(REVISION) {
            _ if refused.is_some() => refused,
            Some(revision) if is_ours(revision) => None,
            Some(_) => Some("it is another revision's"),
            None if wish == Some("true") || policy.by_default => None,
            None => Some("neither it nor its namespace asks for a sidecar"),
        },
    }
}

/// Why the injector does not want the pod.
fn unwanted(pod: &Value, namespace: &str, policy: &Policy) -> Option<&'static str> {
    if policy.mode == Mode::Off {
        return Some("injection is off");
    }
    if pod.pointer("/spec/hostNetwork").and_then(Value::as_bool).unwrap_or(false) {
        return Some("it uses the host's network");
    }
    if policy.exempt.iter().any(|exempt| exempt == namespace) {
        return Some("its namespace is exempt");
    }
    let (labels, annotations) = (of_pod(pod, "labels"), of_pod(pod, "annotations"));
    if annotations.contains_key(STATUS) {
        return Some("it was injected before");
    }
    let matches = |selectors: &[LabelSelector]| {
        selectors.iter().any(|selector| *selector != LabelSelector::default() && selector.matches(&labels))
    };
    // Only these exact words count. The label comes before the annotation, also when it says something else.
    match labels.get(INJECT).or_else(|| annotations.get(INJECT)).map(String::as_str) {
        Some("true") => None,
        Some("false") => Some("it refuses a sidecar"),
        _ if matches(&policy.never) => Some("neverInjectSelector names it"),
        _ if matches(&policy.always) => None,
        _ => (policy.mode == Mode::Disabled).then_some("the policy is disabled, and it does not ask"),
    }
}

fn template(pod: &Value) -> Result<Decision, InjectError> {
    let annotations = of_pod(pod, "annotations");
    let Some(names) = annotations.get(TEMPLATES) else {
        return Ok(if has_automatic_proxy(pod) { Decision::Gateway } else { Decision::Sidecar });
    };
    let mut decision = Decision::Sidecar;
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        decision = match name {
            "sidecar" => Decision::Sidecar,
            "gateway" => Decision::Gateway,
            other => return Err(InjectError::Template(other.to_owned())),
        };
    }
    Ok(decision)
}

fn has_automatic_proxy(pod: &Value) -> bool {
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array);
    containers
        .into_iter()
        .flatten()
        .any(|container| container["name"] == PROXY_CONTAINER && container["image"] == "auto")
}

#[cfg(test)]
mod tests;
