//! The own ports of a workload: those that services lead to, or those that a
//! Sidecar object names.

use std::collections::BTreeSet;

use resources::Object;
use resources::sidecar::IngressListener;
use xds::origin::Origin;

use crate::cluster::{self, InboundKey};
use crate::extensions::Extensions;
use crate::listener::{InboundPort, VirtualInboundKey};
use crate::memo::Shared;
use crate::node::{Facets, Node};
use crate::protocol::Protocol;
use crate::service::{Service, TargetPort};
use crate::snapshot::{Policies, Snapshot};

/// A port of the workload to which a service leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct OwnPort {
    /// The port of the application.
    pub(super) target: u16,
    pub(super) service: Shared<Service>,
    /// The service's port.
    pub(super) number: u16,
}

/// The ports to which services lead, the oldest service first.
pub(super) fn own_ports(snapshot: &Snapshot, node: &Node) -> Vec<OwnPort> {
    let facets = &node.facets;
    let mut serving: Vec<&Shared<Service>> = snapshot
        .services
        .in_namespace(&facets.namespace)
        .filter(|it| it.is_served_by(&facets.namespace, &facets.labels))
        .collect();
    serving.sort_by_key(|service| (service.created.is_none(), service.created, service.object.clone()));
    let mut ports = Vec::new();
    for service in serving {
        for port in &service.ports {
            let target = match &port.target {
                TargetPort::Number(number) => Some(*number),
                TargetPort::Name(name) => snapshot.container_port(&facets.namespace, &node.name, name),
            };
            ports.extend(target.map(|target| OwnPort {
                target,
                service: service.clone(),
                number: port.number,
            }));
        }
    }
    ports
}

/// What the own ports of a node are drawn from.
pub(super) struct Own<'a> {
    pub(super) ports: &'a [OwnPort],
    pub(super) sidecar: Option<&'a Shared<Object>>,
    pub(super) extensions: &'a Shared<Extensions>,
}

/// The clusters of the own ports.
pub(super) fn clusters(own: &Own<'_>) -> Vec<InboundKey> {
    let ingress = own.sidecar.and_then(|object| object.as_sidecar()).map(|spec| spec.ingress.as_slice());
    let mut keys = match ingress {
        Some(listeners) if !listeners.is_empty() => named_ports(own, listeners),
        _ => own.ports.iter().filter_map(|port| led_to(own, port)).collect(),
    };
    // Of several services on one port, the oldest says what it speaks.
    let mut seen = BTreeSet::new();
    keys.retain(|key| seen.insert(key.port));
    keys
}

/// The listener that leads to these clusters.
pub(super) fn listener(
    facets: &Shared<Facets>,
    keys: &[InboundKey],
    policies: Option<&Shared<Policies>>,
) -> VirtualInboundKey {
    let ports = keys.iter().map(|key| InboundPort {
        port: key.port,
        protocol: key.protocol,
        host: key.service.as_ref().map(|(service, _)| service.host.clone()).unwrap_or_default(),
        service_port: key.service.as_ref().map_or(key.port, |(_, number)| *number),
        origin: key.origin.clone(),
    });
    VirtualInboundKey { facets: facets.clone(), ports: ports.collect(), policies: policies.cloned() }
}

fn led_to(own: &Own<'_>, port: &OwnPort) -> Option<InboundKey> {
    let at = port.service.ports.iter().position(|it| it.number == port.number)?;
    Some(InboundKey {
        port: port.target,
        protocol: port.service.ports[at].protocol,
        service: Some((port.service.clone(), port.number)),
        target: None,
        origin: Origin { object: port.service.object.to_string(), path: format!("ports[{at}]") },
        extensions: own.extensions.clone(),
    })
}

fn named_ports(own: &Own<'_>, listeners: &[IngressListener]) -> Vec<InboundKey> {
    let object = own.sidecar.map(|object| object.key.to_string()).unwrap_or_default();
    listeners
        .iter()
        .enumerate()
        .filter_map(|(at, listener)| {
            let port = listener.port.as_ref()?;
            let service = own
                .ports
                .iter()
                .find(|led| led.number == port.number || led.target == port.number)
                .map(|led| (led.service.clone(), led.number));
            Some(InboundKey {
                port: port.number,
                protocol: Protocol::of_field(&port.protocol, port.number),
                service,
                target: target(&listener.default_endpoint, port.number),
                origin: Origin { object: object.clone(), path: format!("ingress[{at}]") },
                extensions: own.extensions.clone(),
            })
        })
        .collect()
}

/// `127.0.0.1:PORT`, `0.0.0.0:PORT` (the pod's own address) or `unix://PATH`;
/// nothing when the application listens where connections come to.
fn target(endpoint: &str, port: u16) -> Option<cluster::Target> {
    if endpoint.starts_with("unix://") {
        return Some(cluster::Target { address: endpoint.to_owned(), port: 0 });
    }
    let (address, number) = endpoint.rsplit_once(':')?;
    let number: u16 = number.parse().ok()?;
    let address = address.trim_matches(['[', ']']);
    let everywhere = matches!(address, "0.0.0.0" | "::");
    if everywhere && number == port {
        return None;
    }
    let address = if everywhere { "127.0.0.1" } else { address };
    Some(cluster::Target { address: address.to_owned(), port: number })
}
