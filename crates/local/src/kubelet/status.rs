//! The status of a pod, as Kubernetes writes it.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::context::NODE;
use crate::network::ROUTER_ADDRESS;
use crate::pod::plan::{ContainerReport, Ended, State};

/// Where a pod stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not every container has started.
    Pending,
    /// At least one container runs, or will again.
    Running,
    /// All containers ended well.
    Succeeded,
    /// All containers ended, one of them badly.
    Failed,
}

impl Phase {
    /// The word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Phase::Pending => "Pending",
            Phase::Running => "Running",
            Phase::Succeeded => "Succeeded",
            Phase::Failed => "Failed",
        }
    }
}

/// Where a pod stands that has these containers.
///
/// `is_finished` says that none will be started again.
pub(crate) fn phase(reports: &[ContainerReport], is_finished: bool) -> Phase {
    let main = || reports.iter().filter(|report| !report.is_init);
    if is_finished {
        let well = main().all(|report| matches!(&report.state, State::Terminated(ended) if ended.code == 0));
        return if well { Phase::Succeeded } else { Phase::Failed };
    }
    let begun =
        |report: &ContainerReport| !matches!(report.state, State::Waiting { .. }) || report.restarts > 0;
    if main().next().is_some() && main().all(begun) { Phase::Running } else { Phase::Pending }
}

/// Whether every container that should be ready is.
pub(crate) fn is_ready(reports: &[ContainerReport]) -> bool {
    let mut main = reports.iter().filter(|report| !report.is_init).peekable();
    main.peek().is_some() && main.all(|report| report.ready)
}

/// Conditions of a pod; each remembers when it changed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conditions {
    known: Vec<(&'static str, bool, Timestamp)>,
}

impl Conditions {
    /// Takes note of how things are at `now`.
    pub(crate) fn observe(&mut self, reports: &[ContainerReport], now: Timestamp) {
        let initialized =
            reports.iter().filter(|report| report.is_init).all(|report| report.ready || report.started);
        let ready = is_ready(reports);
        for (kind, holds) in [
            ("PodScheduled", true),
            ("Initialized", initialized && !reports.is_empty()),
            ("ContainersReady", ready),
            ("Ready", ready),
        ] {
            match self.known.iter_mut().find(|(known, _, _)| *known == kind) {
                Some(known) if known.1 != holds => *known = (kind, holds, now),
                Some(_) => {}
                None => self.known.push((kind, holds, now)),
            }
        }
    }

    /// Since when the pod has been ready.
    pub(crate) fn ready_since(&self) -> Option<Timestamp> {
        self.known.iter().find(|(kind, holds, _)| *kind == "Ready" && *holds).map(|(_, _, since)| *since)
    }

    fn to_json(&self) -> Value {
        let one = |(kind, holds, since): &(&str, bool, Timestamp)| {
            json!({
                "type": kind,
                "status": if *holds { "True" } else { "False" },
                "lastTransitionTime": since.to_string(),
            })
        };
        self.known.iter().map(one).collect()
    }
}

/// What a status says beside the containers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// The pod's address, when it has one.
    pub(crate) address: std::net::Ipv4Addr,
    /// When it was made.
    pub(crate) start: Timestamp,
    /// Where it stands.
    pub(crate) phase: Phase,
    /// Its conditions.
    pub(crate) conditions: &'a Conditions,
}

/// The `status` of a pod whose spec is `spec`.
pub(crate) fn to_json(facts: &Facts<'_>, reports: &[ContainerReport], spec: &Value) -> Value {
    let of = |is_init: bool, section: &str| -> Value {
        reports
            .iter()
            .filter(|report| report.is_init == is_init)
            .map(|report| container(report, spec, section))
            .collect()
    };
    let address = facts.address.to_string();
    let mut status = json!({
        "phase": facts.phase.name(),
        "hostIP": ROUTER_ADDRESS.to_string(),
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": facts.start.to_string(),
        "conditions": facts.conditions.to_json(),
        "containerStatuses": of(false, "containers"),
    });
    if reports.iter().any(|report| report.is_init) {
        status["initContainerStatuses"] = of(true, "initContainers");
    }
    status
}

fn container(report: &ContainerReport, spec: &Value, section: &str) -> Value {
    let image = spec
        .get(section)
        .and_then(Value::as_array)
        .and_then(|containers| containers.iter().find(|one| one["name"] == report.name.as_str()))
        .map_or(Value::Null, |container| container["image"].clone());
    let state = match &report.state {
        State::Waiting { reason, message } => json!({"waiting": {"reason": reason, "message": message}}),
        State::Running { since, .. } => json!({"running": {"startedAt": time(*since)}}),
        State::Terminated(ended) => json!({"terminated": terminated(ended)}),
    };
    let last = report.last_state.as_ref().map_or(json!({}), |ended| json!({"terminated": terminated(ended)}));
    json!({
        "name": report.name,
        "image": image.as_str().unwrap_or_default(),
        "state": state,
        "lastState": last,
        "ready": report.ready,
        "started": report.started,
        "restartCount": report.restarts,
    })
}

fn terminated(ended: &Ended) -> Value {
    json!({
        "exitCode": ended.code,
        "signal": ended.signal.unwrap_or(0),
        "reason": ended.reason,
        "message": ended.message,
        "startedAt": time(ended.started),
        "finishedAt": time(ended.finished),
    })
}

fn time(milliseconds: i64) -> String {
    Timestamp::from_millisecond(milliseconds).unwrap_or_default().to_string()
}

/// Adds to a pod's metadata and spec what a cluster adds.
pub(crate) fn complete(pod: &mut Value, uid: &str, created: Timestamp) {
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["uid"] = json!(uid);
    pod["metadata"]["creationTimestamp"] = json!(created.to_string());
    pod["spec"]["nodeName"] = json!(NODE);
}

#[cfg(test)]
mod tests;
