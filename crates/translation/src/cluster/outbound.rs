//! Clusters of the mesh's services and their subsets.

use std::collections::BTreeMap;

use prost_types::value::Kind as ValueKind;
use prost_types::{ListValue, Struct, Value};
use xds::envoy::config::cluster::v3::Cluster;
use xds::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, CommonLbConfig, DiscoveryType, DnsLookupFamily, EdsClusterConfig,
};
use xds::envoy::config::core::v3::{
    AggregatedConfigSource, ApiVersion, ConfigSource, config_source::ConfigSourceSpecifier,
};
use xds::origin::{Origin, string_struct};
use xds::resource::{Follow, Resource};
use xds::type_url;

use super::inbound::number;
use super::{announce, outbound_name, policy, service_metadata, tls, unlimited};
use crate::address::duration;
use crate::endpoint::{EndpointsKey, Place, Preference};
use crate::extensions::Extensions;
use crate::memo::Shared;
use crate::mesh::{CONNECT_TIMEOUT, DNS_REFRESH};
use crate::mutual_tls::Peers;
use crate::node::Kind;
use crate::service::{Endpoints, Port, Resolution, Service};
use crate::snapshot::{Policies, Rule};

/// All that an outbound cluster is made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct OutboundKey {
    pub(crate) service: Shared<Service>,
    /// The service's port.
    pub(crate) port: u16,
    /// The subset's name; empty for the whole service.
    pub(crate) subset: String,
    pub(crate) rule: Option<Shared<Rule>>,
    /// Only where the cluster itself holds them.
    pub(crate) endpoints: Option<Shared<Endpoints>>,
    pub(crate) kind: Kind,
    pub(crate) extensions: Shared<Extensions>,
    /// Who serves it, where the node has a certificate of the mesh.
    pub(crate) peers: Option<Peers>,
    /// Which of the endpoints that stand here take mutual TLS.
    pub(crate) policies: Option<Shared<Policies>>,
    /// Only where the cluster itself holds endpoints that are preferred by it.
    pub(crate) place: Option<Shared<Place>>,
}

/// How Envoy finds the endpoints of a service.
pub(crate) fn discovery(service: &Service, kind: Kind) -> DiscoveryType {
    match service.resolution {
        Resolution::Told => DiscoveryType::Eds,
        Resolution::Dns => DiscoveryType::StrictDns,
        Resolution::DnsRoundRobin => DiscoveryType::LogicalDns,
        // A gateway has no address that the client asked for.
        Resolution::Original if kind == Kind::Router => DiscoveryType::Eds,
        Resolution::Original => DiscoveryType::OriginalDst,
    }
}

impl OutboundKey {
    pub(crate) fn name(&self) -> String {
        outbound_name(self.port, &self.subset, &self.service.host)
    }

    pub(crate) fn build(&self) -> Resource {
        let name = self.name();
        let Some(port) = self.service.port(self.port) else {
            return Resource::new(name, &Cluster::default(), Vec::new());
        };
        let discovery = discovery(&self.service, self.kind);
        let mut cluster = Cluster {
            name: name.clone(),
            alt_stat_name: format!("{name};"),
            connect_timeout: Some(duration(CONNECT_TIMEOUT)),
            cluster_discovery_type: Some(ClusterDiscoveryType::Type(discovery.into())),
            circuit_breakers: Some(unlimited()),
            common_lb_config: Some(CommonLbConfig::default()),
            ..Cluster::default()
        };
        match discovery {
            DiscoveryType::Eds => cluster.eds_cluster_config = Some(told(&name)),
            DiscoveryType::StrictDns | DiscoveryType::LogicalDns => self.by_name(&mut cluster, &name),
            _ => {}
        }
        let policy = self.policy();
        policy::apply(&mut cluster, port, &policy, discovery, &self.extensions);
        let side = tls::Side {
            service: &self.service,
            port,
            subset: &self.subset,
            extensions: &self.extensions,
            peers: self.peers.as_ref(),
        };
        tls::secure(&mut cluster, &side, policy.tls(), discovery);
        if let Some(protocol) = policy.proxy_protocol() {
            announce::apply(&mut cluster, protocol.version, &self.extensions);
        }
        let mut metadata = self.metadata(port);
        if policy.tls().is_some_and(tls::keeps_protocols) {
            let istio = metadata.filter_metadata.entry("istio".to_owned()).or_default();
            let no = Value { kind: Some(ValueKind::StringValue("false".to_owned())) };
            istio.fields.insert("alpn_override".to_owned(), no);
        }
        cluster.metadata = Some(metadata);
        let asks = cluster.eds_cluster_config.is_some();
        let follow = asks.then(|| Follow { type_url: type_url::ENDPOINT, name: name.clone() });
        Resource::new(name, &cluster, follow.into_iter().collect())
    }

    /// Which endpoints are preferred by where they are.
    pub(crate) fn preference(&self) -> Option<Preference> {
        self.policy().preference()
    }

    fn policy(&self) -> policy::Policy {
        match &self.rule {
            Some(rule) => policy::Policy::of(rule, &self.subset, self.port),
            None => policy::Policy::default(),
        }
    }

    #[expect(deprecated, reason = "older Envoys know only these fields, and newer ones take them")]
    fn by_name(&self, cluster: &mut Cluster, name: &str) {
        let endpoints = self.endpoints.clone().unwrap_or_else(|| Shared::new(Endpoints::default()));
        let key = EndpointsKey {
            name: name.to_owned(),
            port: self.port,
            labels: self.labels(),
            endpoints,
            preference: self.preference().map(Shared::new).zip(self.place.clone()),
            policies: self.policies.clone(),
        };
        let mut assignment = key.assignment();
        if discovery(&self.service, self.kind) == DiscoveryType::LogicalDns {
            // Envoy takes exactly one name here.
            assignment.endpoints.truncate(1);
            assignment.endpoints.iter_mut().for_each(|place| place.lb_endpoints.truncate(1));
        }
        cluster.load_assignment = Some(assignment);
        cluster.dns_refresh_rate = Some(duration(DNS_REFRESH));
        cluster.dns_jitter = Some(duration(std::time::Duration::from_millis(100)));
        cluster.respect_dns_ttl = true;
        cluster.dns_lookup_family = DnsLookupFamily::V4Only.into();
    }

    fn labels(&self) -> Vec<(String, String)> {
        let subset = self.rule.as_ref().and_then(|rule| rule.subset(&self.subset));
        subset.map(|(subset, _)| subset.labels.clone().into_iter().collect()).unwrap_or_default()
    }

    fn metadata(&self, port: &Port) -> xds::envoy::config::core::v3::Metadata {
        let service = &self.service;
        let mut metadata = service_metadata(&service.name, &service.host, &service.namespace);
        let subset = self.rule.as_ref().and_then(|rule| rule.subset(&self.subset));
        let policy = self.rule.as_ref().and_then(|rule| rule.policy.as_ref());
        let origin = match (subset, policy) {
            (Some((_, origin)), _) | (None, Some((_, origin))) => origin.clone(),
            (None, None) => Origin { object: service.object.to_string(), path: String::new() },
        };
        origin.write(&mut metadata);
        let config = self.rule.as_ref().map(|rule| {
            format!(
                "/apis/networking.istio.io/v1/namespaces/{}/destination-rule/{}",
                rule.object.key.namespace, rule.object.key.name
            )
        });
        let istio = istio_metadata(service, port.number, &self.subset, config);
        metadata.filter_metadata.insert("istio".to_owned(), istio);
        metadata
    }
}

/// Endpoints come over the stream that the cluster came over, however long
/// that takes.
fn told(name: &str) -> EdsClusterConfig {
    EdsClusterConfig { eds_config: Some(aggregated()), service_name: name.to_owned() }
}

/// What is configured comes over the stream that this came over.
pub(crate) fn aggregated() -> ConfigSource {
    ConfigSource {
        initial_fetch_timeout: Some(prost_types::Duration::default()),
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..ConfigSource::default()
    }
}

/// The `istio` metadata of a cluster.
pub(super) fn istio_metadata(service: &Service, port: u16, subset: &str, config: Option<String>) -> Struct {
    let text = |text: &str| Value { kind: Some(ValueKind::StringValue(text.to_owned())) };
    let one = string_struct([
        ("host", service.host.as_str()),
        ("name", &service.name),
        ("namespace", &service.namespace),
    ]);
    let services = ListValue { values: vec![Value { kind: Some(ValueKind::StructValue(one)) }] };
    let mut fields = BTreeMap::from([
        ("services".to_owned(), Value { kind: Some(ValueKind::ListValue(services)) }),
        ("default_original_port".to_owned(), number(port)),
    ]);
    if !subset.is_empty() {
        fields.insert("subset".to_owned(), text(subset));
    }
    if let Some(config) = config {
        fields.insert("config".to_owned(), text(&config));
    }
    Struct { fields }
}
