//! Pods: which there should be, and what becomes of each.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use resources::{Kind, Object};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::spawn_local;

use super::context::{Context, Reason};
use super::deployments::{Existing, Steps, Wanted, next};
use super::pod_task::{self, Command, Task};
use super::resolve::{Resolved, Surroundings, Unresolved, resolve};
use super::status::{Conditions, Phase, complete, is_ready, phase};
use super::{Event, Kubelet, names, volumes};
use crate::failure::Failure;
use crate::place;
use crate::pod::plan::{ContainerReport, Grace, State};
use crate::services;

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
    written: String,
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
    back_off: crate::pod::back_off::BackOff,
    started: Option<std::time::Instant>,
    /// The object with its status, made when somebody asks.
    pub(super) published: Option<Arc<Object>>,
    /// Volumes that follow their ConfigMaps and Secrets.
    volumes: BTreeMap<String, volumes::Content>,
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

    pub(super) fn is_over(&self) -> bool {
        self.is_ending && matches!(self.state, EntryState::Over)
    }

    pub(super) fn reported(&mut self, reports: Vec<ContainerReport>) {
        self.reports = reports;
        self.conditions.observe(&self.reports, Timestamp::now());
        self.published = None;
    }

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

    pub(super) fn due(&mut self) {
        if matches!(self.state, EntryState::BackOff) {
            self.state = EntryState::Waiting;
        }
    }

    pub(super) fn phase(&self) -> Phase {
        phase(&self.reports, self.is_finished)
    }

    pub(super) fn is_ready(&self) -> bool {
        !self.is_ending && is_ready(&self.reports)
    }

    fn grace(&self) -> Grace {
        let seconds = self.object.as_pod().and_then(|pod| pod.spec.termination_grace_period_seconds);
        Grace(seconds.unwrap_or(DEFAULT_GRACE))
    }

    /// Says in the status why the pod does not start.
    fn waits_for(&mut self, unresolved: &Unresolved) {
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

impl Kubelet {
    /// Brings the pods nearer to what is wanted.
    pub(super) fn reconcile(&mut self) {
        if self.ending.is_none() {
            self.reconcile_deployments();
            self.reconcile_lone_pods();
        }
        self.drop_ended();
        self.start_waiting();
    }

    fn reconcile_deployments(&mut self) {
        let deployments = self.of_kind(Kind::Deployment);
        let known: BTreeSet<(String, String)> = deployments
            .iter()
            .map(|deployment| (deployment.key.namespace.clone(), deployment.key.name.clone()))
            .collect();
        for entry in self.pods.values_mut().filter(|entry| !entry.is_ending) {
            let orphaned = entry
                .owner
                .as_ref()
                .is_some_and(|owner| !known.contains(&(entry.namespace.clone(), owner.deployment.clone())));
            if orphaned {
                entry.end(entry.grace());
            }
        }
        for object in deployments {
            let Some(deployment) = object.as_deployment() else { continue };
            let template = object.raw.pointer("/spec/template").cloned().unwrap_or_default();
            let hash = names::template_hash(&template);
            let wanted = Wanted::of(deployment, hash.clone());
            let age = Duration::from_secs(deployment.spec.min_ready_seconds.into());
            let existing = self.existing(&object, age);
            let Steps { create, delete } = next(&wanted, &existing);
            for entry in self.pods.values_mut().filter(|entry| entry.namespace == object.key.namespace) {
                if !entry.is_ending && delete.contains(&entry.name) {
                    entry.end(entry.grace());
                }
            }
            for _ in 0..create {
                self.create_from_template(&object, &template, &hash);
            }
        }
    }

    fn existing(&self, deployment: &Object, age: Duration) -> Vec<Existing> {
        let mut pods: Vec<(&super::PodEntry, &Owner)> = self
            .pods
            .values()
            .filter(|entry| entry.namespace == deployment.key.namespace)
            .filter_map(|entry| Some((entry, entry.owner.as_ref()?)))
            .filter(|(_, owner)| owner.deployment == deployment.key.name)
            .collect();
        pods.sort_by_key(|(entry, _)| entry.created);
        let now = Timestamp::now();
        pods.into_iter()
            .map(|(entry, owner)| Existing {
                name: entry.name.clone(),
                hash: owner.hash.clone(),
                is_available: entry.is_ready() && self.has_aged(entry, age, now),
                is_ending: entry.is_ending,
            })
            .collect()
    }

    fn has_aged(&self, entry: &PodEntry, age: Duration, now: Timestamp) -> bool {
        let Some(since) = entry.conditions.ready_since() else { return false };
        let ready = Duration::try_from(now.duration_since(since)).unwrap_or_default();
        if ready < age {
            self.wake_after(age - ready);
        }
        ready >= age
    }

    fn create_from_template(&mut self, deployment: &Object, template: &Value, hash: &str) {
        let name = names::pod_name(&deployment.key.name, hash, random());
        let mut pod = json!({"metadata": template.get("metadata").cloned().unwrap_or_else(|| json!({}))});
        if !pod["metadata"].is_object() {
            pod["metadata"] = json!({});
        }
        pod["metadata"]["name"] = json!(name);
        pod["metadata"]["namespace"] = json!(deployment.key.namespace);
        pod["metadata"]["labels"]["pod-template-hash"] = json!(hash);
        pod["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "name": names::replica_set_name(&deployment.key.name, hash),
            "controller": true,
            "blockOwnerDeletion": true,
        }]);
        pod["spec"] = template.get("spec").cloned().unwrap_or_default();
        let owner = Owner { deployment: deployment.key.name.clone(), hash: hash.to_owned() };
        self.create(pod, Some(owner), String::new());
    }

    /// Pods that the user wrote without a Deployment; a changed one is made anew.
    fn reconcile_lone_pods(&mut self) {
        let mut wanted: BTreeMap<(String, String), (String, Value)> = BTreeMap::new();
        for object in self.of_kind(Kind::Pod) {
            let mut raw = object.raw.clone();
            raw["metadata"]["namespace"] = json!(object.key.namespace);
            let key = (object.key.namespace.clone(), object.key.name.clone());
            wanted.insert(key, (names::template_hash(&raw), raw));
        }
        for entry in self.pods.values_mut().filter(|entry| entry.owner.is_none()) {
            let key = (entry.namespace.clone(), entry.name.clone());
            match wanted.get(&key) {
                // The same one; or its predecessor has still to end.
                Some((hash, _)) if *hash == entry.written || entry.is_ending => {
                    wanted.remove(&key);
                }
                _ if entry.is_ending => {}
                _ => {
                    entry.end(entry.grace());
                    wanted.remove(&key);
                }
            }
        }
        for (hash, raw) in wanted.into_values() {
            self.create(raw, None, hash);
        }
    }

    fn create(&mut self, pod: Value, owner: Option<Owner>, written: String) {
        let uid = names::uid(random(), random());
        let created = Timestamp::now();
        let described = format!("{}/{}", pod["metadata"]["namespace"], pod["metadata"]["name"]);
        let mut pod = match (self.setup.admit)(pod, &self.objects) {
            Ok(pod) => pod,
            Err(reason) => return tracing::error!("pod {described}: {reason}"),
        };
        complete(&mut pod, &uid, created);
        let parsed = resources::parse_json("pod", &pod, "default");
        let Some(object) = parsed.objects.into_iter().next() else {
            let problems: Vec<String> = parsed.problems.iter().map(ToString::to_string).collect();
            return tracing::error!("pod {described} cannot be made: {}", problems.join("; "));
        };
        let Some(place) = self.places.take() else {
            return tracing::error!("pod {described}: no address is free");
        };
        let entry = PodEntry {
            namespace: object.key.namespace.clone(),
            name: object.key.name.clone(),
            uid: uid.clone(),
            owner,
            written,
            place,
            address: Kubelet::address_of(place),
            created,
            object,
            reports: Vec::new(),
            conditions: Conditions::default(),
            state: EntryState::Waiting,
            is_finished: false,
            is_ending: false,
            back_off: crate::pod::back_off::BackOff::default(),
            started: None,
            published: None,
            volumes: BTreeMap::new(),
        };
        self.pods.insert(uid, entry);
    }

    /// Starts every pod that waits and has what it needs.
    fn start_waiting(&mut self) {
        let waiting: Vec<String> = self
            .pods
            .values()
            .filter(|entry| !entry.is_ending && matches!(entry.state, EntryState::Waiting))
            .map(|entry| entry.uid.clone())
            .collect();
        for uid in waiting {
            let resolved = self.resolve(&uid);
            let Some(entry) = self.pods.get_mut(&uid) else { continue };
            match resolved {
                Ok(mut resolved) => {
                    let earlier = entry.reports.iter().map(|report| (report.name.clone(), report.restarts));
                    resolved.plan.earlier_restarts = earlier.filter(|(_, restarts)| *restarts > 0).collect();
                    entry.volumes = resolved.volumes.clone();
                    self.start(&uid, resolved);
                }
                Err(unresolved) => entry.waits_for(&unresolved),
            }
        }
    }

    fn resolve(&self, uid: &str) -> Result<Resolved, Unresolved> {
        let gone = || Unresolved { container: None, reason: Reason::config("the pod is gone") };
        let entry = self.pods.get(uid).ok_or_else(gone)?;
        let links = services::links(&entry.namespace, &self.services(), &self.addressing);
        resolve(&Surroundings {
            context: self.context(entry).ok_or_else(gone)?,
            images: &self.images,
            images_file: &self.images_file,
            caller: self.setup.caller,
            home: self.setup.home.root(),
            service_links: &links,
        })
    }

    fn context<'a>(&'a self, entry: &'a PodEntry) -> Option<Context<'a>> {
        Some(Context {
            meta: &entry.object.meta,
            pod: entry.object.as_pod()?,
            address: entry.address,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory: machine_memory(),
            objects: &self.objects,
        })
    }

    fn start(&mut self, uid: &str, resolved: Resolved) {
        let Some(entry) = self.pods.get_mut(uid) else { return };
        let security = entry.object.as_pod().and_then(|pod| pod.spec.security_context.clone());
        let task = Task {
            uid: uid.to_owned(),
            place: entry.place,
            address: entry.address,
            resolved,
            group: security.and_then(|security| security.fs_group),
            grace: entry.grace(),
            netlink: self.setup.netlink.clone(),
        };
        let (commands, receiver) = mpsc::unbounded_channel();
        entry.state = EntryState::Running(commands);
        entry.started = Some(std::time::Instant::now());
        let (events, uid) = (self.events.clone(), uid.to_owned());
        spawn_local(pod_task::run(task, receiver, move |news| {
            // The kubelet's part ends after all its pods.
            let _ = events.send(Event::Pod(uid.clone(), news));
        }));
    }

    /// Writes volumes anew whose ConfigMaps or Secrets have changed.
    pub(super) fn refresh_volumes(&mut self) {
        let mut changes = Vec::new();
        for entry in self.pods.values().filter(|entry| entry.commands().is_some()) {
            let Some(context) = self.context(entry) else { continue };
            for volume in &context.pod.spec.volumes {
                // What has become wrong stays as it was, as in Kubernetes.
                let Ok(content) = volumes::content(&context, volume) else { continue };
                if entry.volumes.get(&volume.name).is_some_and(|before| *before != content) {
                    changes.push((entry.uid.clone(), volume.name.clone(), content));
                }
            }
        }
        for (uid, name, content) in changes {
            let directory = place::pod(&uid).join("volumes").join(&name);
            match volumes::write(&directory, &content, None) {
                Ok(()) => {
                    if let Some(entry) = self.pods.get_mut(&uid) {
                        entry.volumes.insert(name, content);
                    }
                }
                Err(error) => tracing::warn!("volume `{name}`: {error}"),
            }
        }
    }
}

fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // The standard library draws the keys of each state at random.
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

fn machine_memory() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes: u64 =
        total.and_then(|text| text.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0);
    kilobytes * 1024
}
