//! PeerAuthentications by namespace: what holds for a workload and port.

use std::collections::BTreeMap;
use std::sync::Arc;

use resources::Object;
use resources::peer_authentication::MutualTlsMode as Mode;

use crate::memo::Shared;
use crate::mesh::ROOT_NAMESPACE;
use crate::snapshot::seniority;

/// All PeerAuthentications.
#[derive(Debug, Default)]
pub(crate) struct PeerAuthentications {
    /// Namespaces that say something of their own.
    by_namespace: BTreeMap<String, Shared<Policies>>,
    /// For all others.
    mesh: Shared<Policies>,
}

/// What holds in one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Policies {
    /// Where no workload is meant.
    general: Mode,
    /// The oldest first.
    workloads: Vec<Workloads>,
}

/// What is said for some workloads.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Workloads {
    labels: BTreeMap<String, String>,
    mode: Mode,
    ports: BTreeMap<u16, Mode>,
}

impl Default for Policies {
    fn default() -> Self {
        Self { general: Mode::Permissive, workloads: Vec::new() }
    }
}

impl PeerAuthentications {
    /// The policies after a change; what says the same keeps its identity.
    pub(crate) fn next<'a>(&self, objects: impl Iterator<Item = &'a Arc<Object>>) -> Self {
        let mut objects: Vec<&Arc<Object>> = objects.collect();
        objects.sort_by(|left, right| seniority(left).cmp(&seniority(right)));
        let general = |namespace: &str| {
            let of_namespace = objects.iter().filter(|object| object.key.namespace == namespace);
            let mut specs = of_namespace.filter_map(|object| object.as_peer_authentication());
            let found = specs.find(|spec| spec.labels().is_none()).map(|spec| spec.mode());
            found.filter(|mode| *mode != Mode::Unset)
        };
        let of_mesh = general(ROOT_NAMESPACE).unwrap_or(Mode::Permissive);
        let mut by_namespace: BTreeMap<String, Policies> = BTreeMap::new();
        for object in &objects {
            let Some(spec) = object.as_peer_authentication() else { continue };
            let namespace = &object.key.namespace;
            let policies = by_namespace.entry(namespace.clone()).or_insert_with(|| Policies {
                general: general(namespace).unwrap_or(of_mesh),
                workloads: Vec::new(),
            });
            if let Some(labels) = spec.labels() {
                policies.workloads.push(Workloads {
                    labels: labels.clone(),
                    mode: spec.mode(),
                    ports: spec.ports().collect(),
                });
            }
        }
        let kept = |known: Option<&Shared<Policies>>, fresh: Policies| {
            known.filter(|known| ***known == fresh).cloned().unwrap_or_else(|| Shared::new(fresh))
        };
        let mesh = Policies { general: of_mesh, workloads: Vec::new() };
        Self {
            mesh: kept(Some(&self.mesh), mesh),
            by_namespace: by_namespace
                .into_iter()
                .map(|(namespace, fresh)| {
                    let policies = kept(self.by_namespace.get(&namespace), fresh);
                    (namespace, policies)
                })
                .collect(),
        }
    }

    /// What holds in a namespace.
    pub(crate) fn of(&self, namespace: &str) -> &Shared<Policies> {
        self.by_namespace.get(namespace).unwrap_or(&self.mesh)
    }
}

impl Policies {
    /// What holds for a port of the workload with these labels.
    pub(crate) fn mode(&self, labels: &BTreeMap<String, String>, port: u16) -> Mode {
        let workload = self.workload(labels);
        let of_port = workload.and_then(|workload| workload.ports.get(&port).copied());
        let of_workload = workload.map(|workload| workload.mode);
        [of_port, of_workload].into_iter().flatten().find(|mode| *mode != Mode::Unset).unwrap_or(self.general)
    }

    /// What holds for ports that are not named.
    pub(crate) fn mode_of_others(&self, labels: &BTreeMap<String, String>) -> Mode {
        self.mode(labels, 0)
    }

    /// Ports of the workload that are named.
    pub(crate) fn named_ports(&self, labels: &BTreeMap<String, String>) -> impl Iterator<Item = u16> {
        self.workload(labels).into_iter().flat_map(|workload| workload.ports.keys().copied())
    }

    fn workload(&self, labels: &BTreeMap<String, String>) -> Option<&Workloads> {
        self.workloads.iter().find(|it| it.labels.iter().all(|(key, value)| labels.get(key) == Some(value)))
    }
}
