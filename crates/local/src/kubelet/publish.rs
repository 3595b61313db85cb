//! What others learn from the kubelet's part.

use std::collections::BTreeMap;
use std::sync::Arc;

use resources::{Object, ObjectKey, Spec};
use serde_json::json;

use super::entry::PodEntry;
use super::status::{Facts, to_json};
use super::summary::PodSummary;
use super::{Kubelet, Objects};
use crate::network::doors;
use crate::services::{Addressing, Member, describe};

/// Services with their addresses filled in; an unchanged Service stays the same object.
#[derive(Debug, Default)]
pub(super) struct ServiceCache {
    completed: BTreeMap<ObjectKey, (Arc<Object>, Addressing, Arc<Object>)>,
}

impl ServiceCache {
    fn complete(&mut self, service: &Arc<Object>, addressing: &Addressing) -> Arc<Object> {
        if let Some((from, how, completed)) = self.completed.get(&service.key)
            && Arc::ptr_eq(from, service)
            && how == addressing
        {
            return Arc::clone(completed);
        }
        let completed = with_address(service, addressing);
        let entry = (Arc::clone(service), addressing.clone(), Arc::clone(&completed));
        self.completed.insert(service.key.clone(), entry);
        completed
    }
}

fn with_address(object: &Arc<Object>, addressing: &Addressing) -> Arc<Object> {
    let (Addressing::Cluster(address), Some(service)) = (addressing, object.as_service()) else {
        return Arc::clone(object);
    };
    let address = address.to_string();
    if service.spec.cluster_ip == address {
        return Arc::clone(object);
    }
    let mut service = service.clone();
    service.spec.cluster_ip.clone_from(&address);
    service.spec.cluster_ips = vec![address.clone()];
    let mut completed = Object::clone(object);
    completed.spec = Spec::Service(Box::new(service));
    completed.raw["spec"]["clusterIP"] = json!(address);
    completed.raw["spec"]["clusterIPs"] = json!([address]);
    Arc::new(completed)
}

impl Kubelet {
    /// Tells everybody how things are, where that has changed.
    pub(super) fn publish(&mut self) {
        for entry in self.pods.values_mut().filter(|entry| entry.published.is_none()) {
            entry.published = Some(published(entry));
        }
        let members: Vec<Member> = self.pods.values().filter(|entry| !entry.is_ending).map(member).collect();
        let services = self.services();
        let (rules, table) = describe(&services, &self.addressing, &members);
        replace(&self.outputs.rules, rules);
        replace(&self.outputs.table, table);
        replace(&self.outputs.targets, doors::targets(&self.objects, &members));
        replace(&self.outputs.pods, self.pods.values().map(PodSummary::of).collect());
        replace(&self.outputs.refusals, self.refusals.clone());
        self.publish_objects();
    }

    fn publish_objects(&mut self) {
        let mut all: Objects = Objects::clone(&self.objects);
        for (key, addressing) in &self.addressing {
            if let Some(service) = all.get_mut(key) {
                *service = self.service_cache.complete(service, addressing);
            }
        }
        self.service_cache.completed.retain(|key, _| self.addressing.contains_key(key));
        for object in self.pods.values().filter_map(|entry| entry.published.as_ref()) {
            all.insert(object.key.clone(), Arc::clone(object));
        }
        self.outputs.objects.send_if_modified(|current| {
            let same = current.len() == all.len()
                && current.iter().zip(&all).all(|((_, one), (_, other))| Arc::ptr_eq(one, other));
            if !same {
                *current = Arc::new(std::mem::take(&mut all));
            }
            !same
        });
    }
}

fn replace<T: PartialEq>(output: &tokio::sync::watch::Sender<Arc<T>>, value: T) {
    output.send_if_modified(|current| {
        let changed = **current != value;
        if changed {
            *current = Arc::new(value);
        }
        changed
    });
}

/// The pod as an object with its status.
fn published(entry: &PodEntry) -> Arc<Object> {
    let mut raw = entry.object.raw.clone();
    let facts = Facts {
        address: entry.address,
        start: entry.created,
        phase: entry.phase(),
        conditions: &entry.conditions,
    };
    raw["status"] = to_json(&facts, &entry.reports, &raw["spec"]);
    if entry.is_ending {
        raw["metadata"]["deletionTimestamp"] = json!(jiff::Timestamp::now().to_string());
    }
    let parsed = resources::parse_json("pod", &raw, &entry.namespace);
    parsed.objects.into_iter().next().unwrap_or_else(|| Arc::clone(&entry.object))
}

fn member(entry: &PodEntry) -> Member {
    let spec = entry.object.as_pod().map(|pod| &pod.spec);
    let ports = spec.into_iter().flat_map(|spec| &spec.containers).flat_map(|container| &container.ports);
    Member {
        namespace: entry.namespace.clone(),
        name: entry.name.clone(),
        labels: entry.object.meta.labels.clone(),
        address: entry.address,
        is_ready: entry.is_ready(),
        hostname: spec.map(|spec| spec.hostname.clone()).unwrap_or_default(),
        subdomain: spec.map(|spec| spec.subdomain.clone()).unwrap_or_default(),
        ports: ports
            .filter(|port| !port.name.is_empty())
            .map(|port| (port.name.clone(), port.container_port))
            .collect(),
    }
}
