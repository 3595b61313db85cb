//! A resource as it travels: named, versioned by its content, encoded once.
//!
//! Whoever builds a resource encodes it here; everyone who sends it shares the
//! same bytes. Equal content has an equal version, on every control plane and
//! after every restart, so a client that reconnects is not sent what it holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::{Message, Name};

use crate::google::protobuf::Any;

/// One named resource of one type.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// The name by which clients ask for it.
    pub name: String,
    /// A hash of the encoded content.
    pub version: String,
    /// The encoded message and its type URL.
    pub body: Any,
    /// What a client that holds this resource will ask for next: the endpoints
    /// of a cluster, the routes of a listener.
    pub follows: Vec<Follow>,
}

/// A resource of another type that a client asks for because of this one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Follow {
    /// The other resource's type.
    pub type_url: &'static str,
    /// The other resource's name.
    pub name: String,
}

impl Resource {
    /// Encodes `message` under `name`.
    pub fn new<M: Message + Name>(name: impl Into<String>, message: &M, follows: Vec<Follow>) -> Self {
        let body = crate::any::pack(message);
        Self { name: name.into(), version: content_version(&body.value), body, follows }
    }
}

/// The version that content has: sixteen hexadecimal digits.
pub fn content_version(bytes: &[u8]) -> String {
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(bytes))
}

/// The name inside an encoded resource. Every xDS resource type keeps its name
/// in field 1.
pub fn encoded_name(any: &Any) -> Option<String> {
    #[derive(Clone, PartialEq, ::prost::Message)]
    struct Named {
        #[prost(string, tag = "1")]
        name: String,
    }
    Named::decode(any.value.as_ref()).ok().map(|named| named.name)
}

/// Resources of one type by name.
pub type Named = BTreeMap<String, Arc<Resource>>;

/// Everything one client should hold, by type URL. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResourceSet {
    types: BTreeMap<&'static str, Arc<Named>>,
}

impl ResourceSet {
    /// The resources of one type; none when the set has none.
    pub fn get(&self, type_url: &str) -> Option<&Arc<Named>> {
        self.types.get(type_url)
    }

    /// Puts the resources of one type in place of what was there.
    pub fn insert(&mut self, type_url: &'static str, named: Arc<Named>) {
        self.types.insert(type_url, named);
    }

    /// One resource.
    pub fn resource(&self, type_url: &str, name: &str) -> Option<&Arc<Resource>> {
        self.get(type_url)?.get(name)
    }

    /// All types with their resources.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Arc<Named>)> {
        self.types.iter().map(|(type_url, named)| (*type_url, named))
    }
}
