//! Endpoints of a cluster.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use xds::envoy::config::core::v3::HealthStatus;
use xds::envoy::config::endpoint::v3 as wire;
use xds::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;

use crate::address::Address;
use crate::cluster::marks;
use crate::invalid::{Invalid, Within};
use crate::metadata::text;

/// The endpoints of a cluster, in the order of configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// The endpoints.
    pub list: Box<[Endpoint]>,
    /// By how much a priority may be short of endpoints before the next one
    /// gets load, in percent.
    pub overprovisioning: u32,
}

impl Default for Endpoints {
    fn default() -> Endpoints {
        Endpoints { list: Box::default(), overprovisioning: OVERPROVISIONING }
    }
}

/// Envoy's default.
const OVERPROVISIONING: u32 = 140;
/// Envoy's limit.
const MAX_PRIORITY: u32 = 128;

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it listens.
    pub address: Address,
    /// Its host name, if it has one.
    pub hostname: Box<str>,
    /// How much of the traffic it gets.
    pub weight: u32,
    /// How it is.
    pub health: Health,
    /// Zero is the first choice.
    pub priority: u32,
    /// The weight of its locality; zero when none is given.
    pub locality_weight: u32,
    /// Its region, zone and sub-zone, joined by slashes.
    pub locality: Arc<str>,
    /// The workload behind it as Istio describes it:
    /// `name;namespace;canonical name;canonical revision;cluster`.
    pub workload: Option<Box<str>>,
    /// What consistent hashes know it by, in place of its address.
    pub hash_key: Option<Box<str>>,
    /// Marks by which a transport is chosen.
    pub marks: BTreeMap<String, String>,
}

/// How an endpoint is, as far as the control plane says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It can be used.
    Healthy,
    /// It should only be used when too few healthy ones are left.
    Degraded,
    /// It is going away: no new requests.
    Draining,
    /// It cannot be used.
    Unhealthy,
}

impl Health {
    /// Whether new requests may go there.
    pub fn is_available(self) -> bool {
        matches!(self, Health::Healthy | Health::Degraded)
    }
}

impl Endpoints {
    /// Compiles a load assignment message.
    pub fn compile(wire: &wire::ClusterLoadAssignment) -> Result<Endpoints, Invalid> {
        let mut list = Vec::new();
        for (index, group) in wire.endpoints.iter().enumerate() {
            let place = group.locality.as_ref();
            let locality: Arc<str> = place
                .map(|place| format!("{}/{}/{}", place.region, place.zone, place.sub_zone))
                .map(|place| place.trim_end_matches('/').into())
                .unwrap_or_default();
            for (number, endpoint) in group.lb_endpoints.iter().enumerate() {
                let endpoint = compile(endpoint, group, &locality)
                    .within_entry("lb_endpoints", number)
                    .within_entry("endpoints", index)?;
                list.push(endpoint);
            }
        }
        let overprovisioning = wire.policy.as_ref().and_then(|policy| policy.overprovisioning_factor);
        Ok(Endpoints {
            list: list.into(),
            overprovisioning: overprovisioning.filter(|factor| *factor > 0).unwrap_or(OVERPROVISIONING),
        })
    }

    /// The names that have to be resolved.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.list.iter().filter_map(|endpoint| match &endpoint.address {
            Address::Name { host, .. } => Some(&**host),
            _ => None,
        })
    }

    /// The endpoints with every name replaced by its addresses; a name
    /// without addresses disappears.
    pub fn resolve(&self, addresses: impl Fn(&str) -> Vec<IpAddr>) -> Endpoints {
        let mut list = Vec::with_capacity(self.list.len());
        for endpoint in &self.list {
            match &endpoint.address {
                Address::Name { host, port } => list.extend(addresses(host).into_iter().map(|ip| Endpoint {
                    address: Address::Socket(SocketAddr::new(ip, *port)),
                    hostname: if endpoint.hostname.is_empty() {
                        (&**host).into()
                    } else {
                        endpoint.hostname.clone()
                    },
                    ..endpoint.clone()
                })),
                _ => list.push(endpoint.clone()),
            }
        }
        Endpoints { list: list.into(), overprovisioning: self.overprovisioning }
    }
}

fn compile(
    wire: &wire::LbEndpoint,
    group: &wire::LocalityLbEndpoints,
    locality: &Arc<str>,
) -> Result<Endpoint, Invalid> {
    let Some(HostIdentifier::Endpoint(endpoint)) = &wire.host_identifier else {
        return Err(Invalid::new("endpoint", "is missing"));
    };
    if group.priority > MAX_PRIORITY {
        return Err(Invalid::new("priority", format!("{} is above {MAX_PRIORITY}", group.priority)));
    }
    let filters = wire.metadata.as_ref().map(|metadata| &metadata.filter_metadata);
    let health = match HealthStatus::try_from(wire.health_status) {
        Ok(HealthStatus::Unhealthy | HealthStatus::Timeout) => Health::Unhealthy,
        Ok(HealthStatus::Draining) => Health::Draining,
        Ok(HealthStatus::Degraded) => Health::Degraded,
        _ => Health::Healthy,
    };
    Ok(Endpoint {
        address: Address::compile(endpoint.address.as_ref())?,
        hostname: endpoint.hostname.as_str().into(),
        weight: wire.load_balancing_weight.unwrap_or(1).max(1),
        health,
        priority: group.priority,
        locality_weight: group.load_balancing_weight.unwrap_or(0),
        locality: locality.clone(),
        workload: filters.and_then(|filters| text(filters.get("istio")?, "workload")).map(Into::into),
        hash_key: filters
            .and_then(|filters| text(filters.get("envoy.lb")?, "hash_key"))
            .filter(|key| !key.is_empty())
            .map(Into::into),
        marks: filters
            .and_then(|filters| filters.get("envoy.transport_socket_match"))
            .map(marks)
            .unwrap_or_default(),
    })
}
