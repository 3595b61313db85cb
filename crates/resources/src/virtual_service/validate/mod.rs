//! Rules for a VirtualService.

mod action;
mod matching;
mod reach;
mod route;

pub(crate) use route::destination;

use std::collections::BTreeSet;

use super::{MESH_GATEWAY, VirtualService};
use crate::host;
use crate::path::Trail;
use crate::problem::Code;
use crate::validate::value::{NobodyAllowed, is_address};
use crate::validate::{Checker, header};

/// Checks a VirtualService.
pub(crate) fn validate(content: &VirtualService, at: &Trail<'_>, check: &mut Checker<'_>) {
    if content.hosts.is_empty() {
        delegate(content, at, check);
    }
    gateway_names(&content.gateways, &at.key("gateways"), check);
    hosts(content, &at.key("hosts"), check);
    claims(content, at, check);
    if content.http.is_empty() && content.tls.is_empty() && content.tcp.is_empty() {
        check.note(at, Code::NoRoutes, "there are no routes: `http`, `tls` or `tcp` must be set");
    }
    let http_at = at.key("http");
    for (index, rule) in content.http.iter().enumerate() {
        route::http(rule, content.hosts.is_empty(), &http_at.index(index), check);
    }
    let tls_at = at.key("tls");
    for (index, rule) in content.tls.iter().enumerate() {
        route::tls(rule, content, &tls_at.index(index), check);
    }
    let tcp_at = at.key("tcp");
    for (index, rule) in content.tcp.iter().enumerate() {
        route::tcp(rule, &tcp_at.index(index), check);
    }
    reach::validate(content, at, check);
    check.export_to(&at.key("exportTo"), &content.export_to, NobodyAllowed::No);
}

/// Without hosts the object is a delegate, which only has HTTP rules.
fn delegate(content: &VirtualService, at: &Trail<'_>, check: &mut Checker<'_>) {
    let forbidden = [
        ("gateways", content.gateways.is_empty()),
        ("tls", content.tls.is_empty()),
        ("tcp", content.tcp.is_empty()),
    ];
    for (field, empty) in forbidden {
        if !empty {
            let message = format!("a VirtualService without `hosts` is a delegate, which has no `{field}`");
            check.note(&at.key(field), Code::InvalidDelegate, message).help("add `hosts`, or remove it");
        }
    }
}

/// Whether no sidecar applies the rules, but gateways do.
fn is_for_gateways_only(content: &VirtualService) -> bool {
    !content.applies_to_mesh()
}

/// Names of gateways, `name` or `namespace/name`.
fn gateway_names(names: &[String], at: &Trail<'_>, check: &mut Checker<'_>) {
    for (index, name) in names.iter().enumerate() {
        let at = at.index(index);
        match name.split_once('/') {
            Some((namespace, gateway)) => {
                if !host::is_label(namespace) || !host::is_label(gateway) {
                    check
                        .note(&at, Code::InvalidGatewayName, format!("`{name}` is not the name of a gateway"))
                        .help("write `name` or `namespace/name`");
                }
            }
            None if name == MESH_GATEWAY => {}
            None => {
                if let Some((gateway, rest)) = name.split_once('.') {
                    let namespace = rest.split('.').next().unwrap_or(rest);
                    check
                        .note(
                            &at,
                            Code::LegacyGatewayName,
                            format!("`{name}` is the old way to name a gateway"),
                        )
                        .help(format!("write `{namespace}/{gateway}`"));
                }
                check.host(&at, name);
            }
        }
    }
}

fn hosts(content: &VirtualService, at: &Trail<'_>, check: &mut Checker<'_>) {
    let mut all_hold = true;
    let internal_names = is_for_gateways_only(content) && has_sni(content);
    for (index, name) in content.hosts.iter().enumerate() {
        let at = at.index(index);
        if is_address(name) || (internal_names && is_cluster_name(name)) {
            continue;
        }
        if !check.wildcard_host(&at, name) {
            all_hold = false;
        } else if name == "*" && content.applies_to_mesh() {
            all_hold = false;
            check
                .note(&at, Code::WildcardHostOnMesh, "the host `*` would catch all traffic of every sidecar")
                .help("name the hosts, or set `gateways` without `mesh`");
        }
    }
    if all_hold {
        overlapping_hosts(&content.hosts, at, check);
    }
}

/// Names that gateways between networks use for SNI: `outbound_.80_._.reviews.default.svc.cluster.local`.
fn is_cluster_name(name: &str) -> bool {
    name.starts_with("outbound_.") && name.matches('_').count() >= 3
}

fn has_sni(content: &VirtualService) -> bool {
    content.tls.iter().flat_map(|rule| &rule.matches).any(|matched| !matched.sni_hosts.is_empty())
}

fn overlapping_hosts(hosts: &[String], at: &Trail<'_>, check: &mut Checker<'_>) {
    let mut seen = SeenHosts::default();
    for (index, name) in hosts.iter().enumerate() {
        if let Some(earlier) = seen.overlapping(name) {
            let message = format!("the hosts `{earlier}` and `{name}` overlap");
            check.note(&at.index(index), Code::OverlappingHosts, message).help("keep the wider one");
        }
        seen.add(name);
    }
}

/// Hosts so far, kept backwards: a wildcard covers the names that begin, backwards, with what follows its `*`.
#[derive(Default)]
struct SeenHosts {
    backwards: BTreeSet<String>,
    wildcards: BTreeSet<String>,
}

impl SeenHosts {
    fn add(&mut self, name: &str) {
        if host::is_wildcard(name) {
            self.wildcards.insert(name[1..].to_owned());
        }
        self.backwards.insert(name.chars().rev().collect());
    }

    /// A host so far that has names in common with this one.
    fn overlapping(&self, name: &str) -> Option<String> {
        let ends = name.char_indices().map(|(at, _)| &name[at..]).chain([""]);
        if let Some(end) = ends
            .into_iter()
            .find(|end| self.wildcards.contains(*end) && host::covers(&format!("*{end}"), name))
        {
            return Some(format!("*{end}"));
        }
        let suffix: String = name.strip_prefix('*').unwrap_or(name).chars().rev().collect();
        let next = self.backwards.range(suffix.clone()..).next()?;
        let covered = if host::is_wildcard(name) { next.starts_with(&suffix) } else { *next == suffix };
        covered.then(|| next.chars().rev().collect())
    }
}

/// Claims of a token are known at gateways only.
fn claims(content: &VirtualService, at: &Trail<'_>, check: &mut Checker<'_>) {
    if is_for_gateways_only(content) {
        return;
    }
    let http_at = at.key("http");
    for (index, rule) in content.http.iter().enumerate() {
        let rule_at = http_at.index(index);
        let matches_at = rule_at.key("match");
        for (index, matched) in rule.matches.iter().enumerate() {
            let match_at = matches_at.index(index);
            for (field, headers) in
                [("headers", &matched.headers), ("withoutHeaders", &matched.without_headers)]
            {
                let field_at = match_at.key(field);
                for name in headers.keys().filter(|name| header::is_claim(name)) {
                    let message = format!("`{name}` can be matched at gateways only, not in sidecars");
                    check
                        .note(&field_at.key(name), Code::ClaimWithoutGateway, message)
                        .help("set `gateways`");
                }
            }
        }
    }
}
