//! The pod that a person means.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use config_store::Objects;
use resources::{Kind, Object, ObjectKey};

/// Where the ingress gateway is, which people name without its namespace.
const GATEWAY: (&str, &str) = ("istio-ingressgateway", "istio-system");

/// A pod by its name; by its Deployment's, also without its version
/// (`reviews` for `reviews-v1`); or by one of these after `pod/`, `deploy/`
/// or `svc/`. A ready pod comes before others.
pub(super) fn find<'a>(objects: &'a Objects, from: &str, namespace: &str) -> Result<&'a Arc<Object>> {
    let (kind, name) = match from.split_once('/') {
        Some((kind, name)) => (Some(kind), name),
        None => (None, from),
    };
    let namespace = if name == GATEWAY.0 && namespace == "default" { GATEWAY.1 } else { namespace };
    let is_pod = |pod: &Object| pod.key.name == name;
    let is_deployed = |pod: &Object| deployment(pod) == Some(name);
    let is_version = |pod: &Object| deployment(pod).is_some_and(|deployed| is_version_of(deployed, name));
    let is_selected = |pod: &Object| is_selected_by(objects, pod, name);
    let meanings: &[&dyn Fn(&Object) -> bool] = match kind {
        None => &[&is_pod, &is_deployed, &is_version],
        Some("pod" | "po" | "pods") => &[&is_pod],
        Some("deploy" | "deployment" | "deployments") => &[&is_deployed, &is_version],
        Some("svc" | "service" | "services") => &[&is_selected],
        Some(other) => bail!("`{other}` is no kind that has pods: pod, deploy or svc"),
    };
    let pods: Vec<&Arc<Object>> = objects.values().filter(|object| object.key.kind == Kind::Pod).collect();
    let of_namespace = |pod: &&&Arc<Object>| pod.key.namespace == namespace;
    for is_meant in meanings {
        let meant = pods.iter().filter(of_namespace).filter(|pod| is_meant(pod));
        if let Some(pod) = meant.min_by_key(|pod| !is_ready(pod)) {
            return Ok(pod);
        }
    }
    if let Some(pod) = pods.iter().find(|pod| meanings.iter().any(|is_meant| is_meant(pod))) {
        let other = &pod.key.namespace;
        bail!("no pod of `{from}` in namespace `{namespace}`: there is one in `{other}`, try `-n {other}`")
    }
    let known: BTreeSet<&str> =
        pods.iter().filter(of_namespace).map(|pod| deployment(pod).unwrap_or(&pod.key.name)).collect();
    let known: Vec<&str> = known.into_iter().collect();
    Err(match known.is_empty() {
        true => anyhow!("no pod of `{from}`: namespace `{namespace}` has none"),
        false => anyhow!("no pod of `{from}` in namespace `{namespace}`: there are {}", known.join(", ")),
    })
}

fn is_ready(pod: &Object) -> bool {
    pod.as_pod().is_some_and(|pod| pod.status.is_ready())
}

/// The Deployment that a pod belongs to, directly or by a ReplicaSet.
fn deployment(pod: &Object) -> Option<&str> {
    let owner = pod.meta.owner_references.first()?;
    match owner.kind.as_str() {
        "ReplicaSet" => owner.name.rsplit_once('-').map(|(name, _)| name),
        _ => Some(&owner.name),
    }
}

/// `reviews-v1` is a version of `reviews`, `reviews-view` is none.
fn is_version_of(deployment: &str, name: &str) -> bool {
    let version = deployment.strip_prefix(name).and_then(|rest| rest.strip_prefix("-v"));
    version.is_some_and(|version| version.starts_with(|first: char| first.is_ascii_digit()))
}

fn is_selected_by(objects: &Objects, pod: &Object, service: &str) -> bool {
    let key = ObjectKey::new(Kind::Service, pod.key.namespace.as_str(), service);
    let selector = objects.get(&key).and_then(|object| object.as_service()).map(|it| &it.spec.selector);
    selector.is_some_and(|selector| {
        !selector.is_empty()
            && selector.iter().all(|(label, value)| pod.meta.labels.get(label) == Some(value))
    })
}

#[cfg(test)]
mod tests;
