//! What can be referred to.

use std::collections::{BTreeMap, BTreeSet};

use crate::decode;
use crate::host;
use crate::object::{Object, Spec};

/// Everything in a mesh that others name.
pub(super) struct Registry<'a> {
    domain: &'a str,
    services: BTreeMap<String, Service>,
    /// Wildcard hosts of ServiceEntries.
    wildcards: Vec<(&'a str, Service)>,
    /// Hosts of the servers, by namespace and name of the gateway.
    gateways: BTreeMap<&'a str, BTreeMap<&'a str, Vec<String>>>,
    virtual_services: BTreeSet<(&'a str, &'a str)>,
    /// Subsets by full host.
    subsets: BTreeMap<String, Vec<&'a str>>,
    /// Wildcard hosts of DestinationRules that have subsets.
    wildcard_rules: BTreeSet<&'a str>,
}

/// A service that can be a destination.
#[derive(Debug, Clone, Default)]
pub(super) struct Service {
    /// Its ports; empty when they do not matter.
    pub(super) ports: Vec<u16>,
}

impl<'a> Registry<'a> {
    pub(super) fn new(objects: &[&'a Object], domain: &'a str) -> Self {
        let mut registry = Self {
            domain,
            services: BTreeMap::new(),
            wildcards: Vec::new(),
            gateways: BTreeMap::new(),
            virtual_services: BTreeSet::new(),
            subsets: BTreeMap::new(),
            wildcard_rules: BTreeSet::new(),
        };
        for object in objects {
            registry.add(object);
        }
        registry
    }

    fn add(&mut self, object: &'a Object) {
        let (namespace, name) = (object.key.namespace.as_str(), object.key.name.as_str());
        match &object.spec {
            Spec::Service(content) => {
                let ports = content.spec.ports.iter().map(|port| port.port).collect();
                self.services.insert(host::full_name(name, namespace, self.domain), Service { ports });
            }
            Spec::ServiceEntry(content) => {
                let ports: Vec<u16> = content.ports.iter().map(|port| port.number).collect();
                for name in &content.hosts {
                    let service = Service { ports: ports.clone() };
                    if host::is_wildcard(name) {
                        self.wildcards.push((name, service));
                    } else {
                        self.services.insert(name.clone(), service);
                    }
                }
            }
            Spec::Gateway(content) => {
                let hosts = content.servers.iter().flat_map(|server| &server.hosts);
                let own = |host: &String| match host.strip_prefix("./") {
                    Some(rest) => format!("{namespace}/{rest}"),
                    None => host.clone(),
                };
                self.gateways.entry(namespace).or_default().insert(name, hosts.map(own).collect());
            }
            Spec::VirtualService(_) => {
                self.virtual_services.insert((namespace, name));
            }
            Spec::DestinationRule(content) => {
                if host::is_wildcard(&content.host) {
                    self.wildcard_rules.insert(&content.host);
                }
                let host = host::full_name(&content.host, namespace, self.domain);
                let subsets = content.subsets.iter().map(|subset| subset.name.as_str());
                self.subsets.entry(host).or_default().extend(subsets);
            }
            _ => {}
        }
    }

    pub(super) fn domain(&self) -> &str {
        self.domain
    }

    /// The service that a name means in a namespace.
    pub(super) fn find(&self, name: &str, namespace: &str) -> Option<&Service> {
        let full = host::full_name(name, namespace, self.domain);
        let wild =
            || self.wildcards.iter().find(|(wide, _)| host::covers(wide, &full)).map(|(_, service)| service);
        self.services.get(&full).or_else(wild)
    }

    /// What to write in place of a name that means nothing.
    pub(super) fn host_like(&self, name: &str, namespace: &str) -> String {
        // `reviews.default` and `reviews.default.svc` are names of Kubernetes, but not of Istio.
        if let Some((short, rest)) = name.split_once('.') {
            let other = rest.strip_suffix(".svc").unwrap_or(rest);
            let full = host::full_name(short, other, self.domain);
            if self.services.contains_key(&full) {
                return format!("write the full name, `{full}`");
            }
        }
        let elsewhere = format!("{name}.");
        if let Some(full) = self.services.keys().find(|full| full.starts_with(&elsewhere)) {
            return format!("there is `{full}`, in another namespace: write its full name");
        }
        let suffix = format!(".{namespace}.svc.{}", self.domain);
        let candidates = self.services.keys().map(|full| full.strip_suffix(&suffix).unwrap_or(full));
        match decode::nearest(name, candidates) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "add a Service or a ServiceEntry for it".to_owned(),
        }
    }

    pub(super) fn gateway(&self, namespace: &str, name: &str) -> Option<&[String]> {
        self.gateways.get(namespace)?.get(name).map(Vec::as_slice)
    }

    /// What to write in place of a gateway that does not exist.
    pub(super) fn gateway_like(&self, namespace: &str, name: &str) -> String {
        if let Some((other, _)) = self.gateways.iter().find(|(_, gateways)| gateways.contains_key(name)) {
            return format!("there is one in namespace `{other}`: write `{other}/{name}`");
        }
        let near = self.gateways.get(namespace).into_iter().flat_map(BTreeMap::keys).copied();
        decode::nearest(name, near).map_or_else(String::new, |near| format!("did you mean `{near}`?"))
    }

    pub(super) fn has_virtual_service(&self, namespace: &str, name: &str) -> bool {
        self.virtual_services.contains(&(namespace, name))
    }

    /// Subsets that DestinationRules give a host.
    pub(super) fn subsets(&self, name: &str, namespace: &str) -> Vec<&'a str> {
        let full = host::full_name(name, namespace, self.domain);
        let wide = self.wildcard_rules.iter().copied().filter(|wide| host::covers(wide, &full));
        let hosts = std::iter::once(full.as_str()).chain(wide);
        hosts.filter_map(|host| self.subsets.get(host)).flatten().copied().collect()
    }
}
