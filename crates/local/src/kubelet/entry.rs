//! One pod, and what becomes of it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use resources::Object;
use tokio::sync::mpsc;

use super::addresses;
use super::pod_task::Command;
use super::resolve::Unresolved;
use super::status::{Conditions, Phase, is_ready, phase};
use super::volumes::Content;
use crate::failure::Failure;
use crate::pod::back_off::BackOff;
use crate::pod::plan::{ContainerReport, Grace, State};

/// Seconds between SIGTERM and SIGKILL where a pod does not say.
const DEFAULT_GRACE: u64 = 30;

/// The Deployment that a pod belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    /// The Deployment's name.
    pub(super) deployment: String,
    /// The hash of the template that the pod was made from.
    pub(super) hash: String,
}

/// A pod.
pub(super) struct PodEntry {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) owner: Option<Owner>,
    /// The hash of what the user wrote, for a pod without a Deployment.
    pub(super) written: String,
    pub(super) place: u32,
    pub(super) address: Ipv4Addr,
    pub(super) created: Timestamp,
    /// As it runs: patched, typed.
    pub(super) object: Arc<Object>,
    pub(super) reports: Vec<ContainerReport>,
    pub(super) conditions: Conditions,
    state: EntryState,
    is_finished: bool,
    pub(super) is_ending: bool,
    back_off: BackOff,
    started: Option<Instant>,
    /// The object with its status, made when somebody asks.
    pub(super) published: Option<Arc<Object>>,
    /// Volumes that follow their ConfigMaps and Secrets.
    pub(super) volumes: BTreeMap<String, Content>,
}

/// What a pod's process does.
enum EntryState {
    /// It is to be started: at once, or when what it needs is there.
    Waiting,
    /// It runs.
    Running(mpsc::UnboundedSender<Command>),
    /// It was lost, and is started again when its wait is over.
    BackOff,
    /// Nothing is left of it.
    Over,
}

impl PodEntry {
    /// A pod that has not started.
    pub(super) fn new(object: Arc<Object>, place: u32, created: Timestamp) -> PodEntry {
        PodEntry {
            namespace: object.key.namespace.clone(),
            name: object.key.name.clone(),
            uid: object.meta.uid.clone(),
            owner: None,
            written: String::new(),
            place,
            address: addresses::address(place),
            created,
            object,
            reports: Vec::new(),
            conditions: Conditions::default(),
            state: EntryState::Waiting,
            is_finished: false,
            is_ending: false,
            back_off: BackOff::default(),
            started: None,
            published: None,
            volumes: BTreeMap::new(),
        }
    }

    /// Where commands to the pod's process go, while it runs.
    pub(super) fn commands(&self) -> Option<&mpsc::UnboundedSender<Command>> {
        match &self.state {
            EntryState::Running(commands) => Some(commands),
            EntryState::Waiting | EntryState::BackOff | EntryState::Over => None,
        }
    }

    /// Ends the pod; it is over when its process is gone.
    pub(super) fn end(&mut self, grace: Grace) {
        self.is_ending = true;
        self.published = None;
        match &self.state {
            // A task that is gone has told so already.
            EntryState::Running(commands) => drop(commands.send(Command::Terminate(grace))),
            EntryState::Waiting | EntryState::BackOff | EntryState::Over => self.state = EntryState::Over,
        }
    }

    /// Whether it is to be started.
    pub(super) fn is_waiting(&self) -> bool {
        !self.is_ending && matches!(self.state, EntryState::Waiting)
    }

    /// Its process was started.
    pub(super) fn starts(&mut self, commands: mpsc::UnboundedSender<Command>) {
        self.state = EntryState::Running(commands);
        self.started = Some(Instant::now());
    }

    /// Whether nothing is left of it and nobody wants more.
    pub(super) fn is_over(&self) -> bool {
        self.is_ending && matches!(self.state, EntryState::Over)
    }

    /// Its containers are so now.
    pub(super) fn reported(&mut self, reports: Vec<ContainerReport>) {
        self.reports = reports;
        self.conditions.observe(&self.reports, Timestamp::now());
        self.published = None;
    }

    /// Its containers have all ended for good.
    pub(super) fn finished(&mut self) {
        self.is_finished = true;
        self.published = None;
    }

    /// The pod's process is gone; how long to wait before the next, when there is to be one.
    pub(super) fn lost(&mut self, failure: Option<Failure>) -> Option<Duration> {
        self.published = None;
        if self.is_ending || self.is_finished {
            self.state = EntryState::Over;
            return None;
        }
        let ran = self.started.map_or(Duration::ZERO, |started| started.elapsed());
        let wait = self.back_off.after(ran);
        let message = match failure {
            Some(failure) => failure.to_string(),
            None => "the pod's process ended".to_owned(),
        };
        tracing::warn!(
            "pod {}/{}: {message}; it starts again in {} s",
            self.namespace,
            self.name,
            wait.as_secs()
        );
        for report in &mut self.reports {
            if !(report.is_init && report.ready) {
                report.restarts += 1;
            }
            (report.ready, report.started) = (false, false);
            report.state =
                State::Waiting { reason: "ContainerCreating".to_owned(), message: message.clone() };
        }
        self.conditions.observe(&self.reports, Timestamp::now());
        self.state = EntryState::BackOff;
        Some(wait)
    }

    /// Its wait is over.
    pub(super) fn due(&mut self) {
        if matches!(self.state, EntryState::BackOff) {
            self.state = EntryState::Waiting;
        }
    }

    /// Where it stands.
    pub(super) fn phase(&self) -> Phase {
        phase(&self.reports, self.is_finished)
    }

    /// Whether it takes traffic.
    pub(super) fn is_ready(&self) -> bool {
        !self.is_ending && is_ready(&self.reports)
    }

    /// Seconds between SIGTERM and SIGKILL.
    pub(super) fn grace(&self) -> Grace {
        let seconds = self.object.as_pod().and_then(|pod| pod.spec.termination_grace_period_seconds);
        Grace::of(seconds.unwrap_or(DEFAULT_GRACE))
    }

    /// The group of the pod's volumes.
    pub(super) fn group(&self) -> Option<u32> {
        self.object.as_pod()?.spec.security_context.as_ref()?.fs_group
    }

    /// Says in the status why the pod does not start.
    pub(super) fn waits_for(&mut self, unresolved: &Unresolved) {
        let Some(pod) = self.object.as_pod() else { return };
        let init = pod.spec.init_containers.iter().map(|container| (true, container));
        let containers = init.chain(pod.spec.containers.iter().map(|container| (false, container)));
        let reports = containers
            .map(|(is_init, container)| {
                let concerned = unresolved.container.as_ref().is_none_or(|name| *name == container.name);
                let (reason, message) = if concerned {
                    (unresolved.reason.reason, unresolved.reason.message.clone())
                } else {
                    ("ContainerCreating", String::new())
                };
                ContainerReport {
                    name: container.name.clone(),
                    is_init,
                    state: State::Waiting { reason: reason.to_owned(), message },
                    last_state: None,
                    started: false,
                    ready: false,
                    restarts: 0,
                }
            })
            .collect();
        if self.reports != reports {
            let who = unresolved.container.as_deref().unwrap_or("all containers");
            tracing::warn!("pod {}/{}, {who}: {}", self.namespace, self.name, unresolved.reason.message);
            self.reported(reports);
        }
    }
}
