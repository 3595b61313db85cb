//! Rules for conditions.

use std::collections::BTreeMap;

use crate::host;
use crate::path::Trail;
use crate::problem::Code;
use crate::validate::Checker;
use crate::validate::value::is_address;
use crate::virtual_service::{
    HttpMatchRequest, L4MatchAttributes, StringMatch, TlsMatchAttributes, VirtualService,
};

use super::{gateway_names, is_cluster_name, is_for_gateways_only};

/// Checks conditions on a request.
pub(super) fn http(matched: &HttpMatchRequest, at: &Trail<'_>, check: &mut Checker<'_>) {
    let headers_at = at.key("headers");
    for (name, condition) in &matched.headers {
        check.matched_header(&headers_at.key(name), name);
        string(condition, &headers_at.key(name), check);
    }
    let without_at = at.key("withoutHeaders");
    for (name, condition) in &matched.without_headers {
        check.matched_header(&without_at.key(name), name);
        // `*` is no expression, but Istio takes it for "is there".
        if *condition != StringMatch::Regex("*".to_owned()) {
            string(condition, &without_at.key(name), check);
        }
    }
    if let Some(StringMatch::Regex(pattern)) = &matched.uri {
        check.regex(&at.key("uri").key("regex"), pattern);
    }
    let conditions =
        [("scheme", &matched.scheme), ("method", &matched.method), ("authority", &matched.authority)];
    for (field, condition) in conditions {
        if let Some(condition) = condition {
            string(condition, &at.key(field), check);
        }
    }
    let query_at = at.key("queryParams");
    for (name, condition) in &matched.query_params {
        string(condition, &query_at.key(name), check);
    }
    callers(&matched.source_labels, &matched.gateways, &matched.source_namespace, at, check);
}

/// Checks conditions on a TCP connection.
pub(super) fn l4(matched: &L4MatchAttributes, at: &Trail<'_>, check: &mut Checker<'_>) {
    subnets(&matched.destination_subnets, &at.key("destinationSubnets"), check);
    if !matched.source_subnet.is_empty() {
        check.subnet(&at.key("sourceSubnet"), &matched.source_subnet);
    }
    callers(&matched.source_labels, &matched.gateways, &matched.source_namespace, at, check);
}

/// Checks conditions on a TLS connection.
pub(super) fn tls(
    matched: &TlsMatchAttributes,
    content: &VirtualService,
    at: &Trail<'_>,
    check: &mut Checker<'_>,
) {
    let sni_at = at.key("sniHosts");
    if matched.sni_hosts.is_empty() {
        check.required(&sni_at);
    }
    for (index, name) in matched.sni_hosts.iter().enumerate() {
        sni(name, content, &sni_at.index(index), check);
    }
    subnets(&matched.destination_subnets, &at.key("destinationSubnets"), check);
    callers(&matched.source_labels, &matched.gateways, &matched.source_namespace, at, check);
}

fn sni(name: &str, content: &VirtualService, at: &Trail<'_>, check: &mut Checker<'_>) {
    if is_address(name) {
        let message = format!("`{name}` is an address, which clients do not send as server name");
        check.note(at, Code::SniAddress, message);
        return;
    }
    let internal = is_for_gateways_only(content) && is_cluster_name(name);
    if !internal && !check.wildcard_host(at, name) {
        return;
    }
    if !content.hosts.iter().any(|wide| host::covers(wide, name)) {
        let message = format!("the server name `{name}` is none of the hosts of this VirtualService");
        check
            .note(at, Code::SniNotInHosts, message)
            .help(format!("add it to `hosts` ({})", content.hosts.join(", ")));
    }
}

fn subnets(subnets: &[String], at: &Trail<'_>, check: &mut Checker<'_>) {
    for (index, subnet) in subnets.iter().enumerate() {
        check.subnet(&at.index(index), subnet);
    }
}

/// Conditions on who calls.
fn callers(
    labels: &BTreeMap<String, String>,
    gateways: &[String],
    namespace: &str,
    at: &Trail<'_>,
    check: &mut Checker<'_>,
) {
    check.labels(&at.key("sourceLabels"), labels);
    gateway_names(gateways, &at.key("gateways"), check);
    if !namespace.is_empty() && !host::is_label(namespace) {
        let message = format!("`{namespace}` is not a valid namespace");
        check.note(&at.key("sourceNamespace"), Code::InvalidName, message);
    }
}

/// A condition on a string, where an empty prefix is not possible.
fn string(condition: &StringMatch, at: &Trail<'_>, check: &mut Checker<'_>) {
    match condition {
        StringMatch::Prefix(prefix) if prefix.is_empty() => {
            check
                .note(&at.key("prefix"), Code::EmptyPrefix, "an empty prefix matches nothing")
                .help("write `{}` for any value");
        }
        StringMatch::Regex(pattern) => check.regex(&at.key("regex"), pattern),
        _ => {}
    }
}
