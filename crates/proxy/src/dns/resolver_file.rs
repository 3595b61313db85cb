//! `/etc/resolv.conf` and `/etc/hosts`, read as resolvers read them.

use std::net::{IpAddr, SocketAddr};

/// What a resolver is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolverFile {
    /// Where to ask.
    pub servers: Vec<SocketAddr>,
    /// What is appended to short names.
    pub search: Vec<String>,
    /// Names with so many dots are asked for as they are first.
    pub ndots: usize,
}

impl ResolverFile {
    /// Reads its text; what is not understood is passed over.
    pub fn parse(text: &str) -> ResolverFile {
        let mut file = ResolverFile { servers: Vec::new(), search: Vec::new(), ndots: 1 };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                // With a port of its own as some resolvers take it, too.
                Some("nameserver") => file.servers.extend(words.next().and_then(server)),
                Some("search" | "domain") => {
                    file.search = words.map(|word| word.trim_end_matches('.').to_owned()).collect();
                }
                Some("options") => {
                    let ndots = words.find_map(|word| word.strip_prefix("ndots:")?.parse().ok());
                    file.ndots = ndots.unwrap_or(file.ndots);
                }
                _ => {}
            }
        }
        file
    }

    /// The full names that a name may stand for, in the order in which they
    /// are tried.
    pub fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(full) = name.strip_suffix('.') {
            return vec![format!("{full}.")];
        }
        let own = format!("{name}.");
        let mut completed: Vec<String> =
            self.search.iter().map(|domain| format!("{name}.{domain}.")).collect();
        if name.matches('.').count() >= self.ndots {
            completed.insert(0, own);
        } else {
            completed.push(own);
        }
        completed
    }
}

fn server(word: &str) -> Option<SocketAddr> {
    let port_53 = |address| SocketAddr::new(address, 53);
    word.parse().map(port_53).ok().or_else(|| word.parse().ok())
}

/// The addresses that a hosts file gives a name.
pub fn in_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let name = name.trim_end_matches('.');
    text.lines()
        .filter_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            let address = words.next()?.parse().ok()?;
            words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
        })
        .collect()
}
