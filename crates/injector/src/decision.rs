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
    let refused = labels.get(INJECT).is_some_and(|value| value == "false");
    let is_ours = |revision: &String| *revision == settings.revision || settings.tags.contains(revision);
    match (namespace.labels.get(INJECTION).map(String::as_str), namespace.labels.get(REVISION)) {
        (Some("enabled"), _) if refused => Decision::Skip("the pod's label refuses it"),
        (Some("enabled"), _) => Decision::Inject("the namespace is enabled"),
        (Some("disabled"), _) => Decision::Skip("the namespace is disabled"),
        (Some(_), _) => {
            Decision::Skip("the namespace's istio-injection label is neither enabled nor disabled")
        }
        (None, Some(revision)) if !is_ours(revision) => Decision::Skip("the namespace is another revision's"),
        (None, Some(_)) if refused => Decision::Skip("the pod's label refuses it"),
        (None, Some(_)) => Decision::Inject("the namespace is this revision's"),
        (None, None) => selected_by_itself(&labels, refused, &is_ours, namespace, settings),
    }
}

fn selected_by_itself(
    labels: &BTreeMap<String, String>,
    refused: bool,
    is_ours: &dyn Fn(&String) -> bool,
    namespace: &Namespace,
    settings: &Settings,
) -> Decision {
    if refused {
        return Decision::Skip("the pod's label refuses it");
    }
    if let Some(revision) = labels.get(REVISION) {
        return match is_ours(revision) {
            true => Decision::Inject("the pod is this revision's"),
            false => Decision::Skip("the pod is another revision's"),
        };
    }
    if labels.get(INJECT).is_some_and(|value| value == "true") {
        return Decision::Inject("the pod's label asks for it");
    }
    if settings.namespaces_by_default && !SYSTEM_NAMESPACES.contains(&namespace.name.as_str()) {
        return Decision::Inject("namespaces are enabled by default");
    }
    Decision::Skip("neither namespace nor pod asks for it")
}

/// Whether the injector wants the pod, when a webhook has seen it or a person hands it in.
pub fn inject_required(pod: &Value, namespace: &Namespace, settings: &Settings) -> Decision {
    if settings.policy == Policy::Off {
        return Decision::Skip("injection is off");
    }
    if pod.pointer("/spec/hostNetwork").and_then(Value::as_bool).unwrap_or(false) {
        return Decision::Skip("the pod uses the host's network");
    }
    if SYSTEM_NAMESPACES.contains(&namespace.name.as_str()) {
        return Decision::Skip("the namespace belongs to the cluster");
    }
    let (labels, annotations) = (of_pod(pod, "labels"), of_pod(pod, "annotations"));
    if annotations.contains_key(STATUS) {
        return Decision::Skip("the pod is injected already");
    }
    // Only these exact words count; the label comes before the annotation.
    let wish = match labels.get(INJECT).or_else(|| annotations.get(INJECT)).map(String::as_str) {
        Some("true") => Some(true),
        Some("false") => Some(false),
        _ => None,
    };
    let matches = |selectors: &[LabelSelector]| {
        selectors.iter().any(|selector| *selector != LabelSelector::default() && selector.matches(&labels))
    };
    match wish {
        Some(true) => Decision::Inject("the pod asks for it"),
        Some(false) => Decision::Skip("the pod refuses it"),
        None if matches(&settings.never_inject) => Decision::Skip("neverInjectSelector names the pod"),
        None if matches(&settings.always_inject) => Decision::Inject("alwaysInjectSelector names the pod"),
        None => match settings.policy {
            Policy::Enabled => Decision::Inject("the policy is enabled"),
            Policy::Disabled | Policy::Off => {
                Decision::Skip("the policy is disabled, and the pod does not ask")
            }
        },
    }
}

#[cfg(test)]
mod tests;
