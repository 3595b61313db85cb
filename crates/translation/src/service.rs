//! Services of the mesh, wherever they come from: Kubernetes Services and the
//! hosts of ServiceEntries, in one form.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use resources::field::IntOrString;
use resources::service::{ServiceType, TransportProtocol};
use resources::service_entry::{Location, Resolution as EntryResolution, ServiceEntry, WorkloadEntry};
use resources::{Object, ObjectKey};

use crate::host::service_name;
use crate::node::Locality;
use crate::protocol::Protocol;
use crate::visibility::Visibility;

/// A service that clients can name.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// The full host name; may have a wildcard in front.
    pub host: String,
    /// The name of its object for Kubernetes, the host for others.
    pub name: String,
    /// The namespace of its object.
    pub namespace: String,
    /// The object that says it.
    pub object: ObjectKey,
    /// Where it was registered.
    pub registry: Registry,
    /// The addresses that clients connect to, with or without a prefix length;
    /// none for a headless service and for names that only DNS knows.
    pub addresses: Vec<String>,
    /// Its ports; UDP is left out.
    pub ports: Vec<Port>,
    /// How a proxy finds its endpoints.
    pub resolution: Resolution,
    /// Whether the endpoints lie outside the mesh.
    pub is_external: bool,
    /// Labels of the pods that serve it; none means that no pod does.
    pub selector: BTreeMap<String, String>,
    /// Pods count even before they are ready.
    pub counts_unready: bool,
    /// Endpoints that the object itself lists.
    pub listed: Vec<WorkloadEntry>,
    /// When the object was made; the older of two wins.
    pub created: Option<Timestamp>,
    pub(crate) visibility: Visibility,
}

/// Who registered a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Registry {
    /// A Kubernetes Service.
    Kubernetes,
    /// A ServiceEntry.
    External,
}

/// How a proxy finds the endpoints of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resolution {
    /// The control plane tells them.
    Told,
    /// By DNS, every address.
    Dns,
    /// By DNS, one address per connection.
    DnsRoundRobin,
    /// The address that the client asked for.
    Original,
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Port {
    /// The number that clients connect to.
    pub number: u16,
    /// Its name.
    pub name: String,
    /// What is spoken on it.
    pub protocol: Protocol,
    /// The port of the endpoint.
    pub target: TargetPort,
}

/// The port of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TargetPort {
    /// By number.
    Number(u16),
    /// By the name of a container's port.
    Name(String),
}

/// One place that serves a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// An IP address, a name, or `unix://path`.
    pub address: String,
    /// Service port to the endpoint's own.
    pub ports: BTreeMap<u16, u16>,
    /// Labels that subsets select by.
    pub labels: BTreeMap<String, String>,
    /// What runs there.
    pub workload: Workload,
    /// Where it is.
    pub locality: Locality,
    /// Its share; 0 means 1.
    pub weight: u32,
}

/// What runs at an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Workload {
    /// Its name, such as `reviews-v1`.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its service account.
    pub service_account: String,
}

/// All endpoints of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Endpoints {
    /// In the order of their addresses.
    pub list: Vec<Endpoint>,
}

/// The services that an object says.
pub(crate) fn of_object(object: &Arc<Object>) -> Vec<Service> {
    if let Some(service) = object.as_service() {
        return vec![of_kubernetes(object, service)];
    }
    match object.as_service_entry() {
        Some(entry) => entry.hosts.iter().map(|host| of_entry(object, entry, host)).collect(),
        None => Vec::new(),
    }
}

fn of_kubernetes(object: &Object, service: &resources::service::Service) -> Service {
    let spec = &service.spec;
    let is_alias = spec.service_type == ServiceType::ExternalName;
    let mut addresses = vec![spec.cluster_ip.clone()];
    addresses.extend(spec.cluster_ips.iter().cloned());
    addresses.extend(spec.external_ips.iter().cloned());
    addresses.retain(|address| !address.is_empty() && address != "None");
    let mut seen = std::collections::BTreeSet::new();
    addresses.retain(|address| seen.insert(address.clone()));
    let ports = spec.ports.iter().filter(|port| port.protocol == TransportProtocol::Tcp).map(|port| Port {
        number: port.port,
        name: port.name.clone(),
        protocol: Protocol::of_service_port(&port.name, port.app_protocol.as_deref(), port.port),
        target: match &port.target_port {
            Some(IntOrString::String(name)) => TargetPort::Name(name.clone()),
            Some(IntOrString::Int(number)) if *number != 0 => TargetPort::Number(*number),
            _ => TargetPort::Number(port.port),
        },
    });
    let export_to = object.meta.annotations.get("networking.istio.io/exportTo");
    Service {
        host: service_name(&object.key.name, &object.key.namespace),
        name: object.key.name.clone(),
        namespace: object.key.namespace.clone(),
        object: object.key.clone(),
        registry: Registry::Kubernetes,
        addresses,
        ports: ports.filter(|port| port.protocol != Protocol::Udp).collect(),
        resolution: match () {
            () if is_alias => Resolution::Dns,
            () if service.is_headless() => Resolution::Original,
            () => Resolution::Told,
        },
        is_external: is_alias,
        selector: if is_alias { BTreeMap::new() } else { spec.selector.clone() },
        counts_unready: spec.publish_not_ready_addresses,
        listed: if is_alias { vec![at(&spec.external_name)] } else { Vec::new() },
        created: object.meta.creation_timestamp,
        visibility: Visibility::parse_annotation(export_to, &object.key.namespace),
    }
}

fn of_entry(object: &Object, entry: &ServiceEntry, host: &str) -> Service {
    let ports = entry.ports.iter().map(|port| Port {
        number: port.number,
        name: port.name.clone(),
        protocol: Protocol::of_field(&port.protocol, port.number),
        target: TargetPort::Number(if port.target_port == 0 { port.number } else { port.target_port }),
    });
    let resolution = match entry.resolution {
        EntryResolution::Static => Resolution::Told,
        EntryResolution::Dns => Resolution::Dns,
        EntryResolution::DnsRoundRobin => Resolution::DnsRoundRobin,
        EntryResolution::None | EntryResolution::DynamicDns => Resolution::Original,
    };
    let by_name = matches!(resolution, Resolution::Dns | Resolution::DnsRoundRobin);
    let unlisted = entry.endpoints.is_empty() && entry.workload_selector.is_none();
    Service {
        host: host.to_owned(),
        name: host.to_owned(),
        namespace: object.key.namespace.clone(),
        object: object.key.clone(),
        registry: Registry::External,
        addresses: entry.addresses.clone(),
        ports: ports.filter(|port| port.protocol != Protocol::Udp).collect(),
        resolution,
        is_external: entry.location == Location::MeshExternal,
        selector: entry.workload_selector.as_ref().map(|it| it.labels.clone()).unwrap_or_default(),
        counts_unready: false,
        listed: if by_name && unlisted { vec![at(host)] } else { entry.endpoints.clone() },
        created: object.meta.creation_timestamp,
        visibility: Visibility::parse(&entry.export_to, &object.key.namespace),
    }
}

fn at(address: &str) -> WorkloadEntry {
    WorkloadEntry { address: address.to_owned(), ..WorkloadEntry::default() }
}

impl Service {
    /// Whether clients know it by its name alone, so that a proxy could not
    /// tell its connections from others'.
    pub(crate) fn wants_address(&self) -> bool {
        self.registry == Registry::External
            && self.addresses.is_empty()
            && self.resolution != Resolution::Original
            && !self.host.starts_with('*')
            && self.host.parse::<std::net::IpAddr>().is_err()
    }

    /// Whether clients in `namespace` see it.
    pub fn is_visible_in(&self, namespace: &str) -> bool {
        self.visibility.includes(namespace)
    }

    /// Whether pods of `namespace` with these labels serve it.
    pub fn is_served_by(&self, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        self.namespace == namespace
            && !self.selector.is_empty()
            && self.selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    }

    /// The port with this number.
    pub fn port(&self, number: u16) -> Option<&Port> {
        self.ports.iter().find(|port| port.number == number)
    }

    /// The endpoints that the object lists and the pods that it selects.
    pub(crate) fn endpoints<'a>(&self, pods: impl Iterator<Item = &'a Arc<Object>>) -> Endpoints {
        let listed = self.listed.iter().map(|entry| self.listed_endpoint(entry));
        let mut list: Vec<Endpoint> = listed.collect();
        list.extend(pods.filter_map(|pod| self.pod_endpoint(pod)));
        list.sort_by(|left, right| {
            (&left.address, &left.workload.name).cmp(&(&right.address, &right.workload.name))
        });
        Endpoints { list }
    }

    fn listed_endpoint(&self, entry: &WorkloadEntry) -> Endpoint {
        let own = |port: &Port| match &port.target {
            TargetPort::Number(number) => *number,
            TargetPort::Name(_) => port.number,
        };
        let ports = self.ports.iter().map(|port| {
            let number = entry.ports.get(&port.name).copied().unwrap_or_else(|| own(port));
            (port.number, number)
        });
        let mut place = entry.locality.split('/').map(str::to_owned);
        let mut next = || place.next().unwrap_or_default();
        Endpoint {
            address: entry.address.clone(),
            ports: ports.collect(),
            labels: entry.labels.clone(),
            workload: Workload {
                name: String::new(),
                namespace: self.namespace.clone(),
                service_account: entry.service_account.clone(),
            },
            locality: Locality { region: next(), zone: next(), sub_zone: next() },
            weight: entry.weight,
        }
    }

    fn pod_endpoint(&self, object: &Object) -> Option<Endpoint> {
        let pod = object.as_pod()?;
        let leaves = object.meta.deletion_timestamp.is_some();
        let ready = pod.status.is_ready() || self.counts_unready;
        let serves = self.is_served_by(&object.key.namespace, &object.meta.labels);
        if !serves || !ready || leaves || pod.status.pod_ip.is_empty() {
            return None;
        }
        let ports = self.ports.iter().filter_map(|port| {
            let own = match &port.target {
                TargetPort::Number(number) => Some(*number),
                TargetPort::Name(name) => named_port(pod, name),
            };
            own.map(|own| (port.number, own))
        });
        Some(Endpoint {
            address: pod.status.pod_ip.clone(),
            ports: ports.collect(),
            labels: object.meta.labels.clone(),
            workload: Workload {
                name: workload_name(object),
                namespace: object.key.namespace.clone(),
                service_account: pod.spec.service_account().to_owned(),
            },
            locality: Locality::of_labels(&object.meta.labels),
            weight: 0,
        })
    }
}

/// The port of a container by its name.
pub(crate) fn named_port(pod: &resources::pod::Pod, name: &str) -> Option<u16> {
    let containers = pod.spec.containers.iter().chain(&pod.spec.init_containers);
    containers
        .flat_map(|container| &container.ports)
        .find(|port| port.name == name)
        .map(|it| it.container_port)
}

/// The workload that owns a pod: a ReplicaSet's name without its hash is its
/// Deployment's.
pub(crate) fn workload_name(pod: &Object) -> String {
    let owner = pod.meta.owner_references.iter().find(|owner| owner.controller != Some(false));
    let Some(owner) = owner else { return pod.key.name.clone() };
    let hash = pod.meta.labels.get("pod-template-hash");
    let without_hash = hash.and_then(|hash| owner.name.strip_suffix(hash.as_str())?.strip_suffix('-'));
    match without_hash {
        Some(name) if owner.kind == "ReplicaSet" => name.to_owned(),
        _ => owner.name.clone(),
    }
}
