//! A sentence for answers that nobody wanted: what there is instead.

use std::collections::BTreeSet;

use routing::config::Config;
use routing::filter_chain::Terminal;
use routing::virtual_host::RouteTable;

use super::Request;
use super::resolve::{Resolved, ResolvedBy};
use super::view::{Answer, Destination, Explanation};

/// How many names a sentence holds.
const NAMES: usize = 6;

/// What to say beside the answer, if anything.
pub(super) fn help(
    config: &Config,
    request: &Request,
    resolved: &Resolved,
    explanation: &Explanation,
) -> Option<String> {
    match &explanation.answer {
        Answer::NotListening => Some(ports(config)),
        Answer::Closed => Some(chains(config, explanation)),
        Answer::NoRoute => Some(no_route(config, request, explanation)),
        Answer::Tcp { destinations } | Answer::Forward { destinations, .. } => missing(config, destinations)
            .or_else(|| no_such_port(resolved))
            .or_else(|| unknown_name(config, request, resolved)),
        Answer::Redirect { .. } | Answer::Respond { .. } => {
            let is_blocked = explanation.virtual_host.as_deref() == Some("block_all");
            is_blocked
                .then(|| format!("nothing in scope has this host; there are {}", hosts(config, request)))
        }
    }
}

fn ports(config: &Config) -> String {
    let listeners = config.listeners.active.values();
    let ports: BTreeSet<u16> =
        listeners.flat_map(|entry| entry.value.addresses.iter()).map(|address| address.port()).collect();
    match ports.is_empty() {
        true => "the proxy listens nowhere".to_owned(),
        false => format!("the proxy listens on {}", list(ports.iter().map(ToString::to_string))),
    }
}

fn chains(config: &Config, explanation: &Explanation) -> String {
    let listener = explanation.listener.as_deref().and_then(|name| config.listener(name));
    let chains = listener.iter().flat_map(|listener| listener.all_chains()).map(|chain| {
        let carries = match &chain.terminal {
            Terminal::Http(_) => "HTTP",
            Terminal::Tcp(_) => "TCP",
            Terminal::Close => "nothing",
        };
        if chain.name.is_empty() { carries.to_owned() } else { format!("{} ({carries})", chain.name) }
    });
    let chains: BTreeSet<String> = chains.collect();
    match chains.is_empty() {
        true => "the listener has no filter chain".to_owned(),
        false => {
            format!("the listener's filter chains are for other connections: {}", list(chains.into_iter()))
        }
    }
}

fn no_route(config: &Config, request: &Request, explanation: &Explanation) -> String {
    let Some(table) = table_of(config, explanation) else {
        return "the route configuration is not there".to_owned();
    };
    let Some(name) = &explanation.virtual_host else {
        let domains = table.virtual_hosts.iter().flat_map(|host| host.domains.iter()).map(|domain| &**domain);
        let nearest = nearest(&request.authority, domains);
        return match nearest.is_empty() {
            true => format!("route configuration `{}` has no virtual host at all", table.name),
            false => format!("no virtual host is for `{}`; there are {nearest}", request.authority),
        };
    };
    let host = table.virtual_hosts.iter().find(|host| *host.name == **name);
    let paths = host.iter().flat_map(|host| host.routes.iter()).map(|route| route.matcher.path().to_string());
    let paths: Vec<String> = paths.collect();
    match paths.is_empty() {
        true => format!("virtual host `{name}` has no route"),
        false => {
            format!("no route of virtual host `{name}` matches; they are for {}", list(paths.into_iter()))
        }
    }
}

/// A table in a listener itself has a name too.
fn table_of<'c>(config: &'c Config, explanation: &Explanation) -> Option<&'c RouteTable> {
    let name = explanation.route_configuration.as_deref()?;
    if let Some(table) = config.route_table(name) {
        return Some(table);
    }
    let listener = config.listener(explanation.listener.as_deref()?)?;
    listener.all_chains().find_map(|chain| match &chain.terminal {
        Terminal::Http(manager) => config.routes_of(manager).filter(|table| *table.name == *name),
        _ => None,
    })
}

/// For destinations that are not there or have nobody behind them.
fn missing(config: &Config, destinations: &[Destination]) -> Option<String> {
    let broken =
        destinations.iter().find(|destination| !destination.exists || destination.endpoints.is_empty())?;
    let name = &broken.cluster;
    if name == "BlackHoleCluster" {
        return Some("nothing in scope has this destination, and only known ones are allowed".to_owned());
    }
    let Some((port, subset, host)) = parts(name) else {
        return Some(format!("the proxy has no cluster `{name}`")).filter(|_| !broken.exists);
    };
    let others = config.clusters.active.values().filter_map(|entry| {
        let cluster = &entry.value;
        let (other_port, other_subset, other_host) = parts(&cluster.name)?;
        let is_usable = !broken.exists || !config.candidates(cluster).is_empty();
        (other_host == host && *cluster.name != **name && is_usable).then(|| {
            let on_port = if other_port == port { String::new() } else { format!(" on port {other_port}") };
            match other_subset {
                "" => format!("the whole Service{on_port}"),
                subset => format!("subset {subset}{on_port}"),
            }
        })
    });
    let others: BTreeSet<String> = others.collect();
    let what = match (broken.exists, subset) {
        (true, "") => format!("no ready pod is behind `{host}` port {port}"),
        (true, _) => format!("no ready pod of `{host}` has the labels of subset {subset}"),
        (false, "") => format!("the proxy knows no `{host}` with port {port}"),
        (false, _) => format!("no DestinationRule gives `{host}` a subset {subset}"),
    };
    Some(match others.is_empty() {
        true => what,
        false => format!("{what}; there is {}", list(others.into_iter())),
    })
}

/// Of `outbound|9080|v1|reviews.default.svc.cluster.local`.
fn parts(cluster: &str) -> Option<(&str, &str, &str)> {
    let mut parts = cluster.strip_prefix("outbound|")?.splitn(3, '|');
    Some((parts.next()?, parts.next()?, parts.next()?))
}

fn no_such_port(resolved: &Resolved) -> Option<String> {
    let ResolvedBy::Object { key, ports } = &resolved.by else { return None };
    let port = resolved.address.port();
    let told = list(ports.iter().map(ToString::to_string));
    (!ports.contains(&port)).then(|| format!("{key} has no port {port}; it has {told}"))
}

/// A name without dots can only be the mesh's.
fn unknown_name(config: &Config, request: &Request, resolved: &Resolved) -> Option<String> {
    let is_unknown = resolved.by == ResolvedBy::Nobody && !request.host.contains('.');
    is_unknown.then(|| {
        format!(
            "no object has the host `{}`, so its name may not resolve; there are {}",
            request.host,
            hosts(config, request)
        )
    })
}

/// Hosts of clusters that resemble the request's.
fn hosts(config: &Config, request: &Request) -> String {
    let clusters = config.clusters.active.values();
    let hosts: BTreeSet<&str> =
        clusters.filter_map(|entry| parts(&entry.value.name)).map(|(_, _, host)| host).collect();
    nearest(&request.host, hosts.into_iter())
}

/// The names that resemble `wanted` most, those first.
fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> String {
    let first = |name: &str| name.split(['.', ':']).next().unwrap_or_default().to_owned();
    let mut names: Vec<&str> = names.collect::<BTreeSet<_>>().into_iter().collect();
    names.sort_by_key(|name| (distance(&first(wanted), &first(name)), name.len()));
    list(names.into_iter().map(str::to_owned))
}

/// How many letters must be put in, left out or changed.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (number, wanted) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *wanted);
            diagonal = row[number + 1];
            row[number + 1] = changed.min(row[number] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

fn list(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    let mut text = names.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > NAMES {
        text.push_str(&format!(" and {} more", names.len() - NAMES));
    }
    text
}

#[cfg(test)]
mod tests;
