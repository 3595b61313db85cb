//! What objects say of each other: hosts, subsets, ports, gateways and delegates that do not exist, and hosts that
//! two VirtualServices claim.
//!
//! All of it is warnings: what is missing may be applied next.

mod registry;

use std::collections::BTreeMap;
use std::sync::Arc;

use registry::Registry;

use crate::decode;
use crate::host;
use crate::object::{Object, Spec};
use crate::path::{Path, Trail};
use crate::problem::{Code, Problem};
use crate::virtual_service::{Destination, MESH_GATEWAY, VirtualService};

/// Finds references to what does not exist and conflicts between objects.
///
/// `objects` are all that the mesh holds; `domain` is the cluster's, such as `cluster.local`.
pub fn validate_references<'a>(
    objects: impl IntoIterator<Item = &'a Arc<Object>>,
    domain: &str,
) -> Vec<Problem> {
    let objects: Vec<&Object> = objects.into_iter().map(Arc::as_ref).collect();
    let registry = Registry::new(&objects, domain);
    let mut problems = Vec::new();
    for object in &objects {
        let mut check = References { object, registry: &registry, problems: &mut problems };
        let top = Trail::top();
        let spec = top.key("spec");
        match &object.spec {
            Spec::VirtualService(content) => check.virtual_service(content, &spec),
            Spec::DestinationRule(content) => check.rule_host(&content.host, &spec.key("host")),
            Spec::Sidecar(content) => {
                let policy = content.outbound_traffic_policy.as_ref();
                if let Some(proxy) = policy.and_then(|policy| policy.egress_proxy.as_ref()) {
                    check.destination(proxy, None, &spec.key("outboundTrafficPolicy").key("egressProxy"));
                }
            }
            _ => {}
        }
    }
    conflicting_hosts(&objects, domain, &mut problems);
    problems
}

/// Checks what one object refers to.
struct References<'a, 'b> {
    object: &'a Object,
    registry: &'b Registry<'a>,
    problems: &'b mut Vec<Problem>,
}

impl References<'_, '_> {
    fn note(&mut self, at: &Trail<'_>, code: Code, message: String, help: String) {
        self.problems.push(Problem::at(self.object, &at.path(), code, message, help));
    }

    fn virtual_service(&mut self, content: &VirtualService, at: &Trail<'_>) {
        self.gateways(content, at);
        let http_at = at.key("http");
        for (index, rule) in content.http.iter().enumerate() {
            let at = http_at.index(index);
            let route_at = at.key("route");
            for (index, target) in rule.route.iter().enumerate() {
                self.destination(
                    &target.destination,
                    Some(content),
                    &route_at.index(index).key("destination"),
                );
            }
            if let Some(destination) = &rule.mirror {
                self.destination(destination, None, &at.key("mirror"));
            }
            let mirrors_at = at.key("mirrors");
            for (index, mirror) in rule.mirrors.iter().enumerate() {
                self.destination(&mirror.destination, None, &mirrors_at.index(index).key("destination"));
            }
            if let Some(delegate) = &rule.delegate {
                let own = self.object.key.namespace.as_str();
                let namespace = if delegate.namespace.is_empty() { own } else { &delegate.namespace };
                if !self.registry.has_virtual_service(namespace, &delegate.name) {
                    let message =
                        format!("there is no VirtualService `{}` in namespace `{namespace}`", delegate.name);
                    self.note(&at.key("delegate"), Code::ReferencedResourceNotFound, message, String::new());
                }
            }
        }
        let tls = content.tls.iter().map(|rule| &rule.route);
        let tcp = content.tcp.iter().map(|rule| &rule.route);
        for (field, routes) in [("tls", tls.collect::<Vec<_>>()), ("tcp", tcp.collect())] {
            let field_at = at.key(field);
            for (rule, route) in routes.into_iter().enumerate() {
                let route_at = field_at.index(rule);
                let route_at = route_at.key("route");
                for (index, target) in route.iter().enumerate() {
                    self.destination(
                        &target.destination,
                        Some(content),
                        &route_at.index(index).key("destination"),
                    );
                }
            }
        }
    }

    fn gateways(&mut self, content: &VirtualService, at: &Trail<'_>) {
        let gateways_at = at.key("gateways");
        for (index, name) in content.gateways.iter().enumerate().filter(|(_, name)| *name != MESH_GATEWAY) {
            let at = gateways_at.index(index);
            let (namespace, gateway) = gateway_key(name, &self.object.key.namespace);
            match self.registry.gateway(namespace, gateway) {
                Some(found) => self.hosts_in_gateway(content, name, found, &at),
                None => {
                    let message = format!("there is no Gateway `{gateway}` in namespace `{namespace}`");
                    let help = self.registry.gateway_like(namespace, gateway);
                    self.note(&at, Code::ReferencedResourceNotFound, message, help);
                }
            }
        }
    }

    /// Hosts that no server of the gateway takes.
    fn hosts_in_gateway(&mut self, content: &VirtualService, name: &str, gateway: &[String], at: &Trail<'_>) {
        let own = self.object.key.namespace.as_str();
        let taken = |wanted: &str| {
            gateway.iter().any(|entry| {
                let (namespace, host) = entry.split_once('/').unwrap_or(("*", entry));
                // `.` was replaced by the gateway's namespace when it was registered.
                (namespace == "*" || namespace == own) && host::overlap(host, wanted)
            })
        };
        let missing: Vec<&str> =
            content.hosts.iter().map(String::as_str).filter(|host| !taken(host)).collect();
        if !missing.is_empty() && missing.len() == content.hosts.len() {
            let message = format!("the gateway `{name}` has no server for {}", quote(&missing));
            let help = format!("its servers are for {}", quote(gateway));
            self.note(at, Code::HostNotInGateway, message, help);
        }
    }

    fn rule_host(&mut self, name: &str, at: &Trail<'_>) {
        if !host::is_wildcard(name) && self.registry.find(name, &self.object.key.namespace).is_none() {
            let message = format!("there is no service `{name}`, so the rule concerns nothing");
            let help = self.registry.host_like(name, &self.object.key.namespace);
            self.note(at, Code::UnknownDestinationRuleHost, message, help);
        }
    }

    /// A destination; `routed` is the VirtualService when the port of the request may stand in for a missing one.
    fn destination(&mut self, destination: &Destination, routed: Option<&VirtualService>, at: &Trail<'_>) {
        let namespace = self.object.key.namespace.clone();
        let name = destination.host.as_str();
        let Some(service) = self.registry.find(name, &namespace) else {
            let message = format!("there is no service `{name}`");
            let help = self.registry.host_like(name, &namespace);
            self.note(&at.key("host"), Code::ReferencedResourceNotFound, message, help);
            return;
        };
        if !destination.subset.is_empty() {
            self.subset(destination, &at.key("subset"));
        }
        let ports = service.ports.clone();
        match destination.port {
            Some(port) if !ports.is_empty() && !ports.contains(&port) => {
                let message = format!("the service `{name}` has no port {port}");
                let help = format!("it has {}", numbers(&ports));
                self.note(&at.key("port"), Code::ReferencedResourceNotFound, message, help);
            }
            None if ports.len() > 1 && routed.is_none_or(|content| !self.routes_own_host(content, name)) => {
                let message =
                    format!("the service `{name}` has the ports {}, and none is chosen", numbers(&ports));
                let help = format!("write `port: {{number: {}}}`", ports[0]);
                self.note(at, Code::PortRequired, message, help);
            }
            _ => {}
        }
    }

    /// Whether a VirtualService routes a host to itself: then the port of the request is the port meant.
    fn routes_own_host(&self, content: &VirtualService, name: &str) -> bool {
        let own = self.object.key.namespace.as_str();
        let full = |name: &str| host::full_name(name, own, self.registry.domain());
        content.hosts.iter().any(|host| full(host) == full(name))
    }

    fn subset(&mut self, destination: &Destination, at: &Trail<'_>) {
        let subsets = self.registry.subsets(&destination.host, &self.object.key.namespace);
        if subsets.contains(&destination.subset.as_str()) {
            return;
        }
        let message = format!("the host `{}` has no subset `{}`", destination.host, destination.subset);
        let help = match (decode::nearest(&destination.subset, subsets.iter().copied()), subsets.as_slice()) {
            (_, []) => format!("add it to a DestinationRule with `host: {}`", destination.host),
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, subsets) => format!("its DestinationRule has {}", quote(subsets)),
        };
        self.note(at, Code::ReferencedResourceNotFound, message, help);
    }
}

/// Namespace and name of a gateway, as a VirtualService writes it: `name`, `namespace/name`, or the old
/// `name.namespace.svc.cluster.local`.
fn gateway_key<'a>(text: &'a str, own: &'a str) -> (&'a str, &'a str) {
    if let Some(pair) = text.split_once('/') {
        return pair;
    }
    match text.split_once('.') {
        Some((name, rest)) => (rest.split('.').next().unwrap_or(rest), name),
        None => (own, text),
    }
}

/// Two VirtualServices of sidecars for the same host: only one of them takes effect.
fn conflicting_hosts(objects: &[&Object], domain: &str, problems: &mut Vec<Problem>) {
    let mut claimed: BTreeMap<String, Vec<(&Object, &VirtualService)>> = BTreeMap::new();
    for object in objects {
        let Spec::VirtualService(content) = &object.spec else { continue };
        if !content.applies_to_mesh() {
            continue;
        }
        for (index, name) in content.hosts.iter().enumerate() {
            let name = host::full_name(name, &object.key.namespace, domain);
            let others = claimed.entry(name.clone()).or_default();
            if let Some((first, _)) =
                others.iter().find(|(other, theirs)| both_seen(object, content, other, theirs))
            {
                let path = Path::parse("spec.hosts").index(index);
                let message = format!(
                    "{} routes the host `{name}` too, and only one of the two takes effect",
                    first.key
                );
                let help = "put the rules into one VirtualService".to_owned();
                problems.push(Problem::at(
                    object,
                    &path,
                    Code::ConflictingVirtualServiceHosts,
                    message,
                    help,
                ));
            }
            others.push((object, content));
        }
    }
}

/// Whether some namespace sees both objects.
fn both_seen(one: &Object, content: &VirtualService, other: &Object, theirs: &VirtualService) -> bool {
    let seen_in = |object: &Object, content: &VirtualService| -> Vec<String> {
        let own = |entry: &String| if entry == "." { object.key.namespace.clone() } else { entry.clone() };
        if content.export_to.is_empty() {
            vec!["*".to_owned()]
        } else {
            content.export_to.iter().map(own).collect()
        }
    };
    let (first, second) = (seen_in(one, content), seen_in(other, theirs));
    let everywhere = |list: &[String]| list.iter().any(|entry| entry == "*");
    everywhere(&first) || everywhere(&second) || first.iter().any(|entry| second.contains(entry))
}

fn quote(names: &[impl AsRef<str>]) -> String {
    names.iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ")
}

fn numbers(ports: &[u16]) -> String {
    ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
