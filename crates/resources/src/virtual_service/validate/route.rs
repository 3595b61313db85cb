//! Rules for HTTP, TLS and TCP rules and their destinations.

use crate::host;
use crate::path::Trail;
use crate::problem::Code;
use crate::validate::Checker;
use crate::virtual_service::{Destination, HttpRoute, RouteDestination, TcpRoute, TlsRoute, VirtualService};

use super::{action, matching};

/// Checks an HTTP rule.
pub(super) fn http(rule: &HttpRoute, in_delegate: bool, at: &Trail<'_>, check: &mut Checker<'_>) {
    choice(rule, in_delegate, at, check);
    for (index, matched) in rule.matches.iter().enumerate() {
        matching::http(matched, &at.key("match").index(index), check);
    }
    let route_at = at.key("route");
    for (index, target) in rule.route.iter().enumerate() {
        let at = route_at.index(index);
        check.headers(&at.key("headers"), target.headers.as_ref());
        destination(&target.destination, &at.key("destination"), check);
    }
    total_weight(rule.route.iter().map(|target| target.weight), &route_at, check);
    action::validate(rule, at, check);
}

/// A rule does one thing: forward, redirect, answer, or delegate.
fn choice(rule: &HttpRoute, in_delegate: bool, at: &Trail<'_>, check: &mut Checker<'_>) {
    if rule.delegate.is_some() && in_delegate {
        check.note(&at.key("delegate"), Code::NestedDelegate, "a delegate cannot delegate further");
    }
    let actions = [
        ("route", !rule.route.is_empty()),
        ("redirect", rule.redirect.is_some()),
        ("directResponse", rule.direct_response.is_some()),
        ("delegate", rule.delegate.is_some()),
    ];
    let set: Vec<&str> = actions.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
    match set.as_slice() {
        [] => {
            check
                .note(
                    at,
                    Code::RouteWithoutAction,
                    "this rule does nothing with the requests that it matches",
                )
                .help("set `route`, `redirect`, `directResponse` or `delegate`");
        }
        [_] => {}
        [first, others @ ..] => {
            let others = others.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ");
            let message = format!("a rule has either `{first}` or {others}, not both");
            check.note(&at.key(set[set.len() - 1]), Code::RouteConflict, message);
        }
    }
    let answers = if rule.redirect.is_some() { "redirect" } else { "directResponse" };
    if rule.redirect.is_some() || rule.direct_response.is_some() {
        for (field, set) in [("fault", rule.fault.is_some()), ("rewrite", rule.rewrite.is_some())] {
            if set {
                let message =
                    format!("a rule with `{answers}` forwards nothing, so it cannot have `{field}`");
                check.note(&at.key(field), Code::RouteConflict, message);
            }
        }
    }
    if rule.mirror.is_some() && !rule.mirrors.is_empty() {
        check
            .note(
                &at.key("mirrors"),
                Code::RouteConflict,
                "a rule has either `mirror` or `mirrors`, not both",
            )
            .help("move `mirror` into `mirrors`");
    }
}

/// Checks a TLS rule.
pub(super) fn tls(rule: &TlsRoute, content: &VirtualService, at: &Trail<'_>, check: &mut Checker<'_>) {
    if rule.matches.is_empty() {
        check.required(&at.key("match")).help("a TLS rule is chosen by `sniHosts`");
    }
    for (index, matched) in rule.matches.iter().enumerate() {
        matching::tls(matched, content, &at.key("match").index(index), check);
    }
    destinations(&rule.route, &at.key("route"), check);
}

/// Checks a TCP rule.
pub(super) fn tcp(rule: &TcpRoute, at: &Trail<'_>, check: &mut Checker<'_>) {
    for (index, matched) in rule.matches.iter().enumerate() {
        matching::l4(matched, &at.key("match").index(index), check);
    }
    destinations(&rule.route, &at.key("route"), check);
}

fn destinations(route: &[RouteDestination], at: &Trail<'_>, check: &mut Checker<'_>) {
    if route.is_empty() {
        check.required(at);
    }
    for (index, target) in route.iter().enumerate() {
        destination(&target.destination, &at.index(index).key("destination"), check);
    }
    total_weight(route.iter().map(|target| target.weight), at, check);
}

/// Checks where traffic is sent.
pub(crate) fn destination(destination: &Destination, at: &Trail<'_>, check: &mut Checker<'_>) {
    let host_at = at.key("host");
    if destination.host == "*" {
        check.note(&host_at, Code::InvalidHost, "traffic cannot be sent to `*`").help("name a service");
    } else {
        check.wildcard_host(&host_at, &destination.host);
    }
    if !destination.subset.is_empty() && !host::is_label(&destination.subset) {
        let message = format!("`{}` is not a valid name for a subset", destination.subset);
        check
            .note(&at.key("subset"), Code::InvalidSubsetName, message)
            .help("letters, digits and `-`, at most 63");
    }
    if let Some(port) = destination.port {
        check.port(&at.key("port").key("number"), port);
    }
}

/// With several destinations, some weight must say how traffic is shared.
fn total_weight(weights: impl ExactSizeIterator<Item = u32>, at: &Trail<'_>, check: &mut Checker<'_>) {
    if weights.len() < 2 {
        return;
    }
    let total: u64 = weights.map(u64::from).sum();
    if total == 0 {
        check
            .note(at, Code::TotalWeight, "no destination has a weight, so no traffic would go anywhere")
            .help("give each destination a `weight`; they need not add up to 100");
    } else if total > u64::from(u32::MAX) {
        let message = format!("the weights add up to {total}, but at most {} is possible", u32::MAX);
        check.note(at, Code::TotalWeight, message).help("use smaller numbers; only their ratio matters");
    }
}
