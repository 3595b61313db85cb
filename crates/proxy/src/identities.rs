//! Workloads and services as small numbers, so that finding the metrics of a
//! request compares no text.
//!
//! One table per worker. What peers say about themselves comes from the
//! network: the table does not grow without end.

use std::cell::RefCell;
use std::hash::Hash;
use std::rc::Rc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use routing::cluster::Service;
use telemetry::istio::Workload;

use crate::identity;
use crate::tls::certificate::{Certificate, TlsFacts};

/// A workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerId(u32);

/// A service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ServiceId(u32);

/// How both sides of a connection proved who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LinkId(u32);

impl LinkId {
    /// Not at all.
    pub const PLAIN: LinkId = LinkId(0);
}

/// Who both sides of a connection proved to be.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Link {
    /// Both showed a certificate.
    pub is_mutual: bool,
    /// Who we are.
    pub own: String,
    /// Who the other side is.
    pub peer: String,
}

impl PeerId {
    /// Nobody knows.
    pub const UNKNOWN: PeerId = PeerId(0);
}

impl ServiceId {
    /// Nobody knows.
    pub const UNKNOWN: ServiceId = ServiceId(0);
}

/// A service as metrics name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ServiceNames {
    /// The full host name.
    pub host: String,
    /// The short name.
    pub name: String,
    /// The namespace.
    pub namespace: String,
}

/// So many different peers are told apart.
const MAX: usize = 10_000;

/// The numbers of one worker.
#[derive(Debug)]
pub struct Identities {
    peers: RefCell<Numbers<Workload>>,
    services: RefCell<Numbers<ServiceNames>>,
    links: RefCell<Numbers<Link>>,
    /// What peers said, by their node id.
    told: RefCell<HashMap<Box<[u8]>, PeerId, RandomState>>,
}

#[derive(Debug)]
struct Numbers<T> {
    numbers: HashMap<Rc<T>, u32, RandomState>,
    list: Vec<Rc<T>>,
}

impl<T: Eq + Hash + Default> Numbers<T> {
    fn new() -> Numbers<T> {
        let unknown = Rc::new(T::default());
        Numbers { numbers: std::iter::once((unknown.clone(), 0)).collect(), list: vec![unknown] }
    }

    fn of(&mut self, value: T) -> u32 {
        if let Some(number) = self.numbers.get(&value) {
            return *number;
        }
        if self.list.len() >= MAX {
            return 0;
        }
        let value = Rc::new(value);
        let number = u32::try_from(self.list.len()).unwrap_or(0);
        self.list.push(value.clone());
        self.numbers.insert(value, number);
        number
    }

    fn get(&self, number: u32) -> Rc<T> {
        let at = usize::try_from(number).unwrap_or(0);
        self.list.get(at).unwrap_or(&self.list[0]).clone()
    }
}

impl Default for Identities {
    fn default() -> Identities {
        Identities {
            peers: RefCell::new(Numbers::new()),
            services: RefCell::new(Numbers::new()),
            links: RefCell::new(Numbers::new()),
            told: RefCell::default(),
        }
    }
}

impl Identities {
    /// The workload behind an endpoint.
    pub fn endpoint(&self, text: &str) -> PeerId {
        PeerId(self.peers.borrow_mut().of(identity::endpoint(text)))
    }

    /// The workload that a peer says it is. What it said first under a node
    /// id stands.
    pub fn told(&self, id: Option<&[u8]>, metadata: Option<&[u8]>) -> Option<PeerId> {
        let metadata = metadata?;
        let key = id.unwrap_or(metadata);
        let mut told = self.told.borrow_mut();
        if let Some(peer) = told.get(key) {
            return Some(*peer);
        }
        let peer = PeerId(self.peers.borrow_mut().of(identity::peer(metadata)?));
        if told.len() < MAX {
            told.insert(key.into(), peer);
        }
        Some(peer)
    }

    /// The service of a cluster.
    pub fn service(&self, service: &Service) -> ServiceId {
        self.named(ServiceNames {
            host: service.host.to_string(),
            name: service.name.to_string(),
            namespace: service.namespace.to_string(),
        })
    }

    /// The service with these names.
    pub fn named(&self, names: ServiceNames) -> ServiceId {
        ServiceId(self.services.borrow_mut().of(names))
    }

    /// Who both sides of a connection proved to be.
    pub fn link(&self, tls: Option<&TlsFacts>) -> LinkId {
        let Some(facts) = tls else { return LinkId::PLAIN };
        if let Some(link) = facts.link.get() {
            return link;
        }
        let name = |certificate: Option<&Certificate>| {
            certificate.and_then(|certificate| certificate.uris.first()).cloned().unwrap_or_default()
        };
        let link = LinkId(self.links.borrow_mut().of(Link {
            is_mutual: facts.peer.is_some(),
            own: name(facts.own.as_deref()),
            peer: name(facts.peer.as_deref()),
        }));
        facts.link.set(Some(link));
        link
    }

    /// The same, spelt out.
    pub fn proved(&self, link: LinkId) -> Rc<Link> {
        self.links.borrow().get(link.0)
    }

    /// What is known of a workload.
    pub fn peer(&self, peer: PeerId) -> Rc<Workload> {
        self.peers.borrow().get(peer.0)
    }

    /// What is known of a service.
    pub fn names(&self, service: ServiceId) -> Rc<ServiceNames> {
        self.services.borrow().get(service.0)
    }
}
