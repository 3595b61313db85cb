//! Clusters of a workload's own ports.

use std::time::Duration;

use prost_types::Value;
use prost_types::value::Kind as ValueKind;
use xds::envoy::config::cluster::v3::Cluster;
use xds::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType, LbPolicy};
use xds::envoy::config::core::v3::HttpProtocolOptions;
use xds::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint::HostIdentifier,
};
use xds::origin::Origin;
use xds::resource::Resource;

use super::{as_downstream, as_http1, as_http2, http_options, inbound_name, inbound_source};
use super::{original_destination, service_metadata};
use crate::address::{duration, endpoint};
use crate::extensions::Extensions;
use crate::memo::Shared;
use crate::protocol::Protocol;
use crate::service::Service;

/// All that the cluster of an own port is made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct InboundKey {
    /// The port of the application.
    pub(crate) port: u16,
    pub(crate) protocol: Protocol,
    /// The service that the port belongs to, and its port there.
    pub(crate) service: Option<(Shared<Service>, u16)>,
    /// Where the application listens, when a Sidecar object says it.
    pub(crate) target: Option<Target>,
    /// The object and place that the port comes from.
    pub(crate) origin: Origin,
    pub(crate) extensions: Shared<Extensions>,
}

/// Where the application of an own port listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    /// An address or `unix://path`.
    pub(crate) address: String,
    pub(crate) port: u16,
}

impl InboundKey {
    pub(crate) fn build(&self) -> Resource {
        let name = inbound_name(self.port);
        let mut cluster = original_destination(&name);
        match &self.target {
            Some(target) => to_target(&mut cluster, target),
            None => {
                cluster.upstream_bind_config = Some(inbound_source());
                cluster.cleanup_interval = Some(duration(Duration::from_secs(60)));
            }
        }
        let mut options = match self.protocol {
            Protocol::Detected => as_downstream(),
            protocol if protocol.is_http2() => as_http2(),
            _ => as_http1(),
        };
        // The application may close idle connections after five minutes or later.
        options.common_http_protocol_options = Some(HttpProtocolOptions {
            idle_timeout: Some(duration(Duration::from_secs(300))),
            ..HttpProtocolOptions::default()
        });
        if self.protocol.may_be_http() {
            cluster.typed_extension_protocol_options = http_options(&self.extensions, options);
        }
        cluster.alt_stat_name = format!("{name};");
        cluster.metadata = Some(self.metadata());
        Resource::new(name, &cluster, Vec::new())
    }

    fn metadata(&self) -> xds::envoy::config::core::v3::Metadata {
        let mut metadata = match &self.service {
            Some((service, _)) => service_metadata(&service.name, &service.host, &service.namespace),
            None => service_metadata("", "", ""),
        };
        self.origin.write(&mut metadata);
        if let Some((service, port)) = &self.service {
            let istio = super::outbound::istio_metadata(service, *port, "", None);
            metadata.filter_metadata.insert("istio".to_owned(), istio);
        }
        metadata
    }
}

fn to_target(cluster: &mut Cluster, target: &Target) {
    let host = Endpoint { address: Some(endpoint(&target.address, target.port)), ..Endpoint::default() };
    let host = LbEndpoint { host_identifier: Some(HostIdentifier::Endpoint(host)), ..LbEndpoint::default() };
    cluster.cluster_discovery_type = Some(ClusterDiscoveryType::Type(DiscoveryType::Static.into()));
    cluster.lb_policy = LbPolicy::RoundRobin.into();
    cluster.load_assignment = Some(ClusterLoadAssignment {
        cluster_name: cluster.name.clone(),
        endpoints: vec![LocalityLbEndpoints { lb_endpoints: vec![host], ..LocalityLbEndpoints::default() }],
        ..ClusterLoadAssignment::default()
    });
}

pub(super) fn number(value: u16) -> Value {
    Value { kind: Some(ValueKind::NumberValue(f64::from(value))) }
}
