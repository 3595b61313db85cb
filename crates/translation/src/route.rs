//! Route configurations: which requests go to which cluster.

mod action;
mod condition;
mod headers;
mod policy;
mod rule;
mod virtual_host;

pub(crate) use action::weighted;
pub(crate) use policy::{CORS, FAULT};
pub(crate) use virtual_host::{HostKey, Names};

use std::collections::BTreeSet;

use xds::envoy::config::route::v3::{
    DirectResponseAction, Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost, route::Action,
    route_action::ClusterSpecifier, route_match::PathSpecifier,
};
use xds::resource::Resource;

use crate::cluster::PASSTHROUGH;
use crate::extensions::Extensions;
use crate::host::full_name;
use crate::memo::Shared;
use crate::node::{Facets, Kind};
use crate::scope::Unknown;
use crate::service::Service;
use crate::snapshot::Rule;

/// The routes of the listener that applications use as their HTTP proxy.
pub(crate) const HTTP_PROXY: &str = "http_proxy";

/// The largest body of a direct response, as the API promises it.
const DIRECT_RESPONSE_BYTES: u32 = 1024 * 1024;

/// All that a route configuration is made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RouteKey {
    /// Its name.
    pub(crate) name: String,
    pub(crate) view: View,
    pub(crate) hosts: Vec<HostKey>,
    /// What happens to hosts that are not among these.
    pub(crate) others: Others,
}

/// What rules read of the proxy they are for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct View {
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) extensions: Shared<Extensions>,
    /// Only when a rule looks at the client's labels.
    pub(crate) client: Option<Shared<Facets>>,
    /// `namespace/name` of the gateway objects; empty for sidecars.
    pub(crate) gateways: Vec<String>,
}

/// What happens to requests for unknown hosts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Others {
    /// They are treated like unknown destinations.
    Unknown(Unknown),
    /// There is no answer but 404.
    NotFound {
        /// The port of the server.
        port: u16,
    },
}

/// A host that rules send to, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Destinations {
    pub(crate) list: Vec<Destination>,
}

/// One of [`Destinations`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Destination {
    pub(crate) host: String,
    pub(crate) service: Option<Shared<Service>>,
    /// Only when it balances by a hash, which routes must compute.
    pub(crate) rule: Option<Shared<Rule>>,
}

impl Destinations {
    pub(crate) fn find(&self, host: &str) -> Option<&Destination> {
        self.list.iter().find(|destination| destination.host == host)
    }

    /// The cluster of a destination as a rule in `namespace` writes it. Without
    /// a port it is the service's only one, else the one that was addressed.
    pub(crate) fn cluster(
        &self,
        destination: &resources::virtual_service::Destination,
        namespace: &str,
        port: u16,
    ) -> String {
        let host = full_name(&destination.host, namespace);
        let number = destination.port.unwrap_or_else(|| {
            let service = self.find(&host).and_then(|found| found.service.as_ref());
            match service.map(|service| service.ports.as_slice()) {
                Some([only]) => only.number,
                _ => port,
            }
        });
        crate::cluster::outbound_name(number, &destination.subset, &host)
    }
}

impl RouteKey {
    pub(crate) fn build(&self) -> Resource {
        Resource::new(self.name.clone(), &self.configuration(), Vec::new())
    }

    fn configuration(&self) -> RouteConfiguration {
        let mut known = BTreeSet::new();
        let mut virtual_hosts = Vec::new();
        for host in &self.hosts {
            virtual_hosts.extend(host.build(&self.view, &mut known));
        }
        if known.insert("*".to_owned()) {
            virtual_hosts.extend(self.others(virtual_hosts.is_empty()));
        }
        configuration(&self.name, virtual_hosts)
    }

    fn others(&self, alone: bool) -> Option<VirtualHost> {
        match &self.others {
            Others::Unknown(unknown) => Some(unknown_host(unknown)),
            // Hosts that no server has are answered with 404 by Envoy itself.
            Others::NotFound { port } => alone.then(|| VirtualHost {
                name: format!("blackhole:{port}"),
                domains: vec!["*".to_owned()],
                ..VirtualHost::default()
            }),
        }
    }
}

/// A route configuration with the settings that all of them have.
pub(crate) fn configuration(name: &str, virtual_hosts: Vec<VirtualHost>) -> RouteConfiguration {
    RouteConfiguration {
        name: name.to_owned(),
        virtual_hosts,
        validate_clusters: Some(false),
        max_direct_response_body_size_bytes: Some(DIRECT_RESPONSE_BYTES),
        // There the port in the name says which service is meant.
        ignore_port_in_host_matching: name != HTTP_PROXY,
        ..RouteConfiguration::default()
    }
}

fn unknown_host(unknown: &Unknown) -> VirtualHost {
    let (name, action) = match unknown {
        Unknown::Pass => ("allow_any", Action::Route(to_cluster(PASSTHROUGH))),
        Unknown::Through(cluster) => ("allow_any", Action::Route(to_cluster(cluster))),
        Unknown::Block => {
            let refusal = DirectResponseAction { status: 502, ..DirectResponseAction::default() };
            ("block_all", Action::DirectResponse(refusal))
        }
    };
    VirtualHost {
        name: name.to_owned(),
        domains: vec!["*".to_owned()],
        routes: vec![Route {
            name: name.to_owned(),
            r#match: Some(everything()),
            action: Some(action),
            ..Route::default()
        }],
        include_request_attempt_count: true,
        ..VirtualHost::default()
    }
}

/// Every request.
pub(crate) fn everything() -> RouteMatch {
    RouteMatch { path_specifier: Some(PathSpecifier::Prefix("/".to_owned())), ..RouteMatch::default() }
}

/// To one cluster, without limit of time and without retries.
pub(crate) fn to_cluster(cluster: &str) -> RouteAction {
    RouteAction {
        timeout: Some(prost_types::Duration::default()),
        cluster_specifier: Some(ClusterSpecifier::Cluster(cluster.to_owned())),
        ..RouteAction::default()
    }
}
