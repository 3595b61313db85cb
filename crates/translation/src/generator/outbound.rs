//! What the own application connects to: a cluster for each port and subset
//! of every service in scope, and listeners and routes that lead there.

use std::collections::{BTreeMap, BTreeSet};

use resources::virtual_service::{L4MatchAttributes, MESH_GATEWAY, TlsMatchAttributes};
use xds::envoy::config::cluster::v3::cluster::DiscoveryType;
use xds::origin::Origin;

use super::draft::{ClusterKey, EndpointsName, Scene, fixed};
use crate::address::is_range;
use crate::cluster::{self, discovery, outbound_name};
use crate::host::full_name;
use crate::listener::{OutboundShape, TcpChain};
use crate::memo::Shared;
use crate::mutual_tls::Peers;
use crate::node::Kind;
use crate::protocol::Protocol;
use crate::route::{Destination, Destinations, HTTP_PROXY, HostKey, Names, Others, RouteKey, weighted};
use crate::scope::{Egress, Scope};
use crate::service::{Endpoints, Port, Registry, Resolution, Service};
use crate::snapshot::{Client, Rule, ServiceId, Snapshot, VirtualService};

/// Every address.
const WILDCARD: &str = "0.0.0.0";
/// Where only the own application is.
const LOOPBACK: &str = "127.0.0.1";
/// The port on which hosts that only rules know are reached.
const HTTP_PORT: u16 = 80;

/// Endpoints that stand in the node's clusters or listeners themselves.
pub(super) fn inline_endpoints(snapshot: &Snapshot, scope: &Scope) -> Vec<Shared<Endpoints>> {
    let inline = scope.services.values().filter(|service| service.resolution != Resolution::Told);
    inline.map(|service| snapshot.endpoints_of(service)).collect()
}

/// Whether a cluster that holds its endpoints itself has some in different
/// places, so that it matters where the client is.
pub(super) fn has_places(snapshot: &Snapshot, scope: &Scope) -> bool {
    let mut by_name = scope.services.values().filter(|service| service.resolution == Resolution::Dns);
    by_name.any(|service| {
        let endpoints = snapshot.endpoints_of(service);
        let mut places = endpoints.list.iter().map(|endpoint| &endpoint.locality);
        places.next().is_some_and(|first| places.any(|place| place != first))
    })
}

/// What nodes that see the same services have in common.
#[derive(Default)]
pub(super) struct Outbound {
    pub(super) clusters: BTreeMap<String, ClusterKey>,
    pub(super) endpoints: Vec<EndpointsName>,
    pub(super) listeners: Vec<OutboundShape>,
    pub(super) routes: BTreeMap<String, RouteKey>,
}

/// Draws clusters, and for sidecars listeners and routes.
pub(super) fn draw(scene: &Scene<'_>) -> Outbound {
    let mut outbound = Outbound { clusters: fixed(scene.kind, scene.extensions), ..Outbound::default() };
    for service in scene.scope.services.values() {
        clusters(&mut outbound, scene, service);
    }
    if scene.kind == Kind::Sidecar {
        listeners(&mut outbound, scene);
    }
    outbound
}

/// A cluster for each port and subset.
fn clusters(outbound: &mut Outbound, scene: &Scene<'_>, service: &Shared<Service>) {
    let rule = rule_of(scene, service);
    let discovery = discovery(service, scene.kind);
    let inline = matches!(discovery, DiscoveryType::StrictDns | DiscoveryType::LogicalDns);
    let none = (String::new(), Vec::new());
    let subsets = rule.iter().flat_map(|rule| &rule.subsets).map(|(subset, _)| {
        (subset.name.clone(), subset.labels.clone().into_iter().collect::<Vec<(String, String)>>())
    });
    for (subset, labels) in std::iter::once(none).chain(subsets) {
        for port in &service.ports {
            let name = outbound_name(port.number, &subset, &service.host);
            let mut key = cluster::OutboundKey {
                service: service.clone(),
                port: port.number,
                subset: subset.clone(),
                rule: rule.clone(),
                endpoints: inline.then(|| scene.snapshot.endpoints_of(service)),
                kind: scene.kind,
                extensions: scene.extensions.clone(),
                peers: peers(scene, service),
                policies: (inline && scene.snapshot.mesh_config.gives_certificates())
                    .then(|| scene.snapshot.peer_authentications.of(&service.namespace).clone()),
                place: None,
            };
            key.place = scene.place.filter(|_| inline && key.preference().is_some()).cloned();
            if discovery == DiscoveryType::Eds {
                outbound.endpoints.push(EndpointsName {
                    name: name.clone(),
                    service: ServiceId::of(service),
                    port: port.number,
                    labels: labels.clone(),
                    preference: key.preference().map(Shared::new),
                });
            }
            outbound.clusters.insert(name, ClusterKey::Outbound(key));
        }
    }
}

/// Who serves a service, where the node could prove who itself is.
fn peers(scene: &Scene<'_>, service: &Service) -> Option<Peers> {
    let mesh = &scene.snapshot.mesh_config;
    scene.has_certificate.then(|| Peers {
        automatic: mesh.auto_mtls(),
        trust_domain: mesh.trust_domain().to_owned(),
        accounts: scene.snapshot.accounts_of(service),
    })
}

/// The DestinationRule that holds for the node's connections to a service.
fn rule_of(scene: &Scene<'_>, service: &Service) -> Option<Shared<Rule>> {
    let client = Client { namespace: scene.namespace, labels: scene.labels() };
    scene.snapshot.rules.find(&client, &service.host, &service.namespace).cloned()
}

/// Listeners of a sidecar, and the routes that they name.
fn listeners(outbound: &mut Outbound, scene: &Scene<'_>) {
    let mut plan = Listeners::default();
    for egress in &scene.scope.egress {
        match &egress.port {
            Some(_) => plan.named(scene, egress),
            None => plan.everything(scene, egress),
        }
    }
    if let Some(port) = scene.http_proxy {
        plan.http_proxy(scene, port);
    }
    let carried = |shape: &OutboundShape| {
        scene.carries_tcp() && (!shape.chains.is_empty() || shape.unknown.is_some())
            || scene.carries_http() && shape.routes.is_some()
    };
    outbound.listeners = plan.listeners.into_values().filter(carried).collect();
    if scene.carries_http() {
        outbound.routes.extend(plan.routes.into_iter().map(|key| (key.name.clone(), key)));
    }
}

/// Listeners as they come together from all services.
#[derive(Default)]
struct Listeners {
    listeners: BTreeMap<String, OutboundShape>,
    routes: Vec<RouteKey>,
    /// Ports that an egress listener of a Sidecar object names.
    named: BTreeSet<u16>,
}

impl Listeners {
    /// The listener that a Sidecar object names.
    fn named(&mut self, scene: &Scene<'_>, egress: &Egress) {
        let Some(port) = &egress.port else { return };
        self.named.insert(port.number);
        let bind = if egress.bind.is_empty() { WILDCARD } else { &egress.bind };
        let sidecar = scene.scope.sidecar.as_ref().map(|object| object.key.to_string());
        let origin = Origin { object: sidecar.unwrap_or_default(), path: "egress".to_owned() };
        let protocol = Protocol::of_field(&port.protocol, port.number);
        let mut key = blank(vec![bind.to_owned()], port.number, origin);
        key.binds = !egress.bind.is_empty();
        if protocol.may_be_http() {
            key.routes = Some(port.number.to_string());
            key.unknown = Some(scene.scope.unknown.clone());
            self.routes.push(routes_of_port(scene, egress, port.number));
        }
        if !protocol.is_http() {
            for service in oldest_first(&egress.services) {
                let Some(own) = service.port(port.number) else { continue };
                key.chains.extend(tcp_chains(scene, egress, service, own, &[], true));
            }
        }
        distinct(&mut key.chains);
        self.listeners.insert(key.name(), key);
    }

    /// The listener that applications use as their HTTP proxy: it leads to
    /// every port that speaks HTTP, by the port in the name.
    fn http_proxy(&mut self, scene: &Scene<'_>, port: u16) {
        let origin =
            Origin { object: "ConfigMap/istio-system/istio".to_owned(), path: "proxyHttpPort".to_owned() };
        let mut shape = blank(vec![LOOPBACK.to_owned()], port, origin);
        shape.binds = true;
        shape.routes = Some(HTTP_PROXY.to_owned());
        let mut hosts: BTreeMap<(String, u16), HostKey> = BTreeMap::new();
        for egress in scene.scope.egress.iter().filter(|egress| egress.port.is_none()) {
            for service in &egress.services {
                for own in service.ports.iter().filter(|own| own.protocol.is_http()) {
                    let host = host_of(scene, egress, service, own.number, Names::WithPort);
                    hosts.entry((service.host.clone(), own.number)).or_insert(host);
                }
            }
            for rules in &egress.virtual_services {
                for host in hosts_without_service(scene, rules, HTTP_PORT) {
                    let place = (host.clone(), HTTP_PORT);
                    hosts
                        .entry(place)
                        .or_insert_with(|| host_of_rules(scene, rules, host, HTTP_PORT, Names::WithPort));
                }
            }
        }
        let hosts: Vec<HostKey> = hosts.into_values().collect();
        self.routes.push(RouteKey {
            name: HTTP_PROXY.to_owned(),
            view: scene.view(reads_client(&hosts), Vec::new()),
            hosts,
            // Nothing says where other hosts are.
            others: Others::NotFound { port },
        });
        self.listeners.insert(shape.name(), shape);
    }

    /// A listener for each port, or each address and port, of the services.
    fn everything(&mut self, scene: &Scene<'_>, egress: &Egress) {
        let mut http_ports = BTreeSet::new();
        for service in oldest_first(&egress.services) {
            for (at, port) in service.ports.iter().enumerate() {
                if self.named.contains(&port.number) {
                    continue;
                }
                let origin = Origin { object: service.object.to_string(), path: format!("ports[{at}]") };
                if self.service_port(scene, egress, service, port, origin) {
                    http_ports.insert(port.number);
                }
            }
        }
        self.routes.extend(http_ports.into_iter().map(|port| routes_of_port(scene, egress, port)));
    }

    /// Gives whether the port shares the listener and routes of its number.
    fn service_port(
        &mut self,
        scene: &Scene<'_>,
        egress: &Egress,
        service: &Shared<Service>,
        port: &Port,
        origin: Origin,
    ) -> bool {
        let addresses = listening_addresses(scene, service, port);
        let shares = port.protocol.is_http() || port.protocol == Protocol::Detected && addresses.is_empty();
        if shares {
            let key = self.entry(vec![WILDCARD.to_owned()], port.number, &origin);
            key.routes.get_or_insert_with(|| port.number.to_string());
            key.unknown.get_or_insert_with(|| scene.scope.unknown.clone());
        }
        if port.protocol.is_http() {
            return true;
        }
        let (ranges, single): (Vec<String>, Vec<String>) =
            addresses.into_iter().partition(|address| is_range(address));
        let wildcard = single.is_empty();
        let chains = tcp_chains(scene, egress, service, port, &ranges, wildcard);
        let places = match () {
            () if wildcard => vec![vec![WILDCARD.to_owned()]],
            // Each pod of a headless service has a listener of its own.
            () if service.addresses.is_empty() => single.into_iter().map(|one| vec![one]).collect(),
            () => vec![single],
        };
        for place in places {
            let key = self.entry(place, port.number, &origin);
            key.chains.extend(chains.iter().cloned());
            distinct(&mut key.chains);
            if port.protocol == Protocol::Detected && !wildcard && key.routes.is_none() {
                let name = format!("{}:{}", service.host, port.number);
                key.routes = Some(name.clone());
                self.routes.push(routes_of_service(scene, egress, service, port.number, name));
            }
        }
        shares
    }

    fn entry(&mut self, addresses: Vec<String>, port: u16, origin: &Origin) -> &mut OutboundShape {
        let key = blank(addresses, port, origin.clone());
        self.listeners.entry(key.name()).or_insert(key)
    }
}

/// A listener that takes nothing yet.
fn blank(addresses: Vec<String>, port: u16, origin: Origin) -> OutboundShape {
    OutboundShape { addresses, port, routes: None, chains: Vec::new(), unknown: None, binds: false, origin }
}

/// The addresses that clients of an opaque or undeclared port connect to;
/// none means any.
fn listening_addresses(scene: &Scene<'_>, service: &Shared<Service>, port: &Port) -> Vec<String> {
    let headless = service.registry == Registry::Kubernetes && service.resolution == Resolution::Original;
    if !headless || port.protocol.is_tls() {
        return service.addresses.clone();
    }
    let pods = scene.snapshot.endpoints_of(service);
    pods.list.iter().map(|endpoint| endpoint.address.clone()).collect()
}

/// Two chains may not take the same connections: the first one keeps them.
pub(super) fn distinct(chains: &mut Vec<TcpChain>) {
    let mut seen = BTreeSet::new();
    chains.retain_mut(|chain| {
        if chain.server_names.is_empty() {
            return seen.insert((String::new(), chain.ranges.clone()));
        }
        chain.server_names.retain(|name| seen.insert((name.clone(), chain.ranges.clone())));
        !chain.server_names.is_empty()
    });
}

fn oldest_first(services: &[Shared<Service>]) -> Vec<&Shared<Service>> {
    let mut services: Vec<&Shared<Service>> = services.iter().collect();
    services.sort_by_key(|service| (service.created.is_none(), service.created, service.host.clone()));
    services
}

/// The rules that hold for a host.
fn rules_of(scene: &Scene<'_>, egress: &Egress, host: &str) -> Option<Shared<VirtualService>> {
    let rules = scene.snapshot.virtual_services.for_host(host, scene.namespace)?;
    egress.imports(rules).then(|| rules.clone())
}

/// Chains for the opaque bytes of a service's port.
fn tcp_chains(
    scene: &Scene<'_>,
    egress: &Egress,
    service: &Shared<Service>,
    port: &Port,
    ranges: &[String],
    wildcard: bool,
) -> Vec<TcpChain> {
    let rules = rules_of(scene, egress, &service.host);
    let mut chains = Vec::new();
    if let Some(rules) = &rules {
        let destinations = destinations(scene, [rules]);
        chains = if port.protocol.is_tls() {
            tls_chains(scene, rules, port.number, &destinations)
        } else {
            opaque_chains(scene, rules, port.number, &destinations)
        };
        for chain in &mut chains {
            if chain.ranges.is_empty() {
                chain.ranges = ranges.to_vec();
            }
        }
    }
    let complete = chains.iter().any(|chain| chain.server_names.is_empty() && chain.ranges == ranges);
    let by_name = port.protocol.is_tls() && !chains.is_empty();
    if complete || by_name {
        return chains;
    }
    let origin = Origin { object: service.object.to_string(), path: String::new() };
    let mut chain = TcpChain::to(&outbound_name(port.number, "", &service.host), origin);
    chain.ranges = ranges.to_vec();
    chain.idle = rule_of(scene, service).and_then(|rule| cluster::tcp_idle_of(&rule, "", port.number));
    if port.protocol.is_tls() && wildcard && !service.host.is_empty() {
        chain.server_names = vec![service.host.clone()];
    }
    chains.push(chain);
    chains
}

fn tls_chains(
    scene: &Scene<'_>,
    rules: &Shared<VirtualService>,
    port: u16,
    destinations: &Destinations,
) -> Vec<TcpChain> {
    let mut chains = Vec::new();
    for (at, rule) in rules.spec().tls.iter().enumerate() {
        for condition in rule.matches.iter().filter(|condition| tls_holds(scene, rules, condition, port)) {
            chains.push(TcpChain {
                server_names: condition.sni_hosts.clone(),
                ranges: condition.destination_subnets.clone(),
                ..chain(rules, &format!("tls[{at}]"), port, &rule.route, destinations)
            });
        }
    }
    chains
}

fn opaque_chains(
    scene: &Scene<'_>,
    rules: &Shared<VirtualService>,
    port: u16,
    destinations: &Destinations,
) -> Vec<TcpChain> {
    let mut chains = Vec::new();
    for (at, rule) in rules.spec().tcp.iter().enumerate() {
        let whole = chain(rules, &format!("tcp[{at}]"), port, &rule.route, destinations);
        if rule.matches.is_empty() {
            chains.push(whole);
            return chains;
        }
        for condition in rule.matches.iter().filter(|condition| tcp_holds(scene, rules, condition, port)) {
            chains.push(TcpChain { ranges: condition.destination_subnets.clone(), ..whole.clone() });
        }
    }
    chains
}

/// The chain of a rule for connections.
pub(super) fn chain(
    rules: &VirtualService,
    path: &str,
    port: u16,
    targets: &[resources::virtual_service::RouteDestination],
    destinations: &Destinations,
) -> TcpChain {
    let clusters =
        weighted(targets, |destination| destinations.cluster(destination, rules.namespace(), port));
    TcpChain {
        server_names: Vec::new(),
        ranges: Vec::new(),
        stat_prefix: clusters.first().map(|(cluster, _)| cluster.clone()).unwrap_or_default(),
        targets: clusters,
        idle: targets.first().and_then(|first| {
            let host = full_name(&first.destination.host, rules.namespace());
            let rule = destinations.find(&host)?.rule.as_ref()?;
            let own = first.destination.port.unwrap_or(port);
            cluster::tcp_idle_of(rule, &first.destination.subset, own)
        }),
        secured: None,
        origin: Origin { object: rules.object.key.to_string(), path: path.to_owned() },
    }
}

fn tls_holds(scene: &Scene<'_>, rules: &VirtualService, condition: &TlsMatchAttributes, port: u16) -> bool {
    let place = Place { gateways: &condition.gateways, labels: &condition.source_labels };
    place.is_here(scene, rules, &condition.source_namespace)
        && condition.port.is_none_or(|wanted| wanted == port)
}

fn tcp_holds(scene: &Scene<'_>, rules: &VirtualService, condition: &L4MatchAttributes, port: u16) -> bool {
    let place = Place { gateways: &condition.gateways, labels: &condition.source_labels };
    place.is_here(scene, rules, &condition.source_namespace)
        && condition.port.is_none_or(|wanted| wanted == port)
}

/// Where and for whom a condition holds.
struct Place<'a> {
    gateways: &'a [String],
    labels: &'a BTreeMap<String, String>,
}

impl Place<'_> {
    fn is_here(&self, scene: &Scene<'_>, rules: &VirtualService, namespace: &str) -> bool {
        let gateway = self.gateways.is_empty()
            || self.gateways.iter().any(|name| rules.full_gateway(name) == MESH_GATEWAY);
        let labels = self.labels.iter().all(|(key, value)| scene.labels().get(key) == Some(value));
        gateway && labels && (namespace.is_empty() || namespace == scene.namespace)
    }
}

/// The hosts that rules send to, and what is known of them here.
pub(super) fn destinations<'a>(
    scene: &Scene<'_>,
    rules: impl IntoIterator<Item = &'a Shared<VirtualService>>,
) -> Destinations {
    let hosts: BTreeSet<&String> = rules.into_iter().flat_map(|rules| &rules.destinations).collect();
    let list = hosts.into_iter().map(|host| {
        let service = scene.scope.services.get(host);
        let service = service.or_else(|| scene.snapshot.services.find(host, scene.namespace)).cloned();
        let rule = service.as_ref().and_then(|service| rule_of(scene, service));
        Destination { host: host.clone(), rule: rule.filter(|rule| rule.hashes()), service }
    });
    Destinations { list: list.collect() }
}

/// The routes of everything that is addressed by this port.
fn routes_of_port(scene: &Scene<'_>, egress: &Egress, port: u16) -> RouteKey {
    let mut hosts: BTreeMap<String, HostKey> = BTreeMap::new();
    for service in &egress.services {
        if service.port(port).is_some_and(|port| port.protocol.may_be_http()) {
            hosts.insert(service.host.clone(), host_of(scene, egress, service, port, Names::InMesh));
        }
    }
    for rules in &egress.virtual_services {
        for host in hosts_without_service(scene, rules, port) {
            hosts
                .entry(host.clone())
                .or_insert_with(|| host_of_rules(scene, rules, host, port, Names::Exact));
        }
    }
    let hosts: Vec<HostKey> = hosts.into_values().collect();
    RouteKey {
        name: port.to_string(),
        view: scene.view(reads_client(&hosts), Vec::new()),
        hosts,
        others: Others::Unknown(scene.scope.unknown.clone()),
    }
}

/// The routes of one service whose address says which it is.
fn routes_of_service(
    scene: &Scene<'_>,
    egress: &Egress,
    service: &Shared<Service>,
    port: u16,
    name: String,
) -> RouteKey {
    let hosts = vec![host_of(scene, egress, service, port, Names::Any)];
    RouteKey {
        name,
        view: scene.view(reads_client(&hosts), Vec::new()),
        hosts,
        others: Others::Unknown(scene.scope.unknown.clone()),
    }
}

/// A host that only rules know.
fn host_of_rules(
    scene: &Scene<'_>,
    rules: &Shared<VirtualService>,
    host: &str,
    port: u16,
    names: Names,
) -> HostKey {
    HostKey {
        host: host.to_owned(),
        port,
        names,
        service: None,
        rules: vec![rules.clone()],
        destinations: destinations(scene, [rules]),
        redirects_to_tls: false,
    }
}

fn host_of(
    scene: &Scene<'_>,
    egress: &Egress,
    service: &Shared<Service>,
    port: u16,
    names: Names,
) -> HostKey {
    let rules: Vec<Shared<VirtualService>> =
        rules_of(scene, egress, &service.host).filter(|rules| !rules.http.is_empty()).into_iter().collect();
    HostKey {
        host: service.host.clone(),
        port,
        names,
        service: Some(service.clone()),
        destinations: destinations(scene, &rules),
        rules,
        redirects_to_tls: false,
    }
}

/// Hosts that only these rules know, if they are addressed by this port: a
/// port of a service that the rules hold for too, else 80.
fn hosts_without_service<'a>(
    scene: &Scene<'_>,
    rules: &'a Shared<VirtualService>,
    port: u16,
) -> Vec<&'a String> {
    if rules.http.is_empty() {
        return Vec::new();
    }
    let service = |host: &str| scene.scope.services.get(host);
    let known: Vec<&Shared<Service>> = rules.hosts.iter().filter_map(|host| service(host)).collect();
    let here = match known.as_slice() {
        [] => port == HTTP_PORT,
        known => known.iter().any(|service| service.port(port).is_some()),
    };
    if !here {
        return Vec::new();
    }
    rules.hosts.iter().filter(|host| service(host).is_none() && *host != "*").collect()
}

fn reads_client(hosts: &[HostKey]) -> bool {
    hosts.iter().flat_map(|host| &host.rules).any(|rules| rules.reads_client)
}
