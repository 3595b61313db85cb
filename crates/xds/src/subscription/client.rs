//! The client's half: what to ask the server for and how to answer it.
//!
//! The caller says what it is interested in, hands in responses, applies what
//! they hold, and says which resources it could not apply; the machine gives
//! the requests to send. What is held survives the stream: a new stream starts
//! by telling the server what the client has.

use std::collections::{BTreeMap, BTreeSet};

use crate::envoy::config::core::v3::Node;
use crate::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use crate::google::protobuf::Any;
use crate::google::rpc::Status;
use crate::resource::{content_version, encoded_name};
use crate::subscription::rejection::compose;
use crate::subscription::{Protocol, is_listed_in_full};

/// gRPC's `INVALID_ARGUMENT`, the code of a rejection.
const INVALID_ARGUMENT: i32 = 3;

/// Which resources of a type the client wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interest {
    /// Whatever the server has for this node.
    All,
    /// These.
    Named(BTreeSet<String>),
}

/// A message for the server.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// For a state-of-the-world stream.
    StateOfTheWorld(DiscoveryRequest),
    /// For a delta stream.
    Delta(DeltaDiscoveryRequest),
}

/// A resource as it was received.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// Its name.
    pub name: String,
    /// Its version; a hash of the content where the protocol gives none.
    pub version: String,
    /// The encoded message.
    pub body: Any,
}

/// What a response changes. The caller applies it and then calls
/// [`Client::conclude`].
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// The type of all resources in it.
    pub type_url: String,
    /// New or changed resources that the client is interested in.
    pub added: Vec<Received>,
    /// Resources that are gone, or that were asked for and do not exist.
    pub removed: Vec<String>,
    nonce: String,
    version: String,
}

/// One client, over any number of streams.
#[derive(Debug)]
pub struct Client {
    protocol: Protocol,
    node: Node,
    connected: bool,
    introduced: bool,
    /// In the order in which they were first asked for.
    order: Vec<String>,
    types: BTreeMap<String, Subscription>,
}

#[derive(Debug)]
struct Subscription {
    interest: Interest,
    held: BTreeMap<String, String>,
    version: String,
    nonce: String,
}

impl Client {
    /// A client that holds nothing and is not connected.
    pub fn new(protocol: Protocol, node: Node) -> Self {
        Self {
            protocol,
            node,
            connected: false,
            introduced: false,
            order: Vec::new(),
            types: BTreeMap::new(),
        }
    }

    /// Sets what the client wants of a type. Gives the request that says so,
    /// when there is a stream and anything changed.
    pub fn watch(&mut self, type_url: &str, interest: Interest) -> Option<Request> {
        let Some(subscription) = self.types.get_mut(type_url) else {
            let subscription = Subscription {
                interest,
                held: BTreeMap::new(),
                version: String::new(),
                nonce: String::new(),
            };
            self.types.insert(type_url.to_owned(), subscription);
            self.order.push(type_url.to_owned());
            return self.connected.then(|| self.first_request(type_url));
        };
        if subscription.interest == interest {
            return None;
        }
        let before = std::mem::replace(&mut subscription.interest, interest);
        let wanted = subscription.interest.clone();
        subscription.held.retain(|name, _| wanted.covers(name));
        self.connected.then(|| self.changed_interest(type_url, &before))
    }

    /// A new stream is open: the requests to start it with.
    pub fn connected(&mut self) -> Vec<Request> {
        self.connected = true;
        self.introduced = false;
        for subscription in self.types.values_mut() {
            subscription.nonce.clear();
        }
        self.order.clone().iter().map(|type_url| self.first_request(type_url)).collect()
    }

    /// The stream is gone.
    pub fn disconnected(&mut self) {
        self.connected = false;
    }

    /// Takes in a state-of-the-world response. `None` when its type was never
    /// asked for.
    pub fn on_state_of_the_world(&mut self, response: DiscoveryResponse) -> Option<Update> {
        let subscription = self.types.get(&response.type_url)?;
        let mut added: Vec<Received> = Vec::new();
        for body in response.resources {
            let Some(name) = encoded_name(&body) else { continue };
            if subscription.interest.covers(&name) {
                added.push(Received { name, version: content_version(&body.value), body });
            }
        }
        let mut removed = Vec::new();
        if is_listed_in_full(&response.type_url) {
            let listed: BTreeSet<&str> = added.iter().map(|received| received.name.as_str()).collect();
            removed.extend(subscription.held.keys().filter(|name| !listed.contains(name.as_str())).cloned());
            // What is held in this very version needs no work.
            added.retain(|received| subscription.held.get(&received.name) != Some(&received.version));
        }
        Some(Update {
            type_url: response.type_url,
            added,
            removed,
            nonce: response.nonce,
            version: response.version_info,
        })
    }

    /// Takes in a delta response. `None` when its type was never asked for.
    pub fn on_delta(&mut self, response: DeltaDiscoveryResponse) -> Option<Update> {
        let subscription = self.types.get(&response.type_url)?;
        let added = response.resources.into_iter().filter_map(|resource| {
            let wanted = subscription.interest.covers(&resource.name);
            let body = resource.resource.filter(|_| wanted)?;
            Some(Received { name: resource.name, version: resource.version, body })
        });
        let added = added.collect();
        let wanted = |name: &String| subscription.interest.covers(name);
        Some(Update {
            added,
            removed: response.removed_resources.into_iter().filter(wanted).collect(),
            type_url: response.type_url,
            nonce: response.nonce,
            version: response.system_version_info,
        })
    }

    /// The caller applied `update` except for `rejected` (name and reason);
    /// gives the answer to send, if there is still a stream.
    pub fn conclude(&mut self, update: &Update, rejected: &[(String, String)]) -> Option<Request> {
        let subscription = self.types.get_mut(&update.type_url)?;
        subscription.nonce.clone_from(&update.nonce);
        for received in &update.added {
            let refused = rejected.iter().any(|(name, _)| *name == received.name);
            if !refused && subscription.interest.covers(&received.name) {
                subscription.held.insert(received.name.clone(), received.version.clone());
            }
        }
        for name in &update.removed {
            subscription.held.remove(name);
        }
        if rejected.is_empty() {
            subscription.version.clone_from(&update.version);
        }
        let error_detail = (!rejected.is_empty()).then(|| Status {
            code: INVALID_ARGUMENT,
            message: compose(&update.type_url, rejected),
            details: Vec::new(),
        });
        if !self.connected {
            return None;
        }
        Some(match self.protocol {
            Protocol::StateOfTheWorld => {
                let mut request = self.full_request(&update.type_url);
                request.error_detail = error_detail;
                Request::StateOfTheWorld(request)
            }
            Protocol::Delta => Request::Delta(DeltaDiscoveryRequest {
                type_url: update.type_url.clone(),
                response_nonce: update.nonce.clone(),
                error_detail,
                ..DeltaDiscoveryRequest::default()
            }),
        })
    }

    /// What the client holds of a type: name to version.
    pub fn held(&self, type_url: &str) -> Option<&BTreeMap<String, String>> {
        self.types.get(type_url).map(|subscription| &subscription.held)
    }

    fn introduction(&mut self) -> Option<Node> {
        let first = !std::mem::replace(&mut self.introduced, true);
        first.then(|| self.node.clone())
    }

    fn first_request(&mut self, type_url: &str) -> Request {
        let node = self.introduction();
        match self.protocol {
            Protocol::StateOfTheWorld => {
                Request::StateOfTheWorld(DiscoveryRequest { node, ..self.full_request(type_url) })
            }
            Protocol::Delta => {
                let subscription = &self.types[type_url];
                Request::Delta(DeltaDiscoveryRequest {
                    node,
                    type_url: type_url.to_owned(),
                    resource_names_subscribe: subscription.interest.names(),
                    initial_resource_versions: subscription.held.clone(),
                    ..DeltaDiscoveryRequest::default()
                })
            }
        }
    }

    fn changed_interest(&self, type_url: &str, before: &Interest) -> Request {
        if self.protocol == Protocol::StateOfTheWorld {
            return Request::StateOfTheWorld(self.full_request(type_url));
        }
        let (before, now) = (before.delta_names(), self.types[type_url].interest.delta_names());
        Request::Delta(DeltaDiscoveryRequest {
            type_url: type_url.to_owned(),
            resource_names_subscribe: now.difference(&before).cloned().collect(),
            resource_names_unsubscribe: before.difference(&now).cloned().collect(),
            ..DeltaDiscoveryRequest::default()
        })
    }

    fn full_request(&self, type_url: &str) -> DiscoveryRequest {
        let subscription = &self.types[type_url];
        DiscoveryRequest {
            version_info: subscription.version.clone(),
            resource_names: subscription.interest.names(),
            type_url: type_url.to_owned(),
            response_nonce: subscription.nonce.clone(),
            ..DiscoveryRequest::default()
        }
    }
}

impl Interest {
    fn covers(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(name),
        }
    }

    /// Names for a first or full request: no name at all means everything.
    fn names(&self) -> Vec<String> {
        match self {
            Self::All => Vec::new(),
            Self::Named(names) => names.iter().cloned().collect(),
        }
    }

    /// Names for a change of mind.
    fn delta_names(&self) -> BTreeSet<String> {
        match self {
            Self::All => BTreeSet::from(["*".to_owned()]),
            Self::Named(names) => names.clone(),
        }
    }
}
