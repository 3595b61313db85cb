//! Which pods there should be, and how each is started.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use resources::{Kind, Object, ObjectKey};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::spawn_local;

use super::context::{Context, Reason};
use super::deployments::{Existing, Steps, Wanted, next};
use super::entry::{Owner, PodEntry};
use super::pod_task::{self, Task};
use super::resolve::{Resolved, Surroundings, Unresolved, resolve};
use super::status::complete;
use super::{Event, Kubelet, credentials, names, volumes};
use crate::place;
use crate::services;

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
                if !self.create_from_template(&object, &template, &hash) {
                    break;
                }
            }
        }
    }

    fn existing(&self, deployment: &Object, age: Duration) -> Vec<Existing> {
        let mut pods: Vec<(&PodEntry, &Owner)> = self
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

    /// Makes a pod of a Deployment; false when it cannot be made.
    fn create_from_template(&mut self, deployment: &Object, template: &Value, hash: &str) -> bool {
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
        self.create(pod, &deployment.key.to_string(), Some(owner), String::new())
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
        for ((namespace, name), (hash, raw)) in wanted {
            self.create(raw, &ObjectKey::new(Kind::Pod, namespace, name).to_string(), None, hash);
        }
    }

    /// Makes a pod for an object; false when it cannot be made, which is tried again when objects change.
    fn create(&mut self, pod: Value, object: &str, owner: Option<Owner>, written: String) -> bool {
        if self.refusals.contains_key(object) {
            return false;
        }
        match self.admit(pod) {
            Ok(mut entry) => {
                entry.owner = owner;
                entry.written = written;
                self.pods.insert(entry.uid.clone(), entry);
                true
            }
            Err(reason) => {
                tracing::error!("{object}: no pod can be made: {reason}");
                self.refusals.insert(object.to_owned(), reason);
                false
            }
        }
    }

    fn admit(&mut self, pod: Value) -> Result<PodEntry, String> {
        let created = Timestamp::now();
        let mut pod = (self.setup.admit)(pod, &self.objects)?;
        complete(&mut pod, &names::uid(random(), random()), created);
        let parsed = resources::parse_json("pod", &pod, "default");
        let object =
            parsed.objects.into_iter().next().ok_or_else(|| {
                parsed.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
            })?;
        let place = self.places.take().ok_or_else(|| "no address is free".to_owned())?;
        Ok(PodEntry::new(object, place, created))
    }

    /// Starts every pod that waits and has what it needs.
    fn start_waiting(&mut self) {
        let waiting: Vec<String> =
            self.pods.values().filter(|entry| entry.is_waiting()).map(|entry| entry.uid.clone()).collect();
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
        let task = Task {
            uid: uid.to_owned(),
            place: entry.place,
            address: entry.address,
            resolved,
            group: entry.group(),
            grace: entry.grace(),
            netlink: self.setup.netlink.clone(),
            proofs: self.setup.credentials.as_ref().and_then(|given| credentials::of(&entry.object, given)),
        };
        let (commands, receiver) = mpsc::unbounded_channel();
        entry.starts(commands);
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
                    changes.push((entry.uid.clone(), volume.name.clone(), content, entry.group()));
                }
            }
        }
        for (uid, name, content, group) in changes {
            let directory = place::pod(&uid).join("volumes").join(&name);
            match volumes::write(&directory, &content, group) {
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
