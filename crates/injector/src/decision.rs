//! Whether a pod gets a sidecar: namespace and pod, label and annotation, and
//! the policy for pods that say nothing.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::annotation::{annotation, label};
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

/// Which pods get a sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// For pods in namespaces that ask for injection.
    pub mode: Mode,
    /// Whether a namespace without a label asks for it.
    pub by_default: bool,
    /// Namespaces whose pods never get one.
    pub exempt: Vec<String>,
}

impl Default for Policy {
    fn default() -> Self {
        let exempt = ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];
        Self { mode: Mode::Enabled, by_default: false, exempt: exempt.map(str::to_owned).to_vec() }
    }
}

/// What a pod gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// A sidecar.
    Sidecar,
    /// Its `image: auto` container becomes a gateway's proxy.
    Gateway,
    /// Nothing, and why.
    Skip(&'static str),
}

const INJECT: &str = "sidecar.istio.io/inject";
const TEMPLATES: &str = "inject.istio.io/templates";
const NAMESPACE_INJECTION: &str = "istio-injection";
const STATUS: &str = "sidecar.istio.io/status";

/// Decides on a pod in a namespace with these labels.
pub fn decide(
    pod: &Value,
    namespace: &str,
    namespace_labels: &BTreeMap<String, String>,
    policy: &Policy,
) -> Result<Decision, InjectError> {
    if pod["spec"]["hostNetwork"] == true {
        return Ok(Decision::Skip("it uses the host's network"));
    }
    if policy.exempt.iter().any(|exempt| exempt == namespace) {
        return Ok(Decision::Skip("its namespace is exempt"));
    }
    if annotation(pod, STATUS).is_some() {
        return Ok(Decision::Skip("it was injected before"));
    }
    if !is_wanted(pod, namespace_labels, policy) {
        return Ok(Decision::Skip("neither it nor its namespace asks for a sidecar"));
    }
    template(pod)
}

fn is_wanted(pod: &Value, namespace_labels: &BTreeMap<String, String>, policy: &Policy) -> bool {
    // A label that is no boolean counts as unset; it does not let the annotation speak.
    let asked = match label(pod, INJECT) {
        Some(text) => flag(text),
        None => annotation(pod, INJECT).and_then(flag),
    };
    let namespace = match namespace_labels.get(NAMESPACE_INJECTION).map(String::as_str) {
        Some("enabled") => Some(true),
        Some("disabled") => Some(false),
        _ => None,
    };
    if namespace == Some(false) {
        return false;
    }
    match policy.mode {
        Mode::Off => false,
        Mode::Disabled => asked == Some(true),
        Mode::Enabled => asked.unwrap_or(namespace.unwrap_or(policy.by_default)),
    }
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn template(pod: &Value) -> Result<Decision, InjectError> {
    match annotation(pod, TEMPLATES) {
        Some("gateway") => Ok(Decision::Gateway),
        Some("sidecar") => Ok(Decision::Sidecar),
        Some(other) => Err(InjectError::Template(other.to_owned())),
        None if has_automatic_proxy(pod) => Ok(Decision::Gateway),
        None => Ok(Decision::Sidecar),
    }
}

fn has_automatic_proxy(pod: &Value) -> bool {
    let mut containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    containers.any(|container| container["name"] == PROXY_CONTAINER && container["image"] == "auto")
}
