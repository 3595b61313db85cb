//! The two halves driven against each other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use proptest::prelude::*;

use crate::envoy::config::cluster::v3::Cluster;
use crate::envoy::config::core::v3::Node;
use crate::envoy::config::endpoint::v3::ClusterLoadAssignment;
use crate::envoy::config::listener::v3::Listener;
use crate::envoy::config::route::v3::{RouteConfiguration, VirtualHost};
use crate::resource::{Follow, Named, Resource, ResourceSet};
use crate::subscription::Protocol;
use crate::subscription::client::{Client, Interest, Request, Update};
use crate::subscription::server::{Event, Memory, Reply, Stream};
use crate::type_url::{CLUSTER, ENDPOINT, LISTENER, ROUTE};

/// A mesh in small: versions of everything, and which clusters a route uses.
#[derive(Debug, Clone, Default)]
struct Mesh {
    clusters: BTreeMap<u8, u8>,
    endpoints: BTreeMap<u8, u8>,
    /// Listener to its version; listener N has route N.
    listeners: BTreeMap<u8, u8>,
    routes: BTreeMap<u8, (u8, BTreeSet<u8>)>,
}

/// The client refuses everything in this version.
const BAD: u8 = 3;

impl Mesh {
    fn resources(&self, before: Option<&ResourceSet>) -> ResourceSet {
        let mut types: BTreeMap<&'static str, Named> = BTreeMap::new();
        let mut add = |type_url, resource: Resource| {
            let kept = before.and_then(|set| set.resource(type_url, &resource.name)).cloned();
            let kept = kept.filter(|kept| **kept == resource).unwrap_or_else(|| Arc::new(resource));
            types.entry(type_url).or_default().insert(kept.name.clone(), kept);
        };
        for (cluster, version) in &self.clusters {
            let name = format!("c{cluster}");
            let message =
                Cluster { name: name.clone(), alt_stat_name: version.to_string(), ..Cluster::default() };
            let follow = Follow { type_url: ENDPOINT, name: name.clone() };
            add(CLUSTER, Resource::new(name.clone(), &message, vec![follow]));
            let version = self.endpoints.get(cluster).copied().unwrap_or_default();
            let message = ClusterLoadAssignment {
                cluster_name: name.clone(),
                named_endpoints: [(version.to_string(), Default::default())].into(),
                ..Default::default()
            };
            add(ENDPOINT, Resource::new(name, &message, vec![]));
        }
        for (listener, version) in &self.listeners {
            let name = format!("l{listener}");
            let message =
                Listener { name: name.clone(), stat_prefix: version.to_string(), ..Listener::default() };
            let follow = Follow { type_url: ROUTE, name: format!("r{listener}") };
            add(LISTENER, Resource::new(name, &message, vec![follow]));
            let (version, clusters) = self.routes.get(listener).cloned().unwrap_or_default();
            let domains =
                clusters.iter().filter(|it| self.clusters.contains_key(it)).map(|it| format!("c{it}"));
            let host = VirtualHost {
                name: version.to_string(),
                domains: domains.collect(),
                ..VirtualHost::default()
            };
            let name = format!("r{listener}");
            let message =
                RouteConfiguration { name: name.clone(), virtual_hosts: vec![host], ..Default::default() };
            add(ROUTE, Resource::new(name, &message, vec![]));
        }
        let mut set = ResourceSet::default();
        for type_url in [CLUSTER, ENDPOINT, LISTENER, ROUTE] {
            let named = Arc::new(types.remove(type_url).unwrap_or_default());
            let kept = before.and_then(|set| set.get(type_url)).filter(|kept| ***kept == *named).cloned();
            set.insert(type_url, kept.unwrap_or(named));
        }
        set
    }
}

/// A client that behaves as Envoy: it watches the endpoints of its clusters
/// and the routes of its listeners.
struct Proxy {
    client: Client,
    routes: BTreeMap<String, Vec<String>>,
    /// Whether a route ever pointed at a cluster without endpoints.
    broken: Option<String>,
    /// Clusters and listeners that were sent although held.
    resent: Option<String>,
}

impl Proxy {
    fn new(protocol: Protocol) -> Self {
        let mut client = Client::new(protocol, Node::default());
        client.watch(CLUSTER, Interest::All);
        client.watch(LISTENER, Interest::All);
        Self { client, routes: BTreeMap::new(), broken: None, resent: None }
    }

    fn receive(&mut self, reply: Reply) -> Vec<Request> {
        let update = match reply {
            Reply::StateOfTheWorld(response) => self.client.on_state_of_the_world(response),
            Reply::Delta(response) => self.client.on_delta(response),
        };
        let Some(update) = update else { return Vec::new() };
        self.note_resent(&update);
        let rejected: Vec<(String, String)> = update
            .added
            .iter()
            .filter(|received| is_bad(&update.type_url, &received.body))
            .map(|received| (received.name.clone(), "bad".to_owned()))
            .collect();
        for received in
            update.added.iter().filter(|received| update.type_url == ROUTE && !is_bad(ROUTE, &received.body))
        {
            let route: RouteConfiguration = crate::any::unpack(&received.body).expect("a route");
            self.routes.insert(route.name, route.virtual_hosts[0].domains.clone());
        }
        let mut requests: Vec<Request> = self.client.conclude(&update, &rejected).into_iter().collect();
        let followed = match update.type_url.as_str() {
            CLUSTER => Some((ENDPOINT, self.names(CLUSTER))),
            LISTENER => {
                Some((ROUTE, self.names(LISTENER).iter().map(|name| name.replace('l', "r")).collect()))
            }
            _ => None,
        };
        if let Some((type_url, names)) = followed {
            requests.extend(self.client.watch(type_url, Interest::Named(names)));
        }
        self.check();
        requests
    }

    fn note_resent(&mut self, update: &Update) {
        if !matches!(update.type_url.as_str(), CLUSTER | LISTENER) {
            return;
        }
        let held = self.client.held(&update.type_url);
        for received in &update.added {
            if held.is_some_and(|held| held.get(&received.name) == Some(&received.version)) {
                self.resent = Some(received.name.clone());
            }
        }
    }

    fn names(&self, type_url: &str) -> BTreeSet<String> {
        self.client.held(type_url).into_iter().flatten().map(|(name, _)| name.clone()).collect()
    }

    fn check(&mut self) {
        let (clusters, endpoints, routes) = (self.names(CLUSTER), self.names(ENDPOINT), self.names(ROUTE));
        for route in
            self.names(LISTENER).iter().map(|name| name.replace('l', "r")).filter(|it| routes.contains(it))
        {
            for cluster in &self.routes[&route] {
                if !clusters.contains(cluster) || !endpoints.contains(cluster) {
                    self.broken = Some(format!("{route} points at {cluster}"));
                }
            }
        }
    }
}

fn is_bad(type_url: &str, body: &crate::google::protobuf::Any) -> bool {
    let version = match type_url {
        CLUSTER => crate::any::unpack::<Cluster>(body).expect("a cluster").alt_stat_name,
        LISTENER => crate::any::unpack::<Listener>(body).expect("a listener").stat_prefix,
        ROUTE => {
            crate::any::unpack::<RouteConfiguration>(body).expect("a route").virtual_hosts[0].name.clone()
        }
        _ => return false,
    };
    version == BAD.to_string()
}

#[derive(Debug, Clone)]
enum Step {
    Cluster(u8, Option<u8>),
    Endpoints(u8, u8),
    Listener(u8, Option<u8>),
    Route(u8, u8, BTreeSet<u8>),
    /// The server hears the next request.
    Up,
    /// The client hears the next reply.
    Down,
    Disconnect,
}

fn steps(worst: u8) -> impl Strategy<Value = Vec<Step>> {
    let version = 0..=worst;
    let step = prop_oneof![
        1 => (0..4u8, proptest::option::of(version.clone())).prop_map(|(name, version)| Step::Cluster(name, version)),
        1 => (0..4u8, 0..9u8).prop_map(|(name, version)| Step::Endpoints(name, version)),
        1 => (0..2u8, proptest::option::of(version.clone())).prop_map(|(name, version)| Step::Listener(name, version)),
        1 => (0..2u8, version, proptest::collection::btree_set(0..4u8, 0..3))
            .prop_map(|(name, version, clusters)| Step::Route(name, version, clusters)),
        4 => Just(Step::Up),
        4 => Just(Step::Down),
        1 => Just(Step::Disconnect),
    ];
    proptest::collection::vec(step, 1..120)
}

struct Wire {
    protocol: Protocol,
    mesh: Mesh,
    target: ResourceSet,
    generation: u64,
    stream: Stream,
    proxy: Proxy,
    up: VecDeque<Request>,
    down: VecDeque<Reply>,
    delivered: usize,
}

impl Wire {
    fn new(protocol: Protocol) -> Self {
        let mut wire = Self {
            protocol,
            mesh: Mesh::default(),
            target: ResourceSet::default(),
            generation: 0,
            stream: Stream::new(protocol, "test", Memory::default()),
            proxy: Proxy::new(protocol),
            up: VecDeque::new(),
            down: VecDeque::new(),
            delivered: 0,
        };
        wire.change();
        wire.up = wire.proxy.client.connected().into();
        wire
    }

    fn change(&mut self) {
        self.target = self.mesh.resources(Some(&self.target));
        self.generation += 1;
        self.stream.set_target(self.generation, self.target.clone());
    }

    fn run(&mut self, step: &Step) {
        let before = self.mesh.clone();
        match step {
            Step::Cluster(name, Some(version)) => _ = self.mesh.clusters.insert(*name, *version),
            Step::Cluster(name, None) => _ = self.mesh.clusters.remove(name),
            Step::Endpoints(name, version) => _ = self.mesh.endpoints.insert(*name, *version),
            Step::Listener(name, Some(version)) => _ = self.mesh.listeners.insert(*name, *version),
            Step::Listener(name, None) => _ = self.mesh.listeners.remove(name),
            Step::Route(name, version, clusters) => {
                self.mesh.routes.insert(*name, (*version, clusters.clone()));
            }
            Step::Up => _ = self.up_once(),
            Step::Down => _ = self.down_once(),
            Step::Disconnect => self.reconnect(),
        }
        if before.resources(None) != self.mesh.resources(None) {
            self.change();
        }
        self.down.extend(std::iter::from_fn(|| self.stream.next_reply()));
    }

    fn up_once(&mut self) -> bool {
        let Some(request) = self.up.pop_front() else { return false };
        let event = match &request {
            Request::StateOfTheWorld(request) => self.stream.on_state_of_the_world(request),
            Request::Delta(request) => self.stream.on_delta(request),
        };
        assert!(!matches!(event, Event::RejectedUnnamed(_)), "{event:?}");
        true
    }

    fn down_once(&mut self) -> bool {
        let Some(reply) = self.down.pop_front() else { return false };
        self.delivered += match &reply {
            Reply::StateOfTheWorld(response) => response.resources.len(),
            Reply::Delta(response) => response.resources.len() + response.removed_resources.len(),
        };
        self.up.extend(self.proxy.receive(reply));
        true
    }

    fn reconnect(&mut self) {
        self.up.clear();
        self.down.clear();
        let fresh = Stream::new(self.protocol, "test", Memory::default());
        let memory = std::mem::replace(&mut self.stream, fresh).into_memory();
        self.stream = Stream::new(self.protocol, "test", memory);
        self.stream.set_target(self.generation, self.target.clone());
        self.proxy.client.disconnected();
        self.up = self.proxy.client.connected().into();
    }

    fn drain(&mut self) {
        for _ in 0..10_000 {
            self.down.extend(std::iter::from_fn(|| self.stream.next_reply()));
            if !self.up_once() && !self.down_once() {
                return;
            }
        }
        panic!("the halves never come to rest");
    }

    fn versions(&self, type_url: &str) -> BTreeMap<String, String> {
        self.target
            .get(type_url)
            .into_iter()
            .flat_map(|named| named.values())
            .map(|resource| (resource.name.clone(), resource.version.clone()))
            .collect()
    }
}

const TYPES: [&str; 4] = [CLUSTER, ENDPOINT, LISTENER, ROUTE];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn halves_converge_and_never_break_what_is_in_use(
        delta in any::<bool>(), steps in steps(BAD - 1)
    ) {
        let protocol = if delta { Protocol::Delta } else { Protocol::StateOfTheWorld };
        let mut wire = Wire::new(protocol);
        for step in &steps {
            wire.run(step);
            prop_assert_eq!(&wire.proxy.broken, &None);
            prop_assert_eq!(&wire.proxy.resent, &None);
        }
        wire.drain();
        prop_assert_eq!(&wire.proxy.broken, &None);
        for type_url in TYPES {
            let held = wire.proxy.client.held(type_url).cloned().unwrap_or_default();
            prop_assert_eq!(held, wire.versions(type_url), "{}", type_url);
        }
        prop_assert_eq!(wire.stream.settled_generation(), wire.generation);

        // State of the world cannot tell which routes and endpoints a client holds.
        let mut delivered = wire.delivered;
        if !delta {
            delivered += wire.versions(ENDPOINT).len() + wire.versions(ROUTE).len();
        }
        wire.reconnect();
        wire.drain();
        prop_assert_eq!(wire.delivered, delivered, "nothing changed, yet something was sent");
        prop_assert_eq!(wire.stream.settled_generation(), wire.generation);
    }

    #[test]
    fn rejected_resources_hurt_no_other(delta in any::<bool>(), steps in steps(BAD)) {
        let protocol = if delta { Protocol::Delta } else { Protocol::StateOfTheWorld };
        let mut wire = Wire::new(protocol);
        for step in &steps {
            wire.run(step);
        }
        wire.drain();
        let refused: BTreeSet<String> = wire
            .stream
            .summaries()
            .into_iter()
            .flat_map(|summary| summary.rejections)
            .map(|rejection| rejection.name)
            .collect();
        for type_url in [CLUSTER, LISTENER] {
            let held = wire.proxy.client.held(type_url).cloned().unwrap_or_default();
            for resource in wire.target.get(type_url).into_iter().flat_map(|named| named.values()) {
                let bad = is_bad(type_url, &resource.body);
                prop_assert_eq!(refused.contains(&resource.name), bad, "{}", resource.name);
                if !bad {
                    prop_assert_eq!(held.get(&resource.name), Some(&resource.version), "{}", resource.name);
                } else {
                    prop_assert_ne!(held.get(&resource.name), Some(&resource.version));
                }
            }
        }
    }
}

fn cluster(name: &str, version: &str) -> Resource {
    let message = Cluster { name: name.to_owned(), alt_stat_name: version.to_owned(), ..Cluster::default() };
    Resource::new(name, &message, vec![])
}

fn set_of(resources: Vec<Resource>) -> ResourceSet {
    let mut set = ResourceSet::default();
    let named = resources.into_iter().map(|resource| (resource.name.clone(), Arc::new(resource))).collect();
    set.insert(CLUSTER, Arc::new(named));
    set
}

fn delta_of(reply: Option<Reply>) -> (Vec<String>, Vec<String>, String) {
    match reply {
        Some(Reply::Delta(response)) => (
            response.resources.into_iter().map(|resource| resource.name).collect(),
            response.removed_resources,
            response.nonce,
        ),
        other => panic!("expected a delta response, found {other:?}"),
    }
}

fn ask(nonce: &str, error: Option<&str>) -> crate::envoy::service::discovery::v3::DeltaDiscoveryRequest {
    crate::envoy::service::discovery::v3::DeltaDiscoveryRequest {
        type_url: CLUSTER.to_owned(),
        response_nonce: nonce.to_owned(),
        error_detail: error.map(|message| crate::google::rpc::Status {
            code: 3,
            message: message.to_owned(),
            details: vec![],
        }),
        ..Default::default()
    }
}

#[test]
fn rejection_keeps_the_last_good_version_and_takes_the_rest() {
    let mut stream = Stream::new(Protocol::Delta, "test", Memory::default());
    stream.set_target(1, set_of(vec![cluster("a", "1"), cluster("a.b", "1")]));
    stream.on_delta(&ask("", None));
    let (names, _, nonce) = delta_of(stream.next_reply());
    assert_eq!(names, ["a", "a.b"]);
    assert_eq!(stream.on_delta(&ask(&nonce, None)), Event::Acknowledged);

    stream.set_target(2, set_of(vec![cluster("a", "2"), cluster("a.b", "2")]));
    let (_, _, nonce) = delta_of(stream.next_reply());
    let event = stream.on_delta(&ask(&nonce, Some("Error adding/updating cluster(s) a.b: no such thing")));
    assert!(
        matches!(&event, Event::Rejected(rejections) if rejections.len() == 1 && rejections[0].name == "a.b")
    );
    assert_eq!(stream.next_reply(), None);

    stream.set_target(3, set_of(vec![cluster("a", "2"), cluster("a.b", "3")]));
    let (names, _, _) = delta_of(stream.next_reply());
    assert_eq!(names, ["a.b"]);
}

#[test]
fn restarted_client_gets_the_last_good_version() {
    let mut stream = Stream::new(Protocol::Delta, "test", Memory::default());
    let good = cluster("a", "1");
    stream.set_target(1, set_of(vec![good.clone()]));
    stream.on_delta(&ask("", None));
    let (_, _, nonce) = delta_of(stream.next_reply());
    stream.on_delta(&ask(&nonce, None));
    let worse = set_of(vec![cluster("a", "2")]);
    stream.set_target(2, worse.clone());
    let (_, _, nonce) = delta_of(stream.next_reply());
    stream.on_delta(&ask(&nonce, Some("Error adding/updating cluster(s) a: no")));

    let mut stream = Stream::new(Protocol::Delta, "test", stream.into_memory());
    stream.set_target(2, worse);
    stream.on_delta(&ask("", None));
    match stream.next_reply() {
        Some(Reply::Delta(response)) => assert_eq!(response.resources[0].version, good.version),
        other => panic!("expected the last good version, found {other:?}"),
    }
}

#[test]
fn unnamed_rejection_is_searched_one_by_one() {
    let mut stream = Stream::new(Protocol::Delta, "test", Memory::default());
    stream.set_target(1, set_of(vec![cluster("a", "1"), cluster("b", "1")]));
    stream.on_delta(&ask("", None));
    let (_, _, nonce) = delta_of(stream.next_reply());
    let event = stream.on_delta(&ask(&nonce, Some("something is wrong")));
    assert_eq!(event, Event::RejectedUnnamed("something is wrong".to_owned()));
    let (names, _, nonce) = delta_of(stream.next_reply());
    assert_eq!(names, ["a"]);
    assert!(matches!(stream.on_delta(&ask(&nonce, Some("still wrong"))), Event::Rejected(_)));
    let (names, _, nonce) = delta_of(stream.next_reply());
    assert_eq!(names, ["b"]);
    assert_eq!(stream.on_delta(&ask(&nonce, None)), Event::Acknowledged);
    assert_eq!(stream.next_reply(), None);
}

#[test]
fn name_that_does_not_exist_is_said_to_be_gone_once() {
    let mut stream = Stream::new(Protocol::Delta, "test", Memory::default());
    stream.set_target(1, set_of(vec![]));
    let mut request = ask("", None);
    request.resource_names_subscribe = vec!["x".to_owned()];
    stream.on_delta(&request);
    let (names, removed, nonce) = delta_of(stream.next_reply());
    assert_eq!((names.len(), removed), (0, vec!["x".to_owned()]));
    stream.on_delta(&ask(&nonce, None));
    assert_eq!(stream.next_reply(), None);
    stream.set_target(2, set_of(vec![cluster("x", "1")]));
    assert_eq!(delta_of(stream.next_reply()).0, ["x"]);
}

#[test]
fn held_resource_is_sent_again_only_when_named_anew() {
    let mut stream = Stream::new(Protocol::Delta, "test", Memory::default());
    let resource = cluster("x", "1");
    stream.set_target(1, set_of(vec![resource.clone()]));
    let mut request = ask("", None);
    request.resource_names_subscribe = vec!["x".to_owned()];
    request.initial_resource_versions = [("x".to_owned(), resource.version.clone())].into();
    stream.on_delta(&request);
    assert_eq!(stream.next_reply(), None);
    request.initial_resource_versions.clear();
    stream.on_delta(&request);
    assert_eq!(delta_of(stream.next_reply()).0, ["x"]);
}

#[test]
fn stale_nonce_changes_nothing() {
    let mut stream = Stream::new(Protocol::Delta, "test", Memory::default());
    stream.set_target(1, set_of(vec![cluster("a", "1")]));
    stream.on_delta(&ask("", None));
    assert!(stream.next_reply().is_some());
    assert_eq!(stream.on_delta(&ask("77", None)), Event::Stale);
    assert_eq!(stream.summaries()[0].held, 0);
}

#[test]
fn rejected_names_are_whole_words() {
    let message = "Error adding/updating cluster(s) outbound|80||a.b: x, outbound|80|v1|a.b: y";
    let names = ["outbound|80||a.b", "outbound|80|v1|a.b", "a.b", "80"];
    assert_eq!(
        crate::subscription::rejection::named_in(message, names.into_iter()),
        ["outbound|80||a.b", "outbound|80|v1|a.b"]
    );
}
