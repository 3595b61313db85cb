//! What fuzzers and tests throw at the compiler: any bytes at all.

use std::net::SocketAddr;

use prost::Message;

use crate::balance::{Balancer, Hosts, Query};
use crate::compile::{Changes, compile as apply};
use crate::config::Config;
use crate::decision::{Outcome, on_connection, on_request};
use crate::filter_chain::{ConnectionInfo, Terminal};
use crate::headers::RequestHead;

/// Decodes the bytes as every kind of resource, compiles what decodes, and
/// asks the result about connections and requests. Nothing may panic.
pub fn compile(data: &[u8]) {
    let changes = Changes {
        listeners: Message::decode(data).into_iter().collect(),
        clusters: Message::decode(data).into_iter().collect(),
        routes: Message::decode(data).into_iter().collect(),
        endpoints: Message::decode(data).into_iter().collect(),
        ..Changes::default()
    };
    let compiled = apply(&Config::default(), &changes);
    let again = apply(&compiled.config, &changes);
    assert_eq!(again.compiled, 0, "the same messages are not compiled twice");
    ask(&again.config);
}

struct Request<'a> {
    path: &'a str,
    authority: &'a str,
}

impl RequestHead for Request<'_> {
    fn method(&self) -> &str {
        "GET"
    }

    fn path(&self) -> &str {
        self.path
    }

    fn authority(&self) -> &str {
        self.authority
    }

    fn scheme(&self) -> &str {
        "http"
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        name.len().is_multiple_of(2).then_some(self.path.as_bytes()).into_iter()
    }
}

/// Asks a configuration about all its listeners, routes and clusters.
pub fn ask(config: &Config) {
    let addresses = ["127.0.0.1:80", "[::1]:15001", "10.0.0.1:9080"];
    let addresses: Vec<SocketAddr> = addresses.iter().filter_map(|text| text.parse().ok()).collect();
    for entry in config.listeners.active.values().chain(config.listeners.warming.values()) {
        for destination in &addresses {
            let connection = ConnectionInfo {
                destination: *destination,
                source: addresses[0],
                server_name: "a.b.example.com",
                transport_protocol: "raw_buffer",
                application_protocols: &["http/1.1"],
            };
            let _ = on_connection(config, &entry.value, &connection);
        }
        for chain in entry.value.all_chains() {
            if let Terminal::Http(manager) = &chain.terminal {
                for (path, authority) in [("/a/b?c=d", "example.com:80"), ("*", ""), ("/%2f..", "[::1]:x")] {
                    let decision = on_request(config, manager, &Request { path, authority }, 7);
                    if let Outcome::Forward(forwarding) = &decision.outcome
                        && let (Some(rewrite), Some(route)) =
                            (&forwarding.options.path_rewrite, decision.route)
                    {
                        let _ = rewrite.apply(route.matcher.path(), path);
                    }
                    let _ = manager.normalization.apply(path);
                }
            }
        }
    }
    for table in config.routes.values() {
        for authority in ["example.com", "a.example.com:80", ""] {
            if let Some(host) = table.value.virtual_host(authority) {
                let _ = host.route(&Request { path: "/x?y", authority }, 3);
            }
        }
    }
    for entry in config.clusters.active.values() {
        if let Some(endpoints) = config.endpoints_of(&entry.value) {
            let mut balancer = Balancer::new(&entry.value, endpoints, |number| number == 1, 1);
            for random in 0..5 {
                let query = Query { random, hash: Some(random), repeats: 2, ..Query::default() };
                let _ = balancer.pick(&query, &Idle, |number| number == 0);
            }
        }
    }
}

/// Hosts that serve nothing and have always been there.
struct Idle;

impl Hosts for Idle {
    fn active(&self, _: u32) -> u32 {
        0
    }

    fn total_active(&self) -> u32 {
        0
    }

    fn age(&self, _: u32) -> std::time::Duration {
        std::time::Duration::MAX
    }
}

#[cfg(test)]
mod tests;
