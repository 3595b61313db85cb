//! The own ports of a workload: those that services lead to, or those that a
//! Sidecar object names.

use std::collections::BTreeSet;

use resources::sidecar::IngressListener;
use xds::origin::Origin;

use super::draft::{ClusterKey, Draft, ListenerKey, Scene};
use crate::cluster::{self, InboundKey, inbound_name};
use crate::listener::{InboundPort, VirtualInboundKey};
use crate::memo::Shared;
use crate::node::Node;
use crate::protocol::Protocol;
use crate::service::{Service, TargetPort};
use crate::snapshot::Snapshot;

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
    let mut serving: Vec<&Shared<Service>> =
        snapshot.services.iter().filter(|it| it.is_served_by(&facets.namespace, &facets.labels)).collect();
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

/// Clusters and the listener for the own ports.
pub(super) fn draw(draft: &mut Draft, scene: &Scene<'_>, own_ports: &[OwnPort]) {
    let sidecar = scene.scope.sidecar.as_ref();
    let ingress = sidecar.and_then(|object| object.as_sidecar()).map(|spec| spec.ingress.as_slice());
    let mut keys = match ingress {
        Some(listeners) if !listeners.is_empty() => named_ports(scene, listeners, own_ports),
        _ => own_ports.iter().filter_map(|port| led_to(scene, port)).collect(),
    };
    // Of several services on one port, the oldest says what it speaks.
    let mut seen = BTreeSet::new();
    keys.retain(|key| seen.insert(key.port));
    let ports = keys.iter().map(|key| InboundPort {
        port: key.port,
        protocol: key.protocol,
        host: key.service.as_ref().map(|(service, _)| service.host.clone()).unwrap_or_default(),
        service_port: key.service.as_ref().map_or(key.port, |(_, number)| *number),
        origin: key.origin.clone(),
    });
    let listener = VirtualInboundKey { facets: scene.facets.clone(), ports: ports.collect() };
    if scene.carries_tcp() {
        draft.listeners.insert("virtualInbound".to_owned(), ListenerKey::VirtualInbound(listener));
    }
    for key in keys {
        draft.clusters.insert(inbound_name(key.port), ClusterKey::Inbound(key));
    }
}

fn led_to(scene: &Scene<'_>, port: &OwnPort) -> Option<InboundKey> {
    let at = port.service.ports.iter().position(|it| it.number == port.number)?;
    Some(InboundKey {
        port: port.target,
        protocol: port.service.ports[at].protocol,
        service: Some((port.service.clone(), port.number)),
        target: None,
        origin: Origin { object: port.service.object.to_string(), path: format!("ports[{at}]") },
        extensions: scene.extensions.clone(),
    })
}

fn named_ports(scene: &Scene<'_>, listeners: &[IngressListener], own_ports: &[OwnPort]) -> Vec<InboundKey> {
    let object = scene.scope.sidecar.as_ref().map(|object| object.key.to_string()).unwrap_or_default();
    listeners
        .iter()
        .enumerate()
        .filter_map(|(at, listener)| {
            let port = listener.port.as_ref()?;
            let service = own_ports
                .iter()
                .find(|own| own.number == port.number || own.target == port.number)
                .map(|own| (own.service.clone(), own.number));
            Some(InboundKey {
                port: port.number,
                protocol: Protocol::of_field(&port.protocol, port.number),
                service,
                target: target(&listener.default_endpoint, port.number),
                origin: Origin { object: object.clone(), path: format!("ingress[{at}]") },
                extensions: scene.extensions.clone(),
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
