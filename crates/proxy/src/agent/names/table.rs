//! The mesh's names, as they are looked up.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use xds::istio::nds::{NameInfo, NameTable};

/// Where the pod is: which short names it uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    namespace: String,
    /// `svc.cluster.local`.
    services: String,
    /// What resolvers append first: `default.svc.cluster.local`.
    search: Option<String>,
}

impl Place {
    /// `domain` is that of the pod's namespace.
    pub fn new(namespace: &str, domain: &str, resolver: &str) -> Place {
        let services = domain.strip_prefix(&format!("{namespace}.")).unwrap_or(domain);
        let search = resolver.lines().find_map(|line| {
            let rest = line.trim().strip_prefix("search")?;
            rest.split_whitespace().next().map(|domain| domain.trim_end_matches('.').to_ascii_lowercase())
        });
        Place { namespace: namespace.to_owned(), services: services.to_owned(), search }
    }
}

/// The addresses of a name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses {
    /// Of IPv4.
    pub v4: Vec<Ipv4Addr>,
    /// Of IPv6.
    pub v6: Vec<Ipv6Addr>,
}

/// Names in lower case, without the dot at the end.
#[derive(Debug, Default)]
pub struct Table {
    names: HashMap<String, Arc<Addresses>>,
    search: Option<String>,
}

/// What the mesh knows of a name.
#[derive(Debug, PartialEq, Eq)]
pub struct Known<'t> {
    /// The name that the addresses belong to, where it is another.
    pub alias: Option<String>,
    /// Its addresses.
    pub addresses: &'t Addresses,
}

impl Table {
    /// The table for a pod in `place`.
    pub fn new(table: &NameTable, place: &Place) -> Table {
        let mut names = HashMap::with_capacity(table.table.len());
        for (host, info) in &table.table {
            let addresses = Arc::new(addresses(info));
            for host in std::iter::once(host).chain(&info.alt_hosts) {
                for name in spellings(host, info, place) {
                    // A full name wins over another's short one.
                    names.entry(name).or_insert_with(|| Arc::clone(&addresses));
                }
            }
        }
        for (host, info) in &table.table {
            names.insert(host.to_ascii_lowercase(), Arc::new(addresses(info)));
        }
        Table { names, search: place.search.clone() }
    }

    /// What the mesh knows of `name`, in lower case without the last dot.
    pub fn lookup(&self, name: &str) -> Option<Known<'_>> {
        if let Some(addresses) = self.exact(name).or_else(|| self.wildcard(name)) {
            return Some(Known { alias: None, addresses });
        }
        // A resolver that completes names asks for the completed one first.
        let short = name.strip_suffix(self.search.as_deref()?)?.strip_suffix('.')?;
        let addresses = self.exact(short).or_else(|| self.wildcard(short))?;
        Some(Known { alias: Some(short.to_owned()), addresses })
    }

    fn exact(&self, name: &str) -> Option<&Addresses> {
        self.names.get(name).map(|addresses| &**addresses)
    }

    /// `*.example.com` for `a.b.example.com`, the longest first.
    fn wildcard(&self, name: &str) -> Option<&Addresses> {
        let dots = name.match_indices('.').map(|(at, _)| at);
        dots.into_iter().find_map(|at| self.exact(&format!("*{}", &name[at..])))
    }
}

fn addresses(info: &NameInfo) -> Addresses {
    let mut addresses = Addresses::default();
    for ip in info.ips.iter().filter_map(|ip| ip.parse().ok()) {
        match ip {
            IpAddr::V4(address) => addresses.v4.push(address),
            IpAddr::V6(address) => addresses.v6.push(address),
        }
    }
    addresses
}

/// `reviews`, `reviews.default`, `reviews.default.svc` for
/// `reviews.default.svc.cluster.local`.
fn spellings(host: &str, info: &NameInfo, place: &Place) -> Vec<String> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let mut spellings = Vec::new();
    let within = host.strip_suffix(&place.services).and_then(|rest| rest.strip_suffix('.'));
    if let Some(short) = within.filter(|_| info.registry == "Kubernetes") {
        let kind = place.services.split('.').next().unwrap_or_default();
        spellings.push(short.to_owned());
        spellings.push(format!("{short}.{kind}"));
        if let Some(own) = short.strip_suffix(&place.namespace).and_then(|rest| rest.strip_suffix('.')) {
            spellings.push(own.to_owned());
        }
    }
    spellings.push(host);
    spellings
}
