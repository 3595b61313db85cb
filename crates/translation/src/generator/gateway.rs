//! A gateway's listeners and routes: the servers of all Gateway objects that
//! select it, those of one port together.

use std::collections::{BTreeMap, BTreeSet};

use resources::Object;
use resources::gateway::{Server, ServerTlsMode};
use xds::origin::Origin;

use super::draft::Scene;
use super::inbound::OwnPort;
use super::outbound::{chain, destinations};
use crate::host::{covers, full_name};
use crate::listener::{GatewayKey, HttpsChain, TcpChain};
use crate::memo::Shared;
use crate::node::Facets;
use crate::protocol::Protocol;
use crate::route::{HostKey, Names, Others, RouteKey};
use crate::server_tls::{self, Credential, Secured};
use crate::snapshot::VirtualService;

/// A server of a Gateway object.
struct Place<'a> {
    gateway: &'a Shared<Object>,
    server: &'a Server,
    /// Which of the object's servers it is.
    at: usize,
    number: u16,
    protocol: Protocol,
    origin: Origin,
}

/// What a gateway gets of its own.
#[derive(Default)]
pub(super) struct Servers {
    pub(super) listeners: Vec<GatewayKey>,
    pub(super) routes: BTreeMap<String, RouteKey>,
    /// Secrets that the listeners name.
    pub(super) credentials: BTreeSet<Credential>,
}

impl Servers {
    /// Chains of servers that end TLS with HTTP inside. A host belongs to the
    /// first server that has it.
    fn https(&mut self, scene: &Scene<'_>, places: &[Place<'_>]) -> Vec<HttpsChain> {
        let mut taken = BTreeSet::new();
        let mut chains = Vec::new();
        for place in places.iter().filter(|place| scene.carries_http() && place.ends_https()) {
            let Some(server_names) = place.server_names(&mut taken) else { continue };
            let name = place.https_route_name();
            self.routes.insert(name.clone(), routes(scene, name.clone(), &[place]));
            chains.push(HttpsChain {
                server_names,
                routes: name,
                secured: place.secured(),
                origin: place.origin.clone(),
            });
        }
        chains
    }
}

/// Draws listeners and routes of the gateway `facets`.
pub(super) fn draw(scene: &Scene<'_>, facets: &Shared<Facets>, own_ports: &[OwnPort]) -> Servers {
    let mut servers = Servers::default();
    for ((bind, port), places) in places(scene, facets, own_ports) {
        let http: Vec<&Place<'_>> = places.iter().filter(|place| place.speaks_http()).collect();
        let name = http.first().map(|_| route_name(&bind, port));
        let key = GatewayKey {
            facets: facets.clone(),
            bind: if bind.is_empty() { "0.0.0.0".to_owned() } else { bind },
            port,
            routes: name.clone().filter(|_| scene.carries_http()),
            // HTTP on a port takes all of it.
            https: Vec::new(),
            chains: if http.is_empty() && scene.carries_tcp() { chains(scene, &places) } else { Vec::new() },
            origin: places[0].origin.clone(),
        };
        let key = GatewayKey {
            https: if http.is_empty() { servers.https(scene, &places) } else { Vec::new() },
            ..key
        };
        if key.routes.is_none() && key.chains.is_empty() && key.https.is_empty() {
            continue;
        }
        servers.credentials.extend(key.credentials());
        servers.listeners.push(key);
        if let Some(name) = name {
            servers.routes.insert(name.clone(), routes(scene, name, &http));
        }
    }
    servers
}

fn route_name(bind: &str, port: u16) -> String {
    if bind.is_empty() { format!("http.{port}") } else { format!("http.{port}.{bind}") }
}

/// All servers by where the gateway listens for them: the service's port leads
/// to a port of the pod.
fn places<'a>(
    scene: &'a Scene<'_>,
    facets: &Facets,
    own_ports: &[OwnPort],
) -> BTreeMap<(String, u16), Vec<Place<'a>>> {
    let mut places: BTreeMap<(String, u16), Vec<Place<'a>>> = BTreeMap::new();
    for object in scene.snapshot.gateways.iter() {
        let Some(spec) = object.as_gateway() else { continue };
        let selected = spec.selector.iter().all(|(key, value)| facets.labels.get(key) == Some(value));
        if !selected {
            continue;
        }
        for (at, server) in spec.servers.iter().enumerate() {
            let Some(port) = &server.port else { continue };
            let mut targets: BTreeSet<u16> =
                own_ports.iter().filter(|own| own.number == port.number).map(|own| own.target).collect();
            if targets.is_empty() {
                targets.insert(port.number);
            }
            for target in targets {
                places.entry((server.bind.clone(), target)).or_default().push(Place {
                    gateway: object,
                    server,
                    at,
                    number: port.number,
                    protocol: Protocol::of_field(&port.protocol, port.number),
                    origin: Origin { object: object.key.to_string(), path: format!("servers[{at}]") },
                });
            }
        }
    }
    places
}

impl Place<'_> {
    /// HTTP in the clear.
    fn speaks_http(&self) -> bool {
        self.protocol.is_http()
    }

    /// TLS ends here.
    fn ends_tls(&self) -> bool {
        let mode = self.server.tls.as_ref().map(|tls| tls.mode);
        self.protocol.is_tls() && mode.is_some_and(server_tls::ends)
    }

    /// TLS ends here, with HTTP inside.
    fn ends_https(&self) -> bool {
        self.protocol == Protocol::Https && self.ends_tls()
    }

    /// TLS ends here, with bytes inside.
    fn ends_tcp(&self) -> bool {
        self.protocol == Protocol::Tls && self.ends_tls()
    }

    fn secured(&self) -> Secured {
        Secured { gateway: self.gateway.clone(), server: self.at }
    }

    /// `https.PORT.PORTNAME.GATEWAY.NAMESPACE`.
    fn https_route_name(&self) -> String {
        let port = self.server.port.as_ref().map_or("", |port| port.name.as_str());
        let key = &self.gateway.key;
        let name = format!("https.{}.{port}.{}.{}", self.number, key.name, key.namespace);
        if self.server.bind.is_empty() { name } else { format!("{name}.{}", self.server.bind) }
    }

    /// The hosts as server names that nobody has taken, none for all;
    /// `None`: others have taken them all.
    fn server_names(&self, taken: &mut BTreeSet<String>) -> Option<Vec<String>> {
        let hosts =
            self.server.hosts.iter().map(|entry| entry.split_once('/').map_or(entry.as_str(), |it| it.1));
        let hosts: Vec<String> = hosts.map(str::to_ascii_lowercase).collect();
        if hosts.iter().any(|host| host == "*") {
            return taken.insert(String::new()).then(Vec::new);
        }
        let names: Vec<String> = hosts.into_iter().filter(|host| taken.insert(host.clone())).collect();
        (!names.is_empty()).then_some(names)
    }

    fn passes_tls(&self) -> bool {
        let mode = self.server.tls.as_ref().map(|tls| tls.mode);
        self.protocol.is_tls() && mode.is_none_or(|mode| mode == ServerTlsMode::Passthrough)
    }

    /// `namespace/name`, as VirtualServices bind to it.
    fn name(&self) -> String {
        format!("{}/{}", self.gateway.key.namespace, self.gateway.key.name)
    }

    /// The hosts of a VirtualService that this server admits, each as narrow
    /// as both say.
    fn admitted(&self, rules: &VirtualService) -> BTreeSet<String> {
        let mut hosts = BTreeSet::new();
        for entry in &self.server.hosts {
            let (namespace, host) = entry.split_once('/').unwrap_or(("*", entry));
            let from = match namespace {
                "*" => None,
                "." => Some(self.gateway.key.namespace.as_str()),
                other => Some(other),
            };
            if from.is_some_and(|from| from != rules.namespace()) {
                continue;
            }
            let host = full_name(host, &self.gateway.key.namespace).to_ascii_lowercase();
            for wanted in &rules.hosts {
                if covers(&host, wanted) {
                    hosts.insert(wanted.clone());
                } else if covers(wanted, &host) {
                    hosts.insert(host.clone());
                }
            }
        }
        hosts
    }
}

fn rules_of<'a>(scene: &'a Scene<'_>, place: &Place<'_>) -> Vec<&'a Shared<VirtualService>> {
    let name = place.name();
    let all = &scene.snapshot.virtual_services;
    all.for_gateway(&name).filter(|rules| rules.is_visible_in(scene.namespace)).collect()
}

fn routes(scene: &Scene<'_>, name: String, places: &[&Place<'_>]) -> RouteKey {
    let mut hosts: BTreeMap<String, (Vec<Shared<VirtualService>>, bool)> = BTreeMap::new();
    for place in places {
        let redirects = place.server.tls.as_ref().is_some_and(|tls| tls.https_redirect);
        if redirects {
            for entry in &place.server.hosts {
                let host = entry.split_once('/').map_or(entry.as_str(), |(_, host)| host);
                hosts.entry(host.to_ascii_lowercase()).or_default().1 = true;
            }
        }
        for rules in rules_of(scene, place) {
            for host in place.admitted(rules) {
                let (list, redirected) = hosts.entry(host).or_default();
                *redirected |= redirects;
                if !rules.http.is_empty() && !list.contains(rules) {
                    list.push(rules.clone());
                }
            }
        }
    }
    let reads_client = hosts.values().flat_map(|(rules, _)| rules).any(|rules| rules.reads_client);
    let gateways: BTreeSet<String> = places.iter().map(|place| place.name()).collect();
    let port = places.first().map_or(0, |place| place.number);
    let hosts = hosts.into_iter().map(|(host, (rules, redirects_to_tls))| HostKey {
        host,
        port,
        names: Names::Exact,
        service: None,
        destinations: destinations(scene, &rules),
        rules,
        redirects_to_tls,
    });
    RouteKey {
        name,
        hosts: hosts.collect(),
        view: scene.view(reads_client, gateways.into_iter().collect()),
        others: Others::NotFound { port },
    }
}

/// Chains for servers of opaque connections and of TLS that is passed through.
fn chains(scene: &Scene<'_>, places: &[Place<'_>]) -> Vec<TcpChain> {
    let mut chains: Vec<TcpChain> = Vec::new();
    for place in places {
        for rules in rules_of(scene, place) {
            let destinations = destinations(scene, [rules]);
            let admitted = place.admitted(rules);
            if place.passes_tls() {
                for (at, rule) in rules.spec().tls.iter().enumerate() {
                    for condition in &rule.matches {
                        let ports = condition.port.is_none_or(|port| port == place.number);
                        let names = condition.sni_hosts.iter();
                        let names = names.filter(|name| admitted.iter().any(|host| covers(host, name)));
                        let server_names: Vec<String> = names.cloned().collect();
                        if ports && !server_names.is_empty() {
                            let path = format!("tls[{at}]");
                            chains.push(TcpChain {
                                server_names,
                                ..chain(rules, &path, place.number, &rule.route, &destinations)
                            });
                        }
                    }
                }
            } else if (place.protocol == Protocol::Tcp || place.ends_tcp()) && !admitted.is_empty() {
                for (at, rule) in rules.spec().tcp.iter().enumerate() {
                    let ports = |port: Option<u16>| port.is_none_or(|port| port == place.number);
                    if rule.matches.is_empty() || rule.matches.iter().any(|it| ports(it.port)) {
                        let path = format!("tcp[{at}]");
                        let mut chain = chain(rules, &path, place.number, &rule.route, &destinations);
                        if place.ends_tcp() {
                            chain.secured = Some(place.secured());
                            chain.server_names = place.server_names(&mut BTreeSet::new()).unwrap_or_default();
                        }
                        chains.push(chain);
                    }
                }
            }
        }
    }
    super::outbound::distinct(&mut chains);
    chains
}
