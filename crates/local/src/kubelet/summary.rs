//! Pods in short, for people and for the commands that look for one.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::entry::PodEntry;
use crate::pod::plan::State;

/// A pod in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSummary {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The Deployment it belongs to.
    pub deployment: Option<String>,
    /// Labels.
    pub labels: std::collections::BTreeMap<String, String>,
    /// Address.
    pub address: Ipv4Addr,
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Terminating`.
    pub phase: String,
    /// Whether it takes traffic.
    pub is_ready: bool,
    /// When it was made, in milliseconds since 1970.
    pub created: i64,
    /// The container that is meant when none is named.
    pub default_container: String,
    /// Its containers, init containers first.
    pub containers: Vec<ContainerSummary>,
}

/// A container in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerSummary {
    /// Name.
    pub name: String,
    /// Whether it is an init container.
    pub is_init: bool,
    /// `Running`, or why it does not.
    pub state: String,
    /// More about the state.
    pub message: String,
    /// Whether it is ready.
    pub is_ready: bool,
    /// How often it was started again.
    pub restarts: u32,
    /// Its process: first as the world numbers it, as the host does after `with_host_pids`.
    pub pid: Option<u32>,
}

impl PodSummary {
    pub(super) fn of(entry: &PodEntry) -> PodSummary {
        let spec = entry.object.as_pod().map(|pod| &pod.spec);
        let annotated = entry.object.meta.annotations.get("kubectl.kubernetes.io/default-container").cloned();
        let first = spec
            .and_then(|spec| spec.containers.iter().find(|container| container.name != "istio-proxy"))
            .or_else(|| spec.and_then(|spec| spec.containers.first()))
            .map(|container| container.name.clone());
        PodSummary {
            namespace: entry.namespace.clone(),
            name: entry.name.clone(),
            deployment: entry.owner.as_ref().map(|owner| owner.deployment.clone()),
            labels: entry.object.meta.labels.clone(),
            address: entry.address,
            phase: if entry.is_ending { "Terminating" } else { entry.phase().name() }.to_owned(),
            is_ready: entry.is_ready(),
            created: entry.created.as_millisecond(),
            default_container: annotated.or(first).unwrap_or_default(),
            containers: entry.reports.iter().map(container).collect(),
        }
    }
}

fn container(report: &crate::pod::plan::ContainerReport) -> ContainerSummary {
    let (state, message, pid) = match &report.state {
        State::Waiting { reason, message } => (reason.clone(), message.clone(), None),
        State::Running { pid, .. } => ("Running".to_owned(), String::new(), Some(*pid)),
        State::Terminated(ended) => (ended.reason.clone(), ended.message.clone(), None),
    };
    ContainerSummary {
        name: report.name.clone(),
        is_init: report.is_init,
        state,
        message,
        is_ready: report.ready,
        restarts: report.restarts,
        pid,
    }
}

/// The pod that a person means by `workload`, among these.
///
/// A pod's name; a Deployment's name, also without its version (`reviews` for `reviews-v1`); or one of these after
/// `pod/`, `deploy/` or `svc/`. A ready pod comes before others.
pub(crate) fn find<'a>(
    pods: &'a [PodSummary],
    namespace: &str,
    workload: &str,
) -> Result<&'a PodSummary, String> {
    let (kind, name) = match workload.split_once('/') {
        Some((kind, name)) => (Some(kind), name),
        None => (None, workload),
    };
    let is_pod = |pod: &PodSummary| pod.name == name;
    let is_deployed = |pod: &PodSummary| pod.deployment.as_deref() == Some(name);
    let is_version = |pod: &PodSummary| {
        let version = pod
            .deployment
            .as_deref()
            .and_then(|deployment| deployment.strip_prefix(name)?.strip_prefix("-v"));
        version.is_some_and(|version| version.starts_with(|first: char| first.is_ascii_digit()))
    };
    let is_app = |pod: &PodSummary| pod.labels.get("app").is_some_and(|app| app == name);
    let matches: &[&dyn Fn(&PodSummary) -> bool] = match kind {
        None => &[&is_pod, &is_deployed, &is_version],
        Some("pod" | "po" | "pods") => &[&is_pod],
        Some("deploy" | "deployment" | "deployments") => &[&is_deployed, &is_version],
        Some("svc" | "service" | "services") => &[&is_app],
        Some(other) => return Err(format!("`{other}` is no kind that has pods: pod, deploy or svc")),
    };
    for matching in matches {
        let mut found: Vec<&PodSummary> =
            pods.iter().filter(|pod| pod.namespace == namespace && matching(pod)).collect();
        found.sort_by_key(|pod| (!pod.is_ready, pod.name.clone()));
        if let Some(pod) = found.first() {
            return Ok(pod);
        }
    }
    let elsewhere = pods.iter().find(|pod| matches.iter().any(|matching| matching(pod)));
    Err(match elsewhere {
        Some(pod) => format!(
            "no pod of `{workload}` in namespace `{namespace}`: there is one in `{0}`, try `-n {0}`",
            pod.namespace
        ),
        None => format!("no pod of `{workload}` in namespace `{namespace}`"),
    })
}

#[cfg(test)]
mod tests;
