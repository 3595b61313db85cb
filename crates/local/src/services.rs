//! Services: their addresses, their endpoints, and what follows for rules and names.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use resources::field::IntOrString;
use resources::service::{Service, ServicePort, ServiceType, TransportProtocol};
use resources::{Object, ObjectKey};

use crate::dns::table::{DOMAIN, Entry, Table};
use crate::kubelet::names::stable_number;
use crate::network::rules::{Destination, Protocol, Rules};
use crate::network::{CONTROL_PLANE_ADDRESS, DNS_ADDRESS, SERVICE_RANGE};

/// The control plane's name; it answers before anything else exists.
const CONTROL_PLANE: &str = "istiod.istio-system.svc";

/// The DNS server's own name, as in a cluster.
const DNS: &str = "kube-dns.kube-system.svc";

/// Addresses below this offset are the mesh's own.
const FIRST_ADDRESS: u32 = 256;

/// How a Service is addressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Addressing {
    /// By an address of its own.
    Cluster(Ipv4Addr),
    /// By the addresses of its pods.
    Headless,
    /// By another name.
    External(String),
}

/// Cluster addresses that were given out; a Service keeps its own as long as it exists.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    given: BTreeMap<ObjectKey, Ipv4Addr>,
}

impl Addresses {
    /// How each Service is addressed; those that are gone give their addresses back.
    pub(crate) fn assign(&mut self, services: &[Arc<Object>]) -> BTreeMap<ObjectKey, Addressing> {
        let present: BTreeSet<&ObjectKey> = services.iter().map(|object| &object.key).collect();
        self.given.retain(|key, _| present.contains(key));
        let mut result = BTreeMap::new();
        let mut without = Vec::new();
        for object in services {
            let Some(service) = object.as_service() else { continue };
            let spec = &service.spec;
            if spec.service_type == ServiceType::ExternalName {
                result.insert(object.key.clone(), Addressing::External(spec.external_name.clone()));
            } else if service.is_headless() {
                result.insert(object.key.clone(), Addressing::Headless);
            } else if let Some(address) = asked_for(service) {
                self.given.insert(object.key.clone(), address);
                result.insert(object.key.clone(), Addressing::Cluster(address));
            } else {
                without.push(&object.key);
            }
        }
        for key in without {
            result.insert(key.clone(), Addressing::Cluster(self.give(key)));
        }
        result
    }

    /// The same address for the same name where possible, so that a restart changes none.
    fn give(&mut self, key: &ObjectKey) -> Ipv4Addr {
        if let Some(address) = self.given.get(key) {
            return *address;
        }
        let taken: BTreeSet<Ipv4Addr> = self.given.values().copied().collect();
        let free = u32::from(u16::MAX) - FIRST_ADDRESS;
        let wanted = stable_number(&key.to_string());
        let start = u32::try_from(wanted % u64::from(free)).unwrap_or(0);
        let network = u32::from(SERVICE_RANGE.network());
        let address = (0..free)
            .map(|step| Ipv4Addr::from(network + FIRST_ADDRESS + (start + step) % free))
            .find(|address| !taken.contains(address))
            .unwrap_or(Ipv4Addr::UNSPECIFIED);
        self.given.insert(key.clone(), address);
        address
    }
}

/// The address that a Service asks for itself.
fn asked_for(service: &Service) -> Option<Ipv4Addr> {
    service.spec.cluster_ip.parse().ok().filter(|address| SERVICE_RANGE.contains(address))
}

/// A pod, as far as Services see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Namespace.
    pub(crate) namespace: String,
    /// Name.
    pub(crate) name: String,
    /// Labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// Address.
    pub(crate) address: Ipv4Addr,
    /// Whether it takes connections.
    pub(crate) is_ready: bool,
    /// A name of its own.
    pub(crate) hostname: String,
    /// The headless Service that serves that name.
    pub(crate) subdomain: String,
    /// Named ports.
    pub(crate) ports: BTreeMap<String, u16>,
}

/// The rules and names of all Services.
pub(crate) fn describe(
    services: &[Arc<Object>],
    addressing: &BTreeMap<ObjectKey, Addressing>,
    members: &[Member],
) -> (Rules, Table) {
    let mut rules = Rules { destinations: Vec::new(), pods: members.iter().map(|pod| pod.address).collect() };
    let mut table = Table::default();
    own_names(&mut table);
    for member in members {
        let name = member.address.to_string().replace('.', "-");
        let name = format!("{name}.{}.pod", member.namespace);
        table.insert(&name, Entry::Addresses(vec![member.address]));
        table.insert_reverse(member.address, &name);
    }
    for object in services {
        let (Some(service), Some(how)) = (object.as_service(), addressing.get(&object.key)) else { continue };
        let chosen = selected(service, &object.key.namespace, members);
        let name = format!("{}.{}.svc", object.key.name, object.key.namespace);
        match how {
            Addressing::External(target) => table.insert(&name, Entry::Alias(target.clone())),
            Addressing::Headless => headless(&mut table, &name, service, &object.key.name, &chosen),
            Addressing::Cluster(address) => {
                table.insert(&name, Entry::Addresses(vec![*address]));
                table.insert_reverse(*address, &name);
                for port in &service.spec.ports {
                    named_port(&mut table, &name, port, port.port, &format!("{name}.{DOMAIN}"));
                    // The mesh's own servers listen on their addresses themselves.
                    if ![CONTROL_PLANE_ADDRESS, DNS_ADDRESS].contains(address) {
                        rules.destinations.extend(destination(*address, port, &chosen));
                    }
                }
            }
        }
    }
    (rules, table)
}

fn own_names(table: &mut Table) {
    for (name, address) in [(CONTROL_PLANE, CONTROL_PLANE_ADDRESS), (DNS, DNS_ADDRESS)] {
        table.insert(name, Entry::Addresses(vec![address]));
        table.insert_reverse(address, name);
    }
}

/// The pods that a Service's connections may go to.
pub(crate) fn selected<'a>(service: &Service, namespace: &str, members: &'a [Member]) -> Vec<&'a Member> {
    members
        .iter()
        .filter(|member| member.namespace == namespace && service.selects(&member.labels))
        .filter(|member| member.is_ready || service.spec.publish_not_ready_addresses)
        .collect()
}

/// The port of a pod that a Service's port leads to.
pub(crate) fn target_port(port: &ServicePort, member: &Member) -> Option<u16> {
    match &port.target_port {
        None | Some(IntOrString::Int(0)) => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => member.ports.get(name).copied(),
    }
}

fn destination(address: Ipv4Addr, port: &ServicePort, chosen: &[&Member]) -> Option<Destination> {
    let protocol = match port.protocol {
        TransportProtocol::Tcp => Protocol::Tcp,
        TransportProtocol::Udp => Protocol::Udp,
        TransportProtocol::Sctp => return None,
    };
    let endpoints =
        chosen.iter().filter_map(|member| Some((member.address, target_port(port, member)?))).collect();
    Some(Destination { address, port: port.port, protocol, endpoints })
}

fn headless(table: &mut Table, name: &str, service: &Service, short: &str, chosen: &[&Member]) {
    table.insert(name, Entry::Addresses(chosen.iter().map(|member| member.address).collect()));
    for member in chosen {
        let own = if member.subdomain == short && !member.hostname.is_empty() {
            format!("{}.{name}", member.hostname)
        } else {
            format!("{}.{name}", member.address.to_string().replace('.', "-"))
        };
        table.insert(&own, Entry::Addresses(vec![member.address]));
        for port in &service.spec.ports {
            let number = target_port(port, member).unwrap_or(port.port);
            named_port(table, name, port, number, &format!("{own}.{DOMAIN}"));
        }
    }
}

fn named_port(table: &mut Table, service: &str, port: &ServicePort, number: u16, host: &str) {
    if port.name.is_empty() {
        return;
    }
    let protocol = match port.protocol {
        TransportProtocol::Tcp => "tcp",
        TransportProtocol::Udp => "udp",
        TransportProtocol::Sctp => "sctp",
    };
    table.insert(
        &format!("_{}._{protocol}.{service}", port.name),
        Entry::Ports(vec![(number, host.to_owned())]),
    );
}

/// Variables that tell a container of the Services of its namespace, as Kubernetes sets them.
pub(crate) fn links(
    namespace: &str,
    services: &[Arc<Object>],
    addressing: &BTreeMap<ObjectKey, Addressing>,
) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    for object in services.iter().filter(|object| object.key.namespace == namespace) {
        let (Some(service), Some(Addressing::Cluster(address))) =
            (object.as_service(), addressing.get(&object.key))
        else {
            continue;
        };
        let Some(first) = service.spec.ports.first() else { continue };
        let prefix = object.key.name.to_uppercase().replace(['-', '.'], "_");
        variables.push((format!("{prefix}_SERVICE_HOST"), address.to_string()));
        variables.push((format!("{prefix}_SERVICE_PORT"), first.port.to_string()));
        for port in service.spec.ports.iter().filter(|port| !port.name.is_empty()) {
            let name = port.name.to_uppercase().replace(['-', '.'], "_");
            variables.push((format!("{prefix}_SERVICE_PORT_{name}"), port.port.to_string()));
        }
        variables.push((format!("{prefix}_PORT"), format!("tcp://{address}:{}", first.port)));
    }
    variables
}

#[cfg(test)]
mod tests;
