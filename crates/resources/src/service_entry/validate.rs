//! Rules for a ServiceEntry.

use std::collections::BTreeSet;

use super::{Resolution, ServiceEntry, WorkloadEntry};
use crate::field::Protocol;
use crate::host;
use crate::path::Trail;
use crate::problem::Code;
use crate::validate::Checker;
use crate::validate::value::{NobodyAllowed, as_socket, is_address};

/// Checks a ServiceEntry.
pub(crate) fn validate(content: &ServiceEntry, at: &Trail<'_>, check: &mut Checker<'_>) {
    if let Some(selector) = &content.workload_selector {
        check.workload_selector(&at.key("workloadSelector").key("labels"), &selector.labels);
        if !content.endpoints.is_empty() {
            let message = "endpoints are either listed or selected, not both";
            check
                .note(&at.key("workloadSelector"), Code::EndpointConflict, message)
                .help("remove one of the two");
        }
    }
    hosts(content, &at.key("hosts"), check);
    addresses(content, &at.key("addresses"), check);
    ports(content, &at.key("ports"), check);
    match content.resolution {
        Resolution::None => unresolved(content, at, check),
        Resolution::Static => endpoints(content, &at.key("endpoints"), check),
        Resolution::Dns | Resolution::DnsRoundRobin => by_dns(content, at, check),
        Resolution::DynamicDns => by_request(content, at, check),
    }
    several_hosts(content, at, check);
    check.export_to(&at.key("exportTo"), &content.export_to, NobodyAllowed::Yes);
}

fn hosts(content: &ServiceEntry, at: &Trail<'_>, check: &mut Checker<'_>) {
    if content.hosts.is_empty() {
        check.required(at);
    }
    for (index, name) in content.hosts.iter().enumerate() {
        let at = at.index(index);
        if name == "*" {
            check.note(&at, Code::InvalidHost, "the host `*` would stand for every host there is");
        } else if check.wildcard_host(&at, name) && content.resolution != Resolution::DynamicDns {
            check.no_partial_wildcard(&at, name, Code::PartialWildcard);
        }
    }
}

fn addresses(content: &ServiceEntry, at: &Trail<'_>, check: &mut Checker<'_>) {
    let ranges_allowed = matches!(content.resolution, Resolution::None | Resolution::Static);
    for (index, address) in content.addresses.iter().enumerate() {
        check.subnet(&at.index(index), address);
        if address.contains('/') && !ranges_allowed {
            let message =
                format!("the range `{address}` is possible with `resolution: NONE` or `STATIC` only");
            check.note(&at.index(index), Code::AddressConflict, message);
        }
    }
}

fn ports(content: &ServiceEntry, at: &Trail<'_>, check: &mut Checker<'_>) {
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for (index, port) in content.ports.iter().enumerate() {
        let at = at.index(index);
        check.port_name(&at.key("name"), &port.name);
        check.port(&at.key("number"), port.number);
        if !port.protocol.is_empty() {
            check.protocol(&at.key("protocol"), &port.protocol);
        }
        if !port.name.is_empty() && !names.insert(port.name.as_str()) {
            check.note(
                &at.key("name"),
                Code::Duplicate,
                format!("another port has the name `{}`", port.name),
            );
        }
        if !numbers.insert(port.number) {
            check.note(
                &at.key("number"),
                Code::Duplicate,
                format!("another port has the number {}", port.number),
            );
        }
    }
}

fn unresolved(content: &ServiceEntry, at: &Trail<'_>, check: &mut Checker<'_>) {
    if !content.endpoints.is_empty() {
        let message = "with `resolution: NONE` traffic goes to the address that the client asked for";
        check
            .note(&at.key("endpoints"), Code::EndpointConflict, message)
            .help("write `resolution: STATIC` or `DNS` to use the endpoints");
    }
    if content.workload_selector.is_some() {
        let message = "with `resolution: NONE` the selected workloads are not used";
        check.note(&at.key("workloadSelector"), Code::NoEffect, message).help("write `resolution: STATIC`");
    }
}

fn endpoints(content: &ServiceEntry, at: &Trail<'_>, check: &mut Checker<'_>) {
    for (index, entry) in content.endpoints.iter().enumerate() {
        let at = at.index(index);
        let address_at = at.key("address");
        match as_socket(&entry.address) {
            Some(path) => {
                check.socket(&address_at, path);
                if !entry.ports.is_empty() {
                    check.note(&at.key("ports"), Code::SocketWithPort, "a socket has no ports");
                }
                if content.ports.len() != 1 {
                    let message =
                        format!("a service with a socket has one port, but this has {}", content.ports.len());
                    check.note(&address_at, Code::SocketWithPort, message);
                }
            }
            None if entry.address.is_empty() => missing_address(entry, &address_at, check),
            None if !is_address(&entry.address) => {
                let message = format!("`{}` is not an IP address", entry.address);
                check
                    .note(&address_at, Code::InvalidAddress, message)
                    .help("write `resolution: DNS` to have names resolved");
            }
            None => {}
        }
        endpoint_ports(content, entry, &at, check);
    }
}

fn missing_address(entry: &WorkloadEntry, at: &Trail<'_>, check: &mut Checker<'_>) {
    if entry.network.is_empty() {
        check.required(at);
    } else {
        let message =
            format!("the endpoint has no address: the gateway of network `{}` is used", entry.network);
        check.note(at, Code::EndpointWithoutAddress, message);
    }
}

fn endpoint_ports(content: &ServiceEntry, entry: &WorkloadEntry, at: &Trail<'_>, check: &mut Checker<'_>) {
    let ports_at = at.key("ports");
    for (name, number) in &entry.ports {
        let at = ports_at.key(name);
        check.port(&at, *number);
        if !content.ports.iter().any(|port| port.name == *name) {
            check
                .note(&at, Code::UnknownPort, format!("the service has no port with the name `{name}`"))
                .help("use the names in `ports` of the ServiceEntry");
        }
    }
    check.labels(&at.key("labels"), &entry.labels);
}

fn by_dns(content: &ServiceEntry, at: &Trail<'_>, check: &mut Checker<'_>) {
    if content.endpoints.is_empty() {
        for (index, name) in content.hosts.iter().enumerate().filter(|(_, name)| name.contains('*')) {
            let message = format!("the host `{name}` cannot be resolved: it has a wildcard");
            check
                .note(&at.key("hosts").index(index), Code::WildcardResolution, message)
                .help("list `endpoints`, or write `resolution: NONE`");
        }
    }
    if content.resolution == Resolution::DnsRoundRobin && content.endpoints.len() > 1 {
        let message = "with `resolution: DNS_ROUND_ROBIN` there is at most one endpoint";
        check.note(&at.key("endpoints"), Code::EndpointConflict, message).help("write `resolution: DNS`");
    }
    let endpoints_at = at.key("endpoints");
    for (index, entry) in content.endpoints.iter().enumerate() {
        let at = endpoints_at.index(index);
        if !is_address(&entry.address) {
            check.host(&at.key("address"), &entry.address);
        }
        endpoint_ports(content, entry, &at, check);
    }
    let opaque = content.ports.iter().any(|port| protocol(&port.protocol).is_some_and(Protocol::is_tcp));
    if !content.addresses.is_empty() && content.hosts.len() > 1 && opaque {
        let message = "several hosts share these addresses, and on a TCP port they cannot be told apart";
        check.note(&at.key("addresses"), Code::SharedAddress, message).help("make one ServiceEntry per host");
    }
}

fn by_request(content: &ServiceEntry, at: &Trail<'_>, check: &mut Checker<'_>) {
    for (index, name) in content.hosts.iter().enumerate().filter(|(_, name)| !host::is_wildcard(name)) {
        let message =
            format!("with `resolution: DYNAMIC_DNS` a host begins with a wildcard, unlike `{name}`");
        check
            .note(&at.key("hosts").index(index), Code::WildcardResolution, message)
            .help("write `resolution: DNS`");
    }
    for (field, set) in
        [("addresses", !content.addresses.is_empty()), ("endpoints", !content.endpoints.is_empty())]
    {
        if set {
            let message = format!(
                "with `resolution: DYNAMIC_DNS` the name of each request is resolved, so there are no `{field}`"
            );
            check.note(&at.key(field), Code::EndpointConflict, message).help("remove it");
        }
    }
    let ports_at = at.key("ports");
    for (index, port) in content.ports.iter().enumerate() {
        let named = [Protocol::Http, Protocol::Tls, Protocol::Grpc, Protocol::Http2];
        if !protocol(&port.protocol).is_some_and(|protocol| named.contains(&protocol)) {
            let message = "with `resolution: DYNAMIC_DNS` the protocol must tell the name of the host";
            check
                .note(&ports_at.index(index).key("protocol"), Code::WildcardResolution, message)
                .help("one of HTTP, HTTP2, GRPC, TLS");
        }
    }
}

/// Several hosts on one port are told apart by the name in the request or handshake.
fn several_hosts(content: &ServiceEntry, at: &Trail<'_>, check: &mut Checker<'_>) {
    if content.resolution == Resolution::None || content.hosts.len() < 2 {
        return;
    }
    let ports_at = at.key("ports");
    for (index, port) in content.ports.iter().enumerate() {
        if !protocol(&port.protocol).is_some_and(|protocol| protocol.is_http() || protocol.is_tls()) {
            let message = "several hosts cannot be told apart on a port that is neither HTTP nor TLS";
            check
                .note(&ports_at.index(index).key("protocol"), Code::SharedPort, message)
                .help("make one ServiceEntry per host");
        }
    }
}

fn protocol(name: &str) -> Option<Protocol> {
    Protocol::parse(name)
}
