//! Endpoints of a cluster as xDS has them.

mod preference;

use std::collections::BTreeMap;

use resources::peer_authentication::MutualTlsMode as Mode;
use xds::envoy::config::core::v3::{HealthStatus, Locality, Metadata};
use xds::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint as XdsEndpoint, LbEndpoint, LocalityLbEndpoints,
    lb_endpoint::HostIdentifier,
};
use xds::origin::{NAMESPACE, string_struct};
use xds::resource::Resource;

use crate::address;
use crate::memo::Shared;
use crate::mesh::CLUSTER_ID;
use crate::mutual_tls;
use crate::node;
use crate::service::{Endpoint, Endpoints};
use crate::snapshot::Policies;
use preference::{Group, Located};
pub(crate) use preference::{Place, Preference};

/// All that the endpoints of one cluster are made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct EndpointsKey {
    /// The cluster's name.
    pub(crate) name: String,
    /// The service's port.
    pub(crate) port: u16,
    /// Labels of the subset; empty for the whole service.
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) endpoints: Shared<Endpoints>,
    /// Which are preferred, and by whom.
    pub(crate) preference: Option<(Shared<Preference>, Shared<Place>)>,
    /// Which take mutual TLS, where workloads have certificates.
    pub(crate) policies: Option<Shared<Policies>>,
}

/// An endpoint with its labels and those of its place.
struct Candidate {
    labels: BTreeMap<String, String>,
    endpoint: LbEndpoint,
}

impl Located for Candidate {
    fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }

    fn weight(&self) -> u32 {
        self.endpoint.load_balancing_weight.unwrap_or(1)
    }
}

impl EndpointsKey {
    pub(crate) fn build(&self) -> Resource {
        Resource::new(self.name.clone(), &self.assignment(), Vec::new())
    }

    fn takes_tls(&self, endpoint: &Endpoint, port: u16) -> bool {
        let Some(policies) = &self.policies else { return false };
        mutual_tls::takes_tls(&endpoint.labels) && policies.mode(&endpoint.labels, port) != Mode::Disable
    }

    /// The endpoints by locality.
    pub(crate) fn assignment(&self) -> ClusterLoadAssignment {
        let mut places: BTreeMap<&node::Locality, Vec<Candidate>> = BTreeMap::new();
        for endpoint in &self.endpoints.list {
            if !self.labels.iter().all(|(key, value)| endpoint.labels.get(key) == Some(value)) {
                continue;
            }
            let Some(port) = endpoint.ports.get(&self.port) else { continue };
            let labels = match &self.preference {
                Some(_) => preference::with_topology(&endpoint.labels, &endpoint.locality),
                None => BTreeMap::new(),
            };
            let candidate =
                Candidate { labels, endpoint: lb_endpoint(endpoint, *port, self.takes_tls(endpoint, *port)) };
            places.entry(&endpoint.locality).or_default().push(candidate);
        }
        let groups = places.into_iter().map(|(place, endpoints)| Group {
            locality: place.clone(),
            priority: 0,
            weight: None,
            endpoints,
        });
        let groups: Vec<Group<Candidate>> = match &self.preference {
            Some((preference, place)) => preference.apply(place, groups.collect()),
            None => groups.collect(),
        };
        let endpoints = groups.into_iter().map(|group| LocalityLbEndpoints {
            load_balancing_weight: Some(group.total()).filter(|weight| *weight > 0),
            locality: Some(locality(&group.locality)),
            priority: group.priority,
            lb_endpoints: group.endpoints.into_iter().map(|candidate| candidate.endpoint).collect(),
            ..LocalityLbEndpoints::default()
        });
        ClusterLoadAssignment {
            cluster_name: self.name.clone(),
            endpoints: endpoints.collect(),
            ..ClusterLoadAssignment::default()
        }
    }
}

fn locality(place: &node::Locality) -> Locality {
    Locality { region: place.region.clone(), zone: place.zone.clone(), sub_zone: place.sub_zone.clone() }
}

fn lb_endpoint(endpoint: &Endpoint, port: u16, takes_tls: bool) -> LbEndpoint {
    let mut metadata = metadata(endpoint);
    if takes_tls {
        metadata.get_or_insert_default().filter_metadata.extend([mutual_tls::endpoint_mark()]);
    }
    LbEndpoint {
        health_status: HealthStatus::Healthy.into(),
        metadata,
        load_balancing_weight: Some(endpoint.weight.max(1)),
        host_identifier: Some(HostIdentifier::Endpoint(XdsEndpoint {
            address: Some(address::endpoint(&endpoint.address, port)),
            ..XdsEndpoint::default()
        })),
    }
}

/// Who is there: Istio's one string, and the same in single values for access
/// logs and statistics of an Envoy without Istio's filters.
fn metadata(endpoint: &Endpoint) -> Option<Metadata> {
    let workload = &endpoint.workload;
    if workload.name.is_empty() {
        return None;
    }
    let service = node::canonical_service(&endpoint.labels).unwrap_or(&workload.name);
    let revision = node::canonical_revision(&endpoint.labels);
    let joined = [&workload.name, &workload.namespace, service, revision, CLUSTER_ID].join(";");
    let single = string_struct([
        ("workload", workload.name.as_str()),
        ("namespace", &workload.namespace),
        ("app", node::app(&endpoint.labels).unwrap_or("unknown")),
        ("version", node::version(&endpoint.labels).unwrap_or("unknown")),
        ("canonical_service", service),
        ("canonical_revision", revision),
        ("cluster", CLUSTER_ID),
    ]);
    let filter_metadata = BTreeMap::from([
        ("istio".to_owned(), string_struct([("workload", joined)])),
        (NAMESPACE.to_owned(), single),
    ]);
    Some(Metadata { filter_metadata, ..Metadata::default() })
}
