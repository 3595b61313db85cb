//! What DNS inside the mesh would say of a host.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use resources::field::IntOrString;
use resources::{Kind, Object, ObjectKey};

use super::Request;

/// All objects, by their keys.
pub type Objects = BTreeMap<ObjectKey, Arc<Object>>;

/// Stands for any address outside of the mesh: which one does not matter to a
/// listener.
pub(super) const OUTSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(240, 0, 0, 1));

/// Where a client connects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The address.
    pub address: SocketAddr,
    /// How the address is known.
    pub by: ResolvedBy,
}

/// How an address is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolvedBy {
    /// It was written out, or is the proxy's own.
    Itself,
    /// The object that has the host.
    Object {
        /// Its key.
        key: ObjectKey,
        /// The ports that it has.
        ports: Vec<u16>,
    },
    /// No object has the host; the address stands for any.
    Nobody,
}

/// The address of the request's host for a pod of `namespace`.
pub fn resolve(objects: &Objects, request: &Request, namespace: &str) -> Resolved {
    let host = request.host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    let at = |ip, by| Resolved { address: SocketAddr::new(ip, request.port), by };
    if let Ok(ip) = host.parse::<IpAddr>() {
        return at(ip, ResolvedBy::Itself);
    }
    if let Some((object, service)) = service_of(objects, host, namespace)
        .and_then(|object| object.as_service().map(|service| (object, service)))
    {
        let ports = service.spec.ports.iter().map(|port| port.port).collect();
        let ip = service.spec.cluster_ip.parse().ok().or_else(|| pod_of(objects, object));
        return at(ip.unwrap_or(OUTSIDE), ResolvedBy::Object { key: object.key.clone(), ports });
    }
    let entries = objects.values().filter_map(|object| Some((object, object.as_service_entry()?)));
    let mut having = entries
        .filter(|(_, entry)| entry.hosts.iter().any(|own| own == host || resources::host::covers(own, host)));
    match having.next() {
        Some((object, entry)) => {
            let ports = entry.ports.iter().map(|port| port.number).collect();
            let ip = entry.addresses.iter().find_map(|address| address.parse().ok());
            at(ip.unwrap_or(OUTSIDE), ResolvedBy::Object { key: object.key.clone(), ports })
        }
        None => at(OUTSIDE, ResolvedBy::Nobody),
    }
}

/// The port of a gateway's pod behind `port` of its Service.
pub fn gateway_port(objects: &Objects, pod: &Object, port: u16) -> u16 {
    let services = objects.values().filter(|object| selects(object, pod));
    let mut targets = services.filter_map(|object| {
        let own = object.as_service()?.spec.ports.iter().find(|own| own.port == port)?;
        match &own.target_port {
            Some(IntOrString::Int(target)) => Some(*target),
            _ => None,
        }
    });
    targets.next().unwrap_or(port)
}

/// Whether `object` is a Service that selects the pod.
fn selects(object: &Object, pod: &Object) -> bool {
    let selector = object.as_service().map(|service| &service.spec.selector);
    selector.is_some_and(|selector| {
        !selector.is_empty()
            && object.key.namespace == pod.key.namespace
            && selector.iter().all(|(key, value)| pod.meta.labels.get(key) == Some(value))
    })
}

/// A headless Service resolves to its pods.
fn pod_of(objects: &Objects, service: &Object) -> Option<IpAddr> {
    let pods = objects.values().filter(|object| selects(service, object));
    pods.filter_map(|object| object.as_pod()?.status.pod_ip.parse().ok()).next()
}

fn service_of<'a>(objects: &'a Objects, host: &str, namespace: &str) -> Option<&'a Arc<Object>> {
    let mut parts = host.split('.');
    let name = parts.next()?;
    let namespace = parts.next().unwrap_or(namespace);
    let rest: Vec<&str> = parts.collect();
    if !matches!(rest.as_slice(), [] | ["svc"] | ["svc", "cluster", "local"]) {
        return None;
    }
    objects.get(&ObjectKey::new(Kind::Service, namespace, name))
}
