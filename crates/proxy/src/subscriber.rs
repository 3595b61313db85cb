//! The conversation with the control plane: what is asked for, what came,
//! what was refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use prost::{Message, Name};
use routing::compile::{Changes, Kind, Rejection};
use routing::config::Config;
use tokio::sync::mpsc::UnboundedSender;
use xds::any::unpack;
use xds::envoy::config::core::v3::Node;
use xds::envoy::extensions::transport_sockets::tls::v3::Secret;
use xds::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use xds::google::protobuf::Any;
use xds::istio::nds::NameTable;
use xds::subscription::Protocol;
use xds::subscription::client::{Client, Interest, Received, Request, Update};
use xds::type_url::{CLUSTER, ENDPOINT, LISTENER, NAME_TABLE, ROUTE, SECRET};

use crate::control::Control;
use crate::memory;
use crate::start::NameTables;
use crate::tls::material;

/// A response of this size leaves enough behind to look for what can be
/// given back, in bytes.
const LARGE: usize = 256 * 1024;

/// A resource as it was received.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its version.
    pub version: String,
    /// Its message.
    pub body: Any,
    /// When it came.
    pub at: SystemTime,
}

/// A resource that was refused.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The version that was refused.
    pub version: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: SystemTime,
}

/// Everything that was received and is held, by type and name.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// What is held.
    pub held: BTreeMap<String, BTreeMap<String, Stored>>,
    /// What was refused last.
    pub refused: BTreeMap<String, BTreeMap<String, Refused>>,
    /// How many responses of a type were taken in.
    pub updates: BTreeMap<String, u64>,
    /// Whether there is a stream.
    pub connected: bool,
}

/// The inventory, shared with the admin endpoint.
#[derive(Debug, Clone, Default)]
pub struct SharedInventory(Arc<Mutex<Inventory>>);

impl SharedInventory {
    /// The inventory; held for a moment only.
    pub fn lock(&self) -> MutexGuard<'_, Inventory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One side of the conversation.
#[derive(Debug)]
pub struct Subscriber {
    client: Client,
    requests: Option<UnboundedSender<DeltaDiscoveryRequest>>,
    inventory: SharedInventory,
    names: Option<NameTables>,
    /// Secrets that came.
    secrets: BTreeSet<String>,
}

impl Subscriber {
    /// Listeners and clusters are asked for whole; routes and endpoints when
    /// something names them; names when somebody wants them.
    pub fn new(node: Node, inventory: SharedInventory, names: Option<NameTables>) -> Subscriber {
        let mut client = Client::new(Protocol::Delta, node);
        client.watch(CLUSTER, Interest::All);
        client.watch(LISTENER, Interest::All);
        if names.is_some() {
            client.watch(NAME_TABLE, Interest::All);
        }
        Subscriber { client, requests: None, inventory, names, secrets: BTreeSet::new() }
    }

    /// Whether listeners and clusters have come once.
    pub fn has_first_answers(&self) -> bool {
        let updates = &self.inventory.lock().updates;
        updates.contains_key(CLUSTER) && updates.contains_key(LISTENER)
    }

    /// There is a new stream.
    pub fn opened(&mut self, requests: UnboundedSender<DeltaDiscoveryRequest>) {
        self.requests = Some(requests);
        self.inventory.lock().connected = true;
        for request in self.client.connected() {
            self.send(Some(request));
        }
    }

    /// The stream is gone; what is held stays.
    pub fn closed(&mut self) {
        self.requests = None;
        self.inventory.lock().connected = false;
        self.client.disconnected();
    }

    /// Takes in a response: applies it, answers it, and asks for what it
    /// names.
    pub fn answered(&mut self, response: DeltaDiscoveryResponse, control: &mut Control) {
        let Some(update) = self.client.on_delta(response) else { return };
        let size: usize = update.added.iter().map(|received| received.body.value.len()).sum();
        let (changes, mut rejected) = changes(&update);
        if let Some(names) = self.names.as_ref().filter(|_| update.type_url == NAME_TABLE) {
            rejected.extend(take_names(&update, names));
        }
        if update.type_url == SECRET {
            rejected.extend(self.take_secrets(&update, control));
        }
        let applied = control.apply(&changes);
        rejected.extend(applied.rejections.iter().filter_map(|rejection| concerns(rejection, &update)));
        self.note(&update, &rejected);
        let answer = self.client.conclude(&update, &rejected);
        self.send(answer);
        self.follow(control);
        drop((update, changes));
        if size > LARGE {
            memory::return_free();
        }
    }

    /// Asks for the routes and endpoints that the configuration names, and
    /// lets go of the others.
    fn follow(&mut self, control: &mut Control) {
        let config = control.config();
        let routes = names(&config.wanted_routes());
        let endpoints = names(&config.wanted_endpoints());
        let secrets = names(&config.wanted_secrets());
        let unwanted = Changes {
            removed_routes: not_in(config.routes.keys(), &routes),
            removed_endpoints: not_in(config.endpoints.keys(), &endpoints),
            ..Changes::default()
        };
        self.watch(ENDPOINT, endpoints);
        self.watch(ROUTE, routes);
        for unwanted in self.secrets.difference(&secrets) {
            control.secrets().remove(unwanted);
        }
        self.secrets.retain(|name| secrets.contains(name));
        self.watch(SECRET, secrets);
        if !unwanted.removed_routes.is_empty() || !unwanted.removed_endpoints.is_empty() {
            let mut inventory = self.inventory.lock();
            for (kind, names) in [(ROUTE, &unwanted.removed_routes), (ENDPOINT, &unwanted.removed_endpoints)]
            {
                if let Some(held) = inventory.held.get_mut(kind) {
                    held.retain(|name, _| !names.contains(name));
                }
            }
            drop(inventory);
            control.apply(&unwanted);
        }
    }

    /// Puts secrets where connections find them; gives what is refused. They
    /// are held there alone, and only under names that were asked for.
    fn take_secrets(&mut self, update: &Update, control: &Control) -> Vec<(String, String)> {
        let mut rejected = Vec::new();
        let wanted = names(&control.config().wanted_secrets());
        for message in decode::<Secret>(update, &mut rejected) {
            if !wanted.contains(&message.name) {
                continue;
            }
            match material::secret(&message) {
                Ok(secret) => {
                    control.secrets().set(&message.name, secret);
                    self.secrets.insert(message.name);
                }
                Err(error) => rejected.push((message.name, error.to_string())),
            }
        }
        for name in &update.removed {
            if self.secrets.remove(name) {
                control.secrets().remove(name);
            }
        }
        rejected
    }

    fn watch(&mut self, type_url: &str, names: BTreeSet<String>) {
        // Nothing was ever named: an empty first request could mean all.
        if names.is_empty() && self.client.held(type_url).is_none() {
            return;
        }
        let request = self.client.watch(type_url, Interest::Named(names));
        self.send(request);
    }

    fn note(&self, update: &Update, rejected: &[(String, String)]) {
        let now = SystemTime::now();
        let mut inventory = self.inventory.lock();
        *inventory.updates.entry(update.type_url.clone()).or_default() += 1;
        let refused = inventory.refused.entry(update.type_url.clone()).or_default();
        for received in &update.added {
            refused.remove(&received.name);
        }
        for (name, reason) in rejected {
            let version = update.added.iter().find(|received| received.name == *name);
            let version = version.map(|received| received.version.clone()).unwrap_or_default();
            refused.insert(name.clone(), Refused { version, reason: reason.clone(), at: now });
        }
        let held = inventory.held.entry(update.type_url.clone()).or_default();
        for Received { name, version, body } in &update.added {
            // Keys are in one place only.
            if update.type_url != SECRET && !rejected.iter().any(|(refused, _)| refused == name) {
                // A copy: the part of a response would keep all of it in memory.
                let value = Bytes::copy_from_slice(&body.value);
                let body = Any { type_url: body.type_url.clone(), value };
                held.insert(name.clone(), Stored { version: version.clone(), body, at: now });
            }
        }
        for name in &update.removed {
            held.remove(name);
        }
    }

    fn send(&self, request: Option<Request>) {
        if let (Some(Request::Delta(request)), Some(requests)) = (request, &self.requests) {
            // A stream that has just ended is noticed elsewhere.
            let _ = requests.send(request);
        }
    }
}

fn names(list: &[Arc<str>]) -> BTreeSet<String> {
    list.iter().map(ToString::to_string).collect()
}

fn not_in<'a>(present: impl Iterator<Item = &'a Arc<str>>, wanted: &BTreeSet<String>) -> Vec<String> {
    present.filter(|name| !wanted.contains(&***name)).map(ToString::to_string).collect()
}

/// The changes that an update makes, and what could not even be decoded.
fn changes(update: &Update) -> (Changes, Vec<(String, String)>) {
    let mut changes = Changes::default();
    let mut rejected = Vec::new();
    let removed = update.removed.clone();
    match update.type_url.as_str() {
        CLUSTER => {
            changes.clusters = decode(update, &mut rejected);
            changes.removed_clusters = removed;
        }
        LISTENER => {
            changes.listeners = decode(update, &mut rejected);
            changes.removed_listeners = removed;
        }
        ROUTE => {
            changes.routes = decode(update, &mut rejected);
            changes.removed_routes = removed;
        }
        ENDPOINT => {
            changes.endpoints = decode(update, &mut rejected);
            changes.removed_endpoints = removed;
        }
        _ => {}
    }
    (changes, rejected)
}

/// Passes a table of names on; gives what is refused.
pub fn take_names(update: &Update, names: &NameTables) -> Vec<(String, String)> {
    let mut rejected = Vec::new();
    for table in decode::<NameTable>(update, &mut rejected) {
        names.send_replace(Arc::new(table));
    }
    rejected
}

fn decode<M: Message + Name + Default>(update: &Update, rejected: &mut Vec<(String, String)>) -> Vec<M> {
    let mut messages = Vec::with_capacity(update.added.len());
    for received in &update.added {
        match unpack::<M>(&received.body) {
            Ok(message) => messages.push(message),
            Err(error) => rejected.push((received.name.clone(), error.to_string())),
        }
    }
    messages
}

/// A rejection, when it is about the type of the update.
fn concerns(rejection: &Rejection, update: &Update) -> Option<(String, String)> {
    let kind = match update.type_url.as_str() {
        CLUSTER => Kind::Cluster,
        LISTENER => Kind::Listener,
        ROUTE => Kind::Routes,
        ENDPOINT => Kind::Endpoints,
        _ => return None,
    };
    (rejection.kind == kind).then(|| (rejection.name.clone(), rejection.reason.to_string()))
}

/// Whether everything that the control plane named first is in use.
pub fn is_initialized(subscriber: &Subscriber, config: &Config) -> bool {
    subscriber.has_first_answers() && config.is_warm()
}
