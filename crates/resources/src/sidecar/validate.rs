//! Rules for a Sidecar.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    CaptureMode, EgressListener, IngressListener, OutboundTrafficMode, OutboundTrafficPolicy, Sidecar,
    SidecarPort,
};
use crate::destination_rule;
use crate::field::Protocol;
use crate::gateway::{self, ServerTlsMode, ServerTlsSettings};
use crate::host;
use crate::path::Trail;
use crate::problem::Code;
use crate::validate::Checker;
use crate::validate::value::as_socket;
use crate::virtual_service;

/// Checks a Sidecar.
pub(crate) fn validate(content: &Sidecar, at: &Trail<'_>, check: &mut Checker<'_>) {
    if let Some(selector) = &content.workload_selector {
        check.workload_selector(&at.key("workloadSelector").key("labels"), &selector.labels);
    }
    let empty = Sidecar { workload_selector: content.workload_selector.clone(), ..Sidecar::default() };
    if *content == empty {
        check
            .note(at, Code::EmptySidecar, "a Sidecar that says nothing")
            .help("set `egress`, `ingress`, `outboundTrafficPolicy` or `inboundConnectionPool`");
    }
    let ingress_at = at.key("ingress");
    let mut ports = BTreeSet::new();
    for (index, listener) in content.ingress.iter().enumerate() {
        ingress(listener, &mut ports, &ingress_at.index(index), check);
    }
    if let Some(pool) = &content.inbound_connection_pool {
        destination_rule::validate::connection_pool::validate(pool, &at.key("inboundConnectionPool"), check);
    }
    let egress_at = at.key("egress");
    let (mut ports, mut sockets) = (BTreeSet::new(), BTreeSet::new());
    for (index, listener) in content.egress.iter().enumerate() {
        let at = egress_at.index(index);
        if listener.port.is_none() && index + 1 < content.egress.len() {
            let message = "a listener without `port` takes what is left, so it stands last";
            check.note(&at, Code::CatchAllNotLast, message).help("move it to the end, or set `port`");
        }
        egress_port(listener, &mut ports, &mut sockets, &at, check);
        egress_hosts(&listener.hosts, &at.key("hosts"), check);
    }
    if let Some(policy) = &content.outbound_traffic_policy {
        outbound_policy(policy, &at.key("outboundTrafficPolicy"), check);
    }
}

/// What all listeners' ports have in common.
fn port(port: &SidecarPort, at: &Trail<'_>, check: &mut Checker<'_>) {
    if port.target_port > 0 {
        check
            .note(&at.key("targetPort"), Code::TargetPort, "`targetPort` has no meaning in a Sidecar")
            .help("remove it");
    }
    if !port.name.is_empty() {
        check.port_name(&at.key("name"), &port.name);
    }
    if !port.protocol.is_empty() {
        check.protocol(&at.key("protocol"), &port.protocol);
    }
}

fn unique_port(ports: &mut BTreeSet<u16>, number: u16, at: &Trail<'_>, check: &mut Checker<'_>) {
    if number != 0 && !ports.insert(number) {
        check.note(&at.key("number"), Code::Duplicate, format!("another listener has the port {number}"));
    }
}

fn ingress(listener: &IngressListener, ports: &mut BTreeSet<u16>, at: &Trail<'_>, check: &mut Checker<'_>) {
    let port_at = at.key("port");
    let Some(listener_port) = &listener.port else {
        check.required(&port_at);
        return;
    };
    port(listener_port, &port_at, check);
    check.port(&port_at.key("number"), listener_port.number);
    unique_port(ports, listener_port.number, &port_at, check);
    if !listener.bind.is_empty() {
        check.address(&at.key("bind"), &listener.bind);
    }
    default_endpoint(&listener.default_endpoint, &at.key("defaultEndpoint"), check);
    let protocol = Protocol::parse(&listener_port.protocol);
    if let Some(settings) = &listener.tls {
        tls(settings, protocol, &at.key("tls"), check);
    }
    if let Some(pool) = &listener.connection_pool {
        let at = at.key("connectionPool");
        destination_rule::validate::connection_pool::validate(pool, &at, check);
        if pool.http.is_some() && !protocol.is_some_and(Protocol::is_http) {
            let message = format!(
                "the port's protocol is not HTTP (`{}`), so these limits are not used",
                listener_port.protocol
            );
            check.note(&at.key("http"), Code::NoEffect, message);
        }
    }
}

/// `127.0.0.1:PORT`, `0.0.0.0:PORT`, their IPv6 forms, or a socket.
fn default_endpoint(endpoint: &str, at: &Trail<'_>, check: &mut Checker<'_>) {
    if endpoint.is_empty() {
        return;
    }
    if let Some(path) = as_socket(endpoint) {
        check.socket(at, path);
        return;
    }
    let (address, port) = endpoint.rsplit_once(':').unwrap_or((endpoint, ""));
    let local = matches!(address, "" | "127.0.0.1" | "0.0.0.0" | "[::1]" | "[::]");
    if !local || !port.parse::<u16>().is_ok_and(|port| port > 0) {
        check
            .note(at, Code::InvalidDefaultEndpoint, format!("`{endpoint}` is not a place in this workload"))
            .help("write `127.0.0.1:PORT`, `0.0.0.0:PORT`, `[::1]:PORT`, `[::]:PORT` or `unix:///path`");
    }
}

fn tls(settings: &ServerTlsSettings, protocol: Option<Protocol>, at: &Trail<'_>, check: &mut Checker<'_>) {
    let unsupported = [
        ("subjectAltNames", !settings.subject_alt_names.is_empty()),
        ("httpsRedirect", settings.https_redirect),
        ("credentialName", !settings.credential_name.is_empty()),
        ("credentialNames", !settings.credential_names.is_empty()),
        ("tlsCertificates", !settings.tls_certificates.is_empty()),
    ];
    for (field, _) in unsupported.iter().filter(|(_, set)| *set) {
        check.note(&at.key(field), Code::Unsupported, format!("`{field}` is not supported in a Sidecar"));
    }
    if matches!(settings.mode, ServerTlsMode::IstioMutual | ServerTlsMode::AutoPassthrough) {
        check
            .note(&at.key("mode"), Code::Unsupported, "this mode is not supported in a Sidecar")
            .help("SIMPLE or MUTUAL");
    }
    if !protocol.is_some_and(Protocol::is_tls) {
        let message = "the port's protocol is not encrypted, so the listener cannot have `tls`";
        check.note(at, Code::TlsOnPlainPort, message).help("write `protocol: HTTPS` or `TLS`");
    }
    gateway::validate::tls(settings, at, check);
}

fn egress_port(
    listener: &EgressListener,
    ports: &mut BTreeSet<u16>,
    sockets: &mut BTreeSet<String>,
    at: &Trail<'_>,
    check: &mut Checker<'_>,
) {
    let Some(listener_port) = &listener.port else { return };
    let (port_at, bind_at) = (at.key("port"), at.key("bind"));
    port(listener_port, &port_at, check);
    unique_port(ports, listener_port.number, &port_at, check);
    match (listener_port.number, as_socket(&listener.bind)) {
        (0, Some(path)) => {
            check.socket(&bind_at, path);
            if !sockets.insert(listener.bind.clone()) {
                check.note(
                    &bind_at,
                    Code::Duplicate,
                    format!("another listener has the socket `{}`", listener.bind),
                );
            }
            if listener.capture_mode == CaptureMode::Iptables {
                let message = "connections to a socket cannot be captured";
                check.note(&at.key("captureMode"), Code::SocketWithPort, message).help("DEFAULT or NONE");
            }
        }
        (0, None) => {
            let message = "a listener with port 0 is on a socket, but `bind` names none";
            check
                .note(&port_at.key("number"), Code::SocketWithPort, message)
                .help("write `bind: unix:///path`, or a port");
        }
        _ if listener.bind.is_empty() => {}
        _ => check.address(&bind_at, &listener.bind),
    }
}

/// `namespace/host`: the namespace is a name, `*`, `.` or `~`.
fn egress_hosts(hosts: &[String], at: &Trail<'_>, check: &mut Checker<'_>) {
    if hosts.is_empty() {
        check.required(at).help("write `hosts: [\"./*\"]` for this namespace, or `[\"*/*\"]` for all");
    }
    let own = check.key.namespace.clone();
    let mut seen: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (index, text) in hosts.iter().enumerate() {
        let at = at.index(index);
        let Some((namespace, name)) = text.split_once('/') else {
            check
                .note(&at, Code::InvalidEgressHost, format!("`{text}` has no namespace"))
                .help(format!("write `*/{text}`, `./{text}` or `NAMESPACE/{text}`"));
            continue;
        };
        egress_host(namespace, name, &at, check);
        if !namespace.starts_with('~') {
            let namespace = if namespace == "." { own.clone() } else { namespace.to_owned() };
            let names = seen.entry(namespace).or_default();
            let duplicate = names.contains("*") || names.contains(name) || (name == "*" && !names.is_empty());
            if duplicate {
                check.note(&at, Code::DuplicateEgressHost, format!("`{text}` is included in another entry"));
            }
            names.insert(name);
        }
    }
    if seen.get("*").is_some_and(|names| names.contains("*")) && seen.len() > 1 {
        check
            .note(at, Code::DuplicateEgressHost, "`*/*` includes every other entry")
            .help("remove the others");
    }
}

fn egress_host(namespace: &str, name: &str, at: &Trail<'_>, check: &mut Checker<'_>) {
    let plain = namespace.strip_prefix('~').unwrap_or(namespace);
    let nobody = namespace == "~";
    if !nobody && !matches!(plain, "*" | ".") && !host::is_label(plain) {
        check
            .note(at, Code::InvalidEgressHost, format!("`{namespace}` is not a valid namespace"))
            .help("a name, `*` for all, `.` for this one, `~` for none");
    }
    if !check.wildcard_host(at, name) {
        return;
    }
    if name != "*" && !name.contains('.') {
        check
            .note(at, Code::InvalidEgressHost, format!("`{name}` is a short name"))
            .help(format!("write the full name, such as `{name}.default.svc.cluster.local`"));
    }
    check.no_partial_wildcard(at, name, Code::InvalidEgressHost);
}

fn outbound_policy(policy: &OutboundTrafficPolicy, at: &Trail<'_>, check: &mut Checker<'_>) {
    if policy.mode == OutboundTrafficMode::AllowAnyDynamicDns {
        let message = "`ALLOW_ANY_DYNAMIC_DNS` can be set for the whole mesh only";
        check.note(&at.key("mode"), Code::Unsupported, message).help("ALLOW_ANY or REGISTRY_ONLY");
        return;
    }
    let Some(proxy) = &policy.egress_proxy else { return };
    let proxy_at = at.key("egressProxy");
    if policy.mode != OutboundTrafficMode::AllowAny {
        let message = "with `mode: REGISTRY_ONLY` unknown traffic goes nowhere, not to a proxy";
        check.note(&proxy_at, Code::EgressProxy, message).help("write `mode: ALLOW_ANY`");
        return;
    }
    virtual_service::validate::destination(proxy, &proxy_at, check);
    if proxy.port.is_none() {
        check.required(&proxy_at.key("port")).help("write `port: {number: 8080}`");
    }
}
