//! The names of the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// The cluster's domain.
pub(crate) const DOMAIN: &str = "cluster.local";

/// What a name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Addresses; none is a name without addresses.
    Addresses(Vec<Ipv4Addr>),
    /// Another name.
    Alias(String),
    /// Named ports: port and the name of the host.
    Ports(Vec<(u16, String)>),
}

/// Every name of the cluster, in lower case and without the last dot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Table {
    entries: BTreeMap<String, Entry>,
    /// Names that stand above others, so that they exist without having records.
    parents: BTreeSet<String>,
    reverse: BTreeMap<Ipv4Addr, String>,
}

/// What is known of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup<'a> {
    /// It is the cluster's, with this entry.
    Found(&'a Entry),
    /// It is the cluster's and exists, without records.
    Empty,
    /// It would be the cluster's, and does not exist.
    Missing,
    /// The cluster says nothing about it.
    Outside,
}

impl Table {
    /// Adds a name below the cluster's domain; addresses and ports of the same name come together.
    pub(crate) fn insert(&mut self, name: &str, entry: Entry) {
        let name = format!("{}.{DOMAIN}", name.to_lowercase());
        for (at, _) in name.match_indices('.') {
            self.parents.insert(name[at + 1..].to_owned());
        }
        match (self.entries.get_mut(&name), entry) {
            (Some(Entry::Addresses(known)), Entry::Addresses(more)) => known.extend(more),
            (Some(Entry::Ports(known)), Entry::Ports(more)) => known.extend(more),
            (_, entry) => {
                self.entries.insert(name, entry);
            }
        }
    }

    /// Says which name an address has.
    pub(crate) fn insert_reverse(&mut self, address: Ipv4Addr, name: &str) {
        self.reverse.insert(address, format!("{name}.{DOMAIN}"));
    }

    /// Looks a name up; case and a last dot do not matter.
    ///
    /// A name that ends in `.svc` is taken as the cluster's too: programs write `istiod.istio-system.svc`, and some
    /// resolvers do not search.
    pub(crate) fn lookup(&self, name: &str) -> Lookup<'_> {
        let mut name = name.trim_end_matches('.').to_lowercase();
        if name.ends_with(".svc") {
            name = format!("{name}.{DOMAIN}");
        }
        if let Some(entry) = self.entries.get(&name) {
            return Lookup::Found(entry);
        }
        let of_cluster = name == DOMAIN || name.ends_with(&format!(".{DOMAIN}"));
        match of_cluster {
            true if self.parents.contains(&name) => Lookup::Empty,
            true => Lookup::Missing,
            // A name without a dot was meant to be searched in the cluster.
            false if !name.contains('.') => Lookup::Missing,
            false => Lookup::Outside,
        }
    }

    /// The name of an address of the cluster.
    pub(crate) fn name_of(&self, address: Ipv4Addr) -> Option<&str> {
        self.reverse.get(&address).map(String::as_str)
    }
}
