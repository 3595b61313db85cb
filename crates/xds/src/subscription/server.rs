//! The server's half: what one client on one stream should be sent next.
//!
//! The caller sets a target, hands in requests, and takes replies until there
//! are none. Per type at most one reply is unanswered at a time, so changes
//! that arrive meanwhile become one reply. Between types, replies wait for
//! each other as the module above promises (make before break); a client that
//! never asks for what would end the wait is released by the caller's clock
//! ([`Stream::stop_waiting`]).

mod subscription;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::envoy::config::core::v3::ControlPlane;
use crate::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
    Resource as DeltaResource,
};
use crate::resource::{Follow, Named, Resource, ResourceSet};
use crate::subscription::Protocol;
use crate::subscription::rejection::Rejection;
use crate::type_url::{CLUSTER, ENDPOINT, LISTENER, PUSH_ORDER, ROUTE};

use subscription::{Answer, Plan, Request, Subscription};

/// A message for the client.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// For a state-of-the-world stream.
    StateOfTheWorld(DiscoveryResponse),
    /// For a delta stream.
    Delta(DeltaDiscoveryResponse),
}

/// What a request meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The client asked for something, or for less.
    Subscribed,
    /// The client took everything in the last reply of the type.
    Acknowledged,
    /// The client took all but these.
    Rejected(Vec<Rejection>),
    /// The client refused a reply without saying which resource it meant; they
    /// are sent again one by one.
    RejectedUnnamed(String),
    /// An answer to something older than the last reply; nothing follows.
    Stale,
}

/// What is known of a client beyond one stream: pass it to the next stream of
/// the same client.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    types: BTreeMap<String, subscription::Memory>,
}

/// What a client has of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The type.
    pub type_url: String,
    /// How many resources the client is known to hold.
    pub held: usize,
    /// The generation of the last reply.
    pub sent: u64,
    /// The generation of the last reply that the client answered.
    pub acknowledged: u64,
    /// A hash over the names and versions held.
    pub version: String,
    /// What the client refuses.
    pub rejections: Vec<Rejection>,
}

/// One client on one stream.
#[derive(Debug)]
pub struct Stream {
    protocol: Protocol,
    control_plane: String,
    generation: u64,
    settled: u64,
    target: ResourceSet,
    types: BTreeMap<String, Subscription>,
    memory: Memory,
    /// Resources that the client will wait for because of what it was sent.
    awaited: BTreeSet<Follow>,
    nonce: u64,
    /// No more waiting between types until the next target.
    released: bool,
}

impl Stream {
    /// A stream on which nothing was said yet. `control_plane` is the name
    /// that replies carry.
    pub fn new(protocol: Protocol, control_plane: impl Into<String>, memory: Memory) -> Self {
        Self {
            protocol,
            control_plane: control_plane.into(),
            generation: 0,
            settled: 0,
            target: ResourceSet::default(),
            types: BTreeMap::new(),
            memory,
            awaited: BTreeSet::new(),
            nonce: 0,
            released: false,
        }
    }

    /// From now on the client should hold `target`, which is what the mesh
    /// says at `generation`.
    pub fn set_target(&mut self, generation: u64, target: ResourceSet) {
        let target = std::mem::replace(&mut self.target, target);
        for (type_url, subscription) in &mut self.types {
            let named = self.target.get(type_url);
            if !same(target.get(type_url), named) {
                subscription.forget_obsolete(named);
            }
        }
        self.generation = generation;
        self.released = false;
        self.settle();
    }

    /// Takes in a request of a state-of-the-world stream.
    pub fn on_state_of_the_world(&mut self, request: &DiscoveryRequest) -> Event {
        let first = !self.types.contains_key(&request.type_url);
        let subscription = self.subscription(&request.type_url);
        if !first && request.response_nonce != subscription.last_nonce() {
            return Event::Stale;
        }
        // A resource that came when its name was dropped already was ignored.
        subscription.replace_names(&request.resource_names);
        let event = self.answer(
            &request.type_url,
            &request.response_nonce,
            request.error_detail.as_ref().map(|status| status.message.as_str()),
        );
        let named = self.target.get(&request.type_url).cloned();
        let subscription = self.subscription(&request.type_url);
        if first {
            subscription.adopt_version(&request.version_info, named.as_deref());
        }
        self.settle();
        event
    }

    /// Takes in a request of a delta stream.
    pub fn on_delta(&mut self, request: &DeltaDiscoveryRequest) -> Event {
        let first = !self.types.contains_key(&request.type_url);
        let event = self.answer(
            &request.type_url,
            &request.response_nonce,
            request.error_detail.as_ref().map(|status| status.message.as_str()),
        );
        let named = self.target.get(&request.type_url).cloned();
        let awaited: Vec<String> = self.awaited_names(&request.type_url).collect();
        let subscription = self.subscription(&request.type_url);
        subscription.owe(awaited.into_iter().filter(|_| first));
        subscription.change_names(&Request {
            first,
            subscribe: &request.resource_names_subscribe,
            unsubscribe: &request.resource_names_unsubscribe,
            initial_versions: &request.initial_resource_versions,
            named: named.as_deref(),
        });
        self.settle();
        event
    }

    /// The next message for the client, if there is one now.
    pub fn next_reply(&mut self) -> Option<Reply> {
        let others = self.types.keys().filter(|type_url| !PUSH_ORDER.contains(&type_url.as_str()));
        let order: Vec<String> =
            PUSH_ORDER.iter().map(|type_url| (*type_url).to_owned()).chain(others.cloned()).collect();
        for type_url in order {
            if let Some(plan) = self.plan(&type_url) {
                return Some(self.send(type_url, plan));
            }
        }
        self.settle();
        None
    }

    /// The newest generation that the client holds in full: all that it asked
    /// for is acknowledged or, resource by resource, rejected, and what follows
    /// from it too.
    pub fn settled_generation(&self) -> u64 {
        self.settled
    }

    /// Whether the client lacks something of the current target.
    pub fn is_behind(&self) -> bool {
        self.settled < self.generation
    }

    /// Ends all waiting between types until the next target: the caller's
    /// clock says that the client will not ask for what would end it.
    pub fn stop_waiting(&mut self) {
        self.released = true;
    }

    /// What the client has, by type.
    pub fn summaries(&self) -> Vec<Summary> {
        self.types.iter().map(|(type_url, subscription)| subscription.summary(type_url)).collect()
    }

    /// What to pass to the client's next stream.
    pub fn into_memory(mut self) -> Memory {
        let mut memory = std::mem::take(&mut self.memory);
        for (type_url, subscription) in std::mem::take(&mut self.types) {
            let owed = self.awaited_names(&type_url).collect();
            memory.types.insert(type_url, subscription.into_memory(owed));
        }
        memory
    }

    fn subscription(&mut self, type_url: &str) -> &mut Subscription {
        if !self.types.contains_key(type_url) {
            let memory = self.memory.types.remove(type_url).unwrap_or_default();
            let mut subscription = Subscription::new(self.protocol, type_url, memory);
            subscription.forget_obsolete(self.target.get(type_url));
            self.types.insert(type_url.to_owned(), subscription);
        }
        self.types.get_mut(type_url).expect("it was put there if it was missing")
    }

    fn answer(&mut self, type_url: &str, nonce: &str, error: Option<&str>) -> Event {
        match self.subscription(type_url).answer(nonce, error) {
            Answer::None => Event::Subscribed,
            Answer::Stale => Event::Stale,
            Answer::Unnamed(message) => Event::RejectedUnnamed(message),
            Answer::Taken { concluded, rejections } => {
                let named = self.target.get(type_url).cloned();
                self.subscription(type_url).forget_obsolete(named.as_ref());
                self.conclude(type_url, &concluded, &rejections);
                if rejections.is_empty() { Event::Acknowledged } else { Event::Rejected(rejections) }
            }
        }
    }

    /// Strikes what the client no longer waits for.
    fn conclude(&mut self, type_url: &str, concluded: &[Arc<Resource>], rejections: &[Rejection]) {
        let subscription = &self.types[type_url];
        for resource in concluded {
            let refused = rejections.iter().any(|rejection| rejection.name == resource.name);
            // A resource whose name was dropped meanwhile was ignored.
            if refused || subscription.holds(resource) && !subscription.is_forced(&resource.name) {
                self.awaited.retain(|follow| follow.type_url != type_url || follow.name != resource.name);
            }
            if refused {
                self.awaited.retain(|follow| !resource.follows.contains(follow));
            }
        }
    }

    fn plan(&self, type_url: &str) -> Option<Plan> {
        let subscription = self.types.get(type_url)?;
        if subscription.is_busy() {
            return None;
        }
        let plan = subscription.plan(
            self.target.get(type_url).map(Arc::as_ref),
            self.may_add(type_url),
            self.may_remove(type_url),
        );
        (!plan.is_empty()).then_some(plan)
    }

    fn may_add(&self, type_url: &str) -> bool {
        match type_url {
            LISTENER | ROUTE => self.released || self.clusters_are_made(type_url),
            _ => true,
        }
    }

    fn may_remove(&self, type_url: &str) -> bool {
        self.released
            || match type_url {
                CLUSTER => {
                    self.is_quiet(CLUSTER, LISTENER)
                        && self.is_quiet(CLUSTER, ROUTE)
                        && !self.awaits(LISTENER)
                        && !self.awaits(ROUTE)
                }
                ENDPOINT => self.is_quiet(ENDPOINT, CLUSTER),
                LISTENER => self.clusters_are_made(LISTENER),
                ROUTE => self.is_quiet(ROUTE, LISTENER),
                _ => true,
            }
    }

    /// Whether the client holds every cluster of the target, with endpoints.
    fn clusters_are_made(&self, asking: &str) -> bool {
        match self.types.get(CLUSTER) {
            Some(clusters) => {
                !clusters.is_busy()
                    && clusters.plan(self.target.get(CLUSTER).map(Arc::as_ref), true, false).is_empty()
                    && !self.awaits(ENDPOINT)
                    && !self.types.get(ENDPOINT).is_some_and(|endpoints| {
                        endpoints.lacks_any(self.target.get(ENDPOINT).map(Arc::as_ref))
                    })
            }
            None => !self.types[asking].is_resumed(),
        }
    }

    /// Whether nothing of type `other` is on its way or due. A client that
    /// resumes `asking` will name its other types in a moment.
    fn is_quiet(&self, asking: &str, other: &str) -> bool {
        match self.types.get(other) {
            Some(subscription) => {
                !subscription.is_busy()
                    && subscription.plan(self.target.get(other).map(Arc::as_ref), true, true).is_empty()
            }
            None => !self.types[asking].is_resumed(),
        }
    }

    fn awaited_names(&self, type_url: &str) -> impl Iterator<Item = String> {
        self.awaited
            .iter()
            .filter(move |follow| follow.type_url == type_url)
            .map(|follow| follow.name.clone())
    }

    fn awaits(&self, type_url: &str) -> bool {
        self.awaited.iter().any(|follow| follow.type_url == type_url && self.exists(follow))
    }

    /// A cluster may leave the target and come back while the client has it all
    /// the time: what it waits for is noted until it gets it, and counts while
    /// it exists.
    fn exists(&self, follow: &Follow) -> bool {
        self.target.resource(follow.type_url, &follow.name).is_some()
    }

    fn settle(&mut self) {
        // Every data plane asks for listeners; before that it has only begun.
        let quiet = self.settled < self.generation
            && self.types.contains_key(LISTENER)
            && !self.awaited.iter().any(|follow| self.exists(follow))
            && self.types.iter().all(|(type_url, subscription)| {
                !subscription.is_busy()
                    && subscription.plan(self.target.get(type_url).map(Arc::as_ref), true, true).is_empty()
            });
        if quiet {
            self.settled = self.generation;
            for subscription in self.types.values_mut() {
                subscription.settled(self.generation);
            }
        }
    }

    fn send(&mut self, type_url: String, plan: Plan) -> Reply {
        self.nonce += 1;
        let nonce = self.nonce.to_string();
        for resource in &plan.resources {
            self.expect_followers(&type_url, resource);
        }
        let generation = self.generation;
        let reply = self.encode(&type_url, &plan, nonce.clone());
        self.subscription(&type_url).sent(plan, nonce, generation);
        reply
    }

    /// Notes what the client will wait for when it gets `resource`.
    fn expect_followers(&mut self, type_url: &str, resource: &Resource) {
        let held = self.types.get(type_url).is_some_and(|it| it.holds(resource));
        for follow in &resource.follows {
            if held {
                continue;
            }
            let other = self.types.get_mut(follow.type_url);
            match follow.type_url {
                // Envoy gives an updated listener the routes it holds already.
                ROUTE if other.as_ref().is_some_and(|it| it.holds_name(&follow.name)) => continue,
                ENDPOINT => other.into_iter().for_each(|it| it.force(&follow.name)),
                _ => {}
            }
            self.awaited.insert(follow.clone());
        }
    }

    fn encode(&self, type_url: &str, plan: &Plan, nonce: String) -> Reply {
        let control_plane = Some(ControlPlane { identifier: self.control_plane.clone() });
        match self.protocol {
            Protocol::StateOfTheWorld => Reply::StateOfTheWorld(DiscoveryResponse {
                version_info: plan.version.clone(),
                resources: plan.resources.iter().map(|resource| resource.body.clone()).collect(),
                type_url: type_url.to_owned(),
                nonce,
                control_plane,
                ..DiscoveryResponse::default()
            }),
            Protocol::Delta => Reply::Delta(DeltaDiscoveryResponse {
                system_version_info: self.generation.to_string(),
                resources: plan.resources.iter().map(|resource| delta_resource(resource)).collect(),
                type_url: type_url.to_owned(),
                removed_resources: plan.removed.clone(),
                nonce,
                control_plane,
                ..DeltaDiscoveryResponse::default()
            }),
        }
    }
}

fn delta_resource(resource: &Resource) -> DeltaResource {
    DeltaResource {
        name: resource.name.clone(),
        version: resource.version.clone(),
        resource: Some(resource.body.clone()),
        ..DeltaResource::default()
    }
}

fn same(left: Option<&Arc<Named>>, right: Option<&Arc<Named>>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => Arc::ptr_eq(left, right),
        (None, None) => true,
        _ => false,
    }
}
