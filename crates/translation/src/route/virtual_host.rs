//! The virtual host of a service, or of a host that only a VirtualService
//! knows.

use std::collections::BTreeSet;

use xds::envoy::config::route::v3::{
    Decorator, Route, VirtualHost, route::Action, virtual_host::TlsRequirementType,
};
use xds::origin::Origin;

use super::{Destinations, View, everything, policy, rule, to_cluster};
use crate::cluster::outbound_name;
use crate::memo::Shared;
use crate::mesh::CLUSTER_DOMAIN;
use crate::service::{Registry, Resolution, Service};
use crate::snapshot::VirtualService;

/// HTTP's own port.
const HTTP_PORT: u16 = 80;

/// All that a virtual host is made from, besides the view of its proxy.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct HostKey {
    /// The host: a service's, or one that only rules know.
    pub(crate) host: String,
    /// The port that clients address.
    pub(crate) port: u16,
    pub(crate) names: Names,
    pub(crate) service: Option<Shared<Service>>,
    /// The rules, in the order in which they hold.
    pub(crate) rules: Vec<Shared<VirtualService>>,
    pub(crate) destinations: Destinations,
    /// Plain requests are sent to https.
    pub(crate) redirects_to_tls: bool,
}

/// The names by which a virtual host is addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Names {
    /// Every name that a client in the mesh may use for the host.
    InMesh,
    /// Any: the address led here.
    Any,
    /// The host alone.
    Exact,
    /// Every name with its port, which may be left out when it is HTTP's own.
    WithPort,
}

impl HostKey {
    /// The virtual host, unless its name or all of its domains are taken.
    pub(super) fn build(&self, view: &View, known: &mut BTreeSet<String>) -> Option<VirtualHost> {
        let routes = self.routes(view);
        if routes.is_empty() && !self.redirects_to_tls {
            return None;
        }
        let domains: Vec<String> = self
            .domains(view)
            .into_iter()
            .filter(|domain| known.insert(domain.to_ascii_lowercase()))
            .collect();
        if domains.is_empty() {
            return None;
        }
        let require_tls =
            if self.redirects_to_tls { TlsRequirementType::All } else { TlsRequirementType::None };
        Some(VirtualHost {
            name: format!("{}:{}", self.host, self.port),
            domains,
            routes,
            require_tls: require_tls.into(),
            include_request_attempt_count: true,
            ..VirtualHost::default()
        })
    }

    fn routes(&self, view: &View) -> Vec<Route> {
        let mut routes = Vec::new();
        let mut catch_all = None;
        for service in &self.rules {
            let of_service = rule::routes(service, self.port, view, &self.destinations);
            // Among several VirtualServices, what matches everything comes last.
            for route in of_service {
                if rule::is_catch_all(&route) && self.rules.len() > 1 {
                    catch_all = catch_all.or(Some(route));
                } else {
                    routes.push(route);
                }
            }
        }
        routes.extend(catch_all);
        match &self.service {
            Some(service) if routes.is_empty() => vec![default_route(service, self.port, view)],
            _ => routes,
        }
    }

    fn domains(&self, view: &View) -> Vec<String> {
        match self.names {
            Names::Any => vec!["*".to_owned()],
            Names::Exact => vec![self.host.clone()],
            Names::InMesh => self.names_in_mesh(view),
            Names::WithPort => {
                let names = self.names_in_mesh(view);
                let with_port = names.iter().map(|name| format!("{name}:{}", self.port)).collect::<Vec<_>>();
                let without = names.into_iter().filter(|_| self.port == HTTP_PORT);
                without.chain(with_port).collect()
            }
        }
    }

    fn names_in_mesh(&self, view: &View) -> Vec<String> {
        match &self.service {
            Some(service) => service_domains(service, &view.namespace),
            None => vec![self.host.clone()],
        }
    }
}

/// The full name, with the dot at its end too, the shorter names that a client
/// in `namespace` may use, and the addresses.
fn service_domains(service: &Service, namespace: &str) -> Vec<String> {
    let mut domains = vec![service.host.clone()];
    if service.registry == Registry::Kubernetes {
        domains.push(format!("{}.", service.host));
        let of_namespace = format!("{}.{}", service.name, service.namespace);
        if service.namespace == namespace {
            domains.push(service.name.clone());
        }
        domains.push(format!("{of_namespace}.svc"));
        domains.push(of_namespace);
        if service.resolution == Resolution::Original {
            // The pods of a headless service have names of their own.
            let wild: Vec<String> =
                domains.iter().filter(|name| name.contains('.')).map(|name| format!("*.{name}")).collect();
            domains.extend(wild);
        }
    } else if let Some(short) = service.host.strip_suffix(&format!(".svc.{CLUSTER_DOMAIN}")) {
        domains.push(short.to_owned());
    }
    domains.extend(service.addresses.iter().filter(|address| !address.contains('/')).map(|it| bracketed(it)));
    domains
}

/// An IPv6 address in an authority stands in brackets.
fn bracketed(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}

/// Where requests for a service go when no rule says it.
fn default_route(service: &Service, port: u16, view: &View) -> Route {
    let mut action = to_cluster(&outbound_name(port, "", &service.host));
    action.retry_policy = policy::retry(None, &view.extensions, policy::Balance::Free);
    let origin = Origin { object: service.object.to_string(), path: String::new() };
    Route {
        name: "default".to_owned(),
        r#match: Some(everything()),
        metadata: Some(origin.to_metadata()),
        decorator: Some(Decorator { operation: format!("{}:{port}/*", service.host), propagate: None }),
        action: Some(Action::Route(action)),
        ..Route::default()
    }
}
