//! Whether a pod gets a proxy, and which.
//!
//! Two questions, as on Kubernetes: does a webhook see the pod at all (labels of namespace and pod), and does the
//! injector behind it want it (policy, selectors, the pod's own word).

use std::collections::BTreeMap;

use resources::metadata::LabelSelector;
use serde_json::Value;

use crate::annotations::{INJECT, STATUS, of_pod};
use crate::{InjectError, PROXY_CONTAINER};

/// What pods get that say nothing themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing is injected, whatever a pod says.
    Off,
    /// Only pods that ask for it.
    Disabled,
    /// All but pods that refuse it.
    Enabled,
}

/// Which pods get a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// For pods in namespaces that ask for injection.
    pub mode: Mode,
    /// Whether a namespace without a label asks for it.
    pub by_default: bool,
    /// Namespaces whose pods never get one.
    pub exempt: Vec<String>,
    /// Names that mean this control plane: its revision and that revision's tags.
    pub revisions: Vec<String>,
    /// Pods that get none unless they ask for it.
    pub never: Vec<LabelSelector>,
    /// Pods that get one unless they refuse, whatever the mode is.
    pub always: Vec<LabelSelector>,
}

impl Default for Policy {
    fn default() -> Self {
        let exempt = ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];
        Self {
            mode: Mode::Enabled,
            by_default: false,
            exempt: exempt.map(str::to_owned).to_vec(),
            revisions: vec!["default".to_owned()],
            never: Vec::new(),
            always: Vec::new(),
        }
    }
}

/// What a pod gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// A sidecar.
    Sidecar,
    /// Its own container becomes a gateway's proxy.
    Gateway,
    /// Nothing, and why.
    Skip(&'static str),
}

/// Templates that a pod names.
const TEMPLATES: &str = "inject.istio.io/templates";

/// Label of a namespace: `enabled` or `disabled`.
const INJECTION: &str = "istio-injection";

/// Label of a namespace or pod: a revision or tag.
const REVISION: &str = "istio.io/rev";

/// Decides on a pod in a namespace with these labels, both questions asked.
pub fn decide(
    pod: &Value,
    namespace: &str,
    namespace_labels: &BTreeMap<String, String>,
    policy: &Policy,
) -> Result<Decision, InjectError> {
    match unseen(pod, namespace_labels, policy) {
        Some(reason) => Ok(Decision::Skip(reason)),
        None => decide_seen(pod, namespace, policy),
    }
}

/// Decides on a pod that a person hands in: labels of its namespace do not count.
pub fn decide_seen(pod: &Value, namespace: &str, policy: &Policy) -> Result<Decision, InjectError> {
    match unwanted(pod, namespace, policy) {
        Some(reason) => Ok(Decision::Skip(reason)),
        None => template(pod),
    }
}

/// Why no webhook would see the pod.
fn unseen(pod: &Value, namespace: &BTreeMap<String, String>, policy: &Policy) -> Option<&'static str> {
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
