//! The person who waits for a mesh, and what is told meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use resources::Object;
use tokio::sync::watch;

use super::host_client::HostClient;
use crate::kubelet::{Objects, PodSummary};
use crate::progress::{Doors, Progress};

/// How often it is said what is waited for.
const REMINDER: Duration = Duration::from_secs(10);

/// What there is to tell, and to whom.
pub(super) struct Waiting {
    pub(super) host: Arc<HostClient>,
    pub(super) objects: watch::Receiver<Arc<Objects>>,
    pub(super) pods: watch::Receiver<Arc<Vec<PodSummary>>>,
    pub(super) refusals: watch::Receiver<Arc<BTreeMap<String, String>>>,
    pub(super) gateway: SocketAddr,
    pub(super) doors: watch::Receiver<Vec<(u16, SocketAddr)>>,
}

impl Waiting {
    /// Tells how far the pods are, until all are ready for the first time.
    pub(super) async fn tell(mut self) {
        let has_limits = self.objects.borrow().values().any(has_limits);
        if has_limits {
            self.notice("resource limits of containers are ignored on one machine".to_owned()).await;
        }
        let mut told = None;
        let mut complaints = BTreeSet::new();
        let mut reminder = tokio::time::interval_at(tokio::time::Instant::now() + REMINDER, REMINDER);
        loop {
            let pods = Arc::clone(&self.pods.borrow_and_update());
            let wanted = wanted_pods(&self.objects.borrow());
            let ready = pods.iter().filter(|pod| pod.is_ready || pod.phase == "Succeeded").count();
            if told != Some((ready, wanted)) {
                told = Some((ready, wanted));
                self.host.progress(Progress::Pods { ready, wanted }).await;
            }
            if ready >= wanted {
                let doors = Doors { gateway: self.gateway, others: self.doors.borrow().clone() };
                return self.host.progress(Progress::Ready(doors)).await;
            }
            for complaint in self.complaints(&pods) {
                if complaints.insert(complaint.clone()) {
                    self.notice(complaint).await;
                }
            }
            tokio::select! {
                changed = self.pods.changed() => if changed.is_err() { return },
                changed = self.refusals.changed() => if changed.is_err() { return },
                _ = reminder.tick() => self.notice(late(&pods)).await,
            }
        }
    }

    async fn notice(&self, text: String) {
        self.host.progress(Progress::Notice(text)).await;
    }

    /// What does not come up by waiting alone.
    fn complaints(&mut self, pods: &[PodSummary]) -> Vec<String> {
        let refusals = Arc::clone(&self.refusals.borrow_and_update());
        let refused =
            refusals.iter().map(|(object, reason)| format!("{object}: no pod can be made: {reason}"));
        refused.chain(pods.iter().filter_map(complaint)).collect()
    }
}

fn late(pods: &[PodSummary]) -> String {
    let late: Vec<String> = pods
        .iter()
        .filter(|pod| !pod.is_ready)
        .map(|pod| format!("{}/{}", pod.namespace, pod.name))
        .collect();
    format!("not ready yet: {}", late.join(", "))
}

/// Why a pod does not come up by waiting alone.
fn complaint(pod: &PodSummary) -> Option<String> {
    let container = pod.containers.iter().find(|container| !container.message.is_empty())?;
    let (name, state, message) = (&container.name, &container.state, &container.message);
    Some(format!("pod {}/{}, container `{name}`: {state}: {message}", pod.namespace, pod.name))
}

/// Whether a user limits what a container may take.
fn has_limits(object: &Arc<Object>) -> bool {
    let spec = object.raw.pointer("/spec/template/spec").or_else(|| object.raw.get("spec"));
    let containers = spec.and_then(|spec| spec.get("containers")).and_then(serde_json::Value::as_array);
    containers.into_iter().flatten().any(|container| container.pointer("/resources/limits").is_some())
}

fn wanted_pods(objects: &Objects) -> usize {
    let count = |object: &Arc<Object>| match (object.as_deployment(), object.as_pod()) {
        (Some(deployment), _) => usize::try_from(deployment.replicas()).unwrap_or(0),
        (None, Some(_)) => 1,
        (None, None) => 0,
    };
    objects.values().map(count).sum()
}
