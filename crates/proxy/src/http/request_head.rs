//! What happens to a request's head before a route is looked for: the things
//! that Envoy's connection manager does, in its order.

use std::net::{IpAddr, SocketAddr};

use routing::hcm::{ForwardClientCertificate, StripPort};
use routing::path::Normalized;
use routing::redirect::port_start;
use routing::route_match::is_grpc;

use crate::http::exchange::{Exchange, Tunnel};
use crate::http::local_reply::LocalReply;
use crate::http1::head::Head;
use crate::http1::known::Known;
use crate::tls::forwarded;

/// Headers that only requests from inside may carry.
const INTERNAL_ONLY: [&[u8]; 14] = [
    b"x-envoy-retriable-status-codes",
    b"x-envoy-retriable-header-names",
    b"x-envoy-retry-on",
    b"x-envoy-retry-grpc-on",
    b"x-envoy-max-retries",
    b"x-envoy-upstream-alt-stat-name",
    b"x-envoy-upstream-rq-timeout-ms",
    b"x-envoy-upstream-rq-per-try-timeout-ms",
    b"x-envoy-upstream-rq-timeout-alt-response",
    b"x-envoy-expected-rq-timeout-ms",
    b"x-envoy-force-trace",
    b"x-envoy-ip-tags",
    b"x-envoy-original-url",
    b"x-envoy-hedge-on-per-try-timeout",
];

/// Headers that Envoy makes one line of while it reads.
const ONE_LINE: [Known; 12] = [
    Known::Expect,
    Known::ContentType,
    Known::UserAgent,
    Known::Origin,
    Known::XRequestId,
    Known::XForwardedFor,
    Known::XForwardedHost,
    Known::XForwardedProto,
    Known::XForwardedClientCert,
    Known::XEnvoyInternal,
    Known::XEnvoyOriginalPath,
    Known::XEnvoyDecoratorOperation,
];

/// Makes the head what routes and upstreams shall see, or says how it is
/// refused.
pub fn prepare(exchange: &mut Exchange<'_>) -> Result<(), LocalReply> {
    exchange.request_head_size = exchange.request.byte_size() as u64;
    exchange.request.join_repeated(&ONE_LINE);
    if is_grpc(&exchange.request) {
        exchange.grpc_status = Some(0);
        exchange.body.count_messages();
    }
    take_hop_headers(exchange)?;
    normalize_path(exchange)?;
    normalize_host(exchange);
    find_client(exchange);
    clean(exchange);
    set_request_id(exchange);
    forward_certificate(exchange);
    discover_peer(exchange);
    Ok(())
}

/// Headers about this connection end here; an upgrade that may be made
/// stays.
fn take_hop_headers(exchange: &mut Exchange<'_>) -> Result<(), LocalReply> {
    let request = &mut exchange.request;
    if request.method() == "CONNECT" {
        // What follows the head is no request, whatever becomes of this one.
        exchange.keep_alive = false;
        exchange.tunnel = Some(Tunnel::Forwarded);
    }
    if request.path() == "*" {
        return Err(LocalReply::new(404, "absolute_path_rejected"));
    }
    if !exchange.http.manager.http1.proxy_100_continue && expects_continue(request) {
        request.remove(Known::Expect);
        exchange.expects_continue = !request.is_http_10;
    }
    request.remove(Known::KeepAlive);
    request.remove(Known::ProxyConnection);
    request.remove(Known::TransferEncoding);
    if request.has(Known::Te) {
        let trailers = request.lists(Known::Te, "trailers");
        request.remove(Known::Te);
        if trailers {
            request.set_known(Known::Te, b"trailers");
        }
    }
    if !request.has(Known::Connection) {
        request.remove(Known::Upgrade);
        return Ok(());
    }
    let wanted = request
        .lists(Known::Connection, "upgrade")
        .then(|| request.get(Known::Upgrade).map(|value| String::from_utf8_lossy(value).into_owned()))
        .flatten()
        .filter(|protocol| !protocol.eq_ignore_ascii_case("h2c"));
    remove_nominated(request);
    request.remove(Known::Connection);
    request.remove(Known::Upgrade);
    request.remove(Known::Http2Settings);
    exchange.upgrade = wanted.map(Into::into);
    Ok(())
}

/// Whether the client waits for `100 Continue`. What else it expects, or
/// expects twice, is the server's affair.
fn expects_continue(request: &Head) -> bool {
    request.get(Known::Expect).is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"))
}

/// Removes the headers that `connection` names; those that decide about the
/// request as a whole are not its to name.
fn remove_nominated(request: &mut Head) {
    const KEPT: [&[u8]; 5] =
        [b"host", b"content-length", b"cookie", b"x-forwarded-for", b"x-forwarded-proto"];
    const KNOWN: [&[u8]; 4] = [b"close", b"keep-alive", b"upgrade", b"te"];
    let words = request.values_of(Known::Connection).flat_map(|value| value.split(|byte| *byte == b','));
    let nominated: Vec<Vec<u8>> = words
        .map(|word| word.trim_ascii().to_ascii_lowercase())
        .filter(|word| {
            !word.is_empty() && !KEPT.contains(&word.as_slice()) && !KNOWN.contains(&word.as_slice())
        })
        .collect();
    for name in nominated {
        request.remove_named(&name);
    }
}

fn normalize_path(exchange: &mut Exchange<'_>) -> Result<(), LocalReply> {
    let path = exchange.request.path();
    if exchange.tunnel.is_some() {
        return Ok(());
    }
    if path.contains('#') {
        return Err(LocalReply::new(400, "path_normalization_failed"));
    }
    match exchange.http.manager.normalization.apply(path) {
        Normalized::Same => Ok(()),
        Normalized::Changed(path) => {
            exchange.request.set_path(&path);
            Ok(())
        }
        Normalized::Redirect(path) => {
            Err(LocalReply::new(307, "path_normalization_redirect").with("location", &path))
        }
        Normalized::Refused => Err(LocalReply::new(400, "path_normalization_failed")),
    }
}

fn normalize_host(exchange: &mut Exchange<'_>) {
    let manager = &exchange.http.manager;
    let authority = exchange.request.authority();
    let port = port_start(authority);
    let strip = match (manager.strip_port, port) {
        (StripPort::Keep, _) | (_, None) => false,
        (StripPort::Any, Some(_)) => true,
        (StripPort::Matching, Some(at)) => {
            authority[at + 1..].parse() == Ok(exchange.connection.local.port())
        }
    };
    let host = port.map_or(authority, |at| &authority[..at]);
    let without_dot =
        if manager.strip_trailing_host_dot { host.strip_suffix('.').unwrap_or(host) } else { host };
    let port = if strip { "" } else { &authority[host.len()..] };
    if strip || without_dot.len() != host.len() {
        let authority = format!("{without_dot}{port}");
        exchange.request.set_authority(&authority);
    }
}

/// Who the client is, and what is said about that upstream.
fn find_client(exchange: &mut Exchange<'_>) {
    let peer = exchange.connection.peer;
    let trust = &exchange.http.manager.trust;
    let scheme: &[u8] = if exchange.connection.tls.is_some() { b"https" } else { b"http" };
    let request = &mut exchange.request;
    let had_forwarded_for = request.has(Known::XForwardedFor);
    let mut client = None;
    let single;
    if trust.use_remote_address {
        single = !had_forwarded_for;
        if trust.trusted_hops > 0 {
            client = forwarded_address(request, trust.trusted_hops - 1).map(|(ip, _)| ip);
        }
        if !trust.skip_xff_append {
            let ip = if peer.ip().is_loopback() { exchange.connection.local.ip() } else { peer.ip() };
            append_forwarded_for(request, ip);
        }
        if trust.trusted_hops == 0 || !request.has(Known::XForwardedProto) {
            request.set_known(Known::XForwardedProto, scheme);
        }
        client = client.or(Some(peer.ip()));
    } else {
        let found = forwarded_address(request, trust.trusted_hops);
        single = found.is_some_and(|(_, single)| single);
        client = found.map(|(ip, _)| ip).or(client);
        if !request.has(Known::XForwardedProto) {
            request.set_known(Known::XForwardedProto, scheme);
        }
    }
    exchange.is_internal = single
        && client.is_some_and(|ip| {
            let ranges = trust.internal_ranges.as_deref().unwrap_or_default();
            ranges.iter().any(|range| range.contains(ip))
        });
    exchange.remote = match client {
        Some(ip) if ip != peer.ip() => SocketAddr::new(ip, 0),
        _ => peer,
    };
}

/// The address so many places before the last in `x-forwarded-for`, and
/// whether it is the only one.
fn forwarded_address(request: &Head, from_last: u32) -> Option<(IpAddr, bool)> {
    let mut addresses: Vec<&[u8]> = Vec::new();
    for value in request.values_of(Known::XForwardedFor) {
        addresses.extend(value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii));
    }
    let at = addresses.len().checked_sub(1 + usize::try_from(from_last).ok()?)?;
    let text = std::str::from_utf8(addresses[at]).ok()?;
    Some((text.parse().ok()?, addresses.len() == 1))
}

fn append_forwarded_for(request: &mut Head, ip: IpAddr) {
    let mut value: Vec<u8> = Vec::new();
    for present in request.values_of(Known::XForwardedFor) {
        value.extend_from_slice(present);
        value.push(b',');
    }
    value.extend_from_slice(ip.to_string().as_bytes());
    request.set_known(Known::XForwardedFor, &value);
}

/// Outsiders may not use the headers by which insiders steer Envoy.
fn clean(exchange: &mut Exchange<'_>) {
    let is_edge = exchange.http.manager.trust.use_remote_address && !exchange.is_internal;
    let request = &mut exchange.request;
    request.remove(Known::XEnvoyInternal);
    if exchange.is_internal {
        request.set_known(Known::XEnvoyInternal, b"true");
        return;
    }
    if is_edge {
        request.set(b"x-envoy-external-address", exchange.remote.ip().to_string().as_bytes());
    }
    let is_suspect = |name: &[u8]| name.len() > 8 && name[..8].eq_ignore_ascii_case(b"x-envoy-");
    if !request.iter().any(|(name, _)| is_suspect(name)) {
        return;
    }
    if is_edge {
        request.remove(Known::XEnvoyDecoratorOperation);
        request.remove(Known::XEnvoyOriginalPath);
        request.remove_where(|name| {
            name.eq_ignore_ascii_case(b"x-envoy-downstream-service-cluster")
                || name.eq_ignore_ascii_case(b"x-envoy-downstream-service-node")
                || name.eq_ignore_ascii_case(b"x-envoy-original-host")
        });
    }
    request.remove_where(|name| {
        is_suspect(name) && INTERNAL_ONLY.iter().any(|internal| name.eq_ignore_ascii_case(internal))
    });
}

fn set_request_id(exchange: &mut Exchange<'_>) {
    let manager = &exchange.http.manager;
    if !manager.generate_request_id {
        return;
    }
    let is_edge = manager.trust.use_remote_address && !exchange.is_internal;
    let keeps = exchange.request.has(Known::XRequestId) && (!is_edge || manager.preserve_external_request_id);
    if !keeps {
        let id = uuid(fastrand::u128(..));
        exchange.request.set_known(Known::XRequestId, &id);
    }
}

/// A random UUID of version 4.
fn uuid(random: u128) -> [u8; 36] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut bytes = random.to_be_bytes();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (place, byte) in bytes.into_iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            at += 1;
        }
        text[at] = HEX[usize::from(byte >> 4)];
        text[at + 1] = HEX[usize::from(byte & 15)];
        at += 2;
    }
    text
}

/// What is said about the client's certificate: only what it has proved, and,
/// where that is wished, what proxies before this one said.
fn forward_certificate(exchange: &mut Exchange<'_>) {
    let trust = &exchange.http.manager.trust;
    let shown = exchange.connection.tls.as_ref().filter(|facts| facts.peer.is_some());
    let request = &mut exchange.request;
    match (trust.client_certificate, shown) {
        (ForwardClientCertificate::AlwaysForward, _) => {}
        (ForwardClientCertificate::ForwardOnly, Some(_)) => {}
        (ForwardClientCertificate::AppendForward, Some(facts)) => {
            let mut value: Vec<u8> = Vec::new();
            for present in request.values_of(Known::XForwardedClientCert) {
                value.extend_from_slice(present);
                value.push(b',');
            }
            value.extend_from_slice(forwarded::element(facts, trust.certificate_details).as_bytes());
            request.set_known(Known::XForwardedClientCert, &value);
        }
        (ForwardClientCertificate::SanitizeSet, Some(facts)) => {
            let value = forwarded::element(facts, trust.certificate_details);
            request.set_known(Known::XForwardedClientCert, value.as_bytes());
        }
        (ForwardClientCertificate::Sanitize, _) | (_, None) => {
            request.remove(Known::XForwardedClientCert);
        }
    }
}

/// What the client says about itself is read and not passed on.
fn discover_peer(exchange: &mut Exchange<'_>) {
    let Some(config) = &exchange.http.manager.filters.peer_metadata else { return };
    if !config.discover_downstream {
        return;
    }
    let request = &exchange.request;
    let id = request.get(Known::XEnvoyPeerMetadataId);
    let metadata = request.get(Known::XEnvoyPeerMetadata);
    exchange.told.id = id.is_some();
    exchange.told.metadata = metadata.is_some();
    if let Some(peer) = exchange.connection.worker.identities.told(id, metadata) {
        exchange.peer = peer;
    }
    exchange.request.remove(Known::XEnvoyPeerMetadataId);
    exchange.request.remove(Known::XEnvoyPeerMetadata);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_uuids_of_version_4() {
        let id = uuid(u128::MAX);
        assert_eq!(&id, b"ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(&uuid(0), b"00000000-0000-4000-8000-000000000000");
    }
}
