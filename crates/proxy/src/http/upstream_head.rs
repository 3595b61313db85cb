//! What happens to a request's head on its way upstream, once its route is
//! known.

use routing::decision::{Decision, Forwarding};
use routing::rewrite::HostRewrite;

use crate::http::exchange::Exchange;
use crate::http::mutate::Changes;
use crate::http::record::View;
use crate::http1::framing::Framing;
use crate::http1::known::Known;

/// Makes the head what upstreams shall see, in Envoy's order: header changes,
/// host, path, and what this proxy says itself.
pub fn finish(exchange: &mut Exchange<'_>, decision: &Decision<'_>, forwarding: &Forwarding<'_>) {
    for level in decision.request_mutations() {
        let view = View { exchange, response: None };
        let changes =
            Changes::new(level, &view, |name| exchange.request.find(&name.to_ascii_lowercase()).is_some());
        changes.write(&mut exchange.request);
    }
    rewrite_host(exchange, forwarding);
    rewrite_path(exchange, decision, forwarding);
    if let Some(protocol) = &exchange.upgrade {
        exchange.request.set_known(Known::Connection, b"Upgrade");
        exchange.request.set_known(Known::Upgrade, protocol.as_bytes());
    }
    if exchange.body.framing() == Framing::Chunked {
        exchange.request.set_known(Known::TransferEncoding, b"chunked");
    }
    name_operation(exchange);
    tell_peer(exchange, forwarding);
}

/// The line by which HTTP/1.1 says that there is no body, where the method
/// usually has one; other versions say it otherwise.
pub fn empty_body_line(exchange: &Exchange<'_>) -> &'static [u8] {
    let is_empty = exchange.body.framing() == Framing::None && !exchange.is_tunnel();
    let request = &exchange.request;
    let is_told = request.has(Known::ContentLength) || !usually_has_body(request.method());
    if is_empty && !is_told { b"content-length: 0\r\n" } else { b"" }
}

fn usually_has_body(method: &str) -> bool {
    !matches!(method, "GET" | "HEAD" | "DELETE" | "CONNECT" | "TRACE")
}

fn adds_envoy_headers(exchange: &Exchange<'_>) -> bool {
    !exchange.http.manager.filters.router.unwrap_or_default().suppress_envoy_headers
}

fn rewrite_host(exchange: &mut Exchange<'_>, forwarding: &Forwarding<'_>) {
    let new = match forwarding.host_rewrite() {
        None | Some(HostRewrite::EndpointName) => return,
        Some(HostRewrite::Literal(host)) => host.to_string(),
        Some(HostRewrite::Header(name)) => match exchange.request.find(name) {
            Some(value) => String::from_utf8_lossy(value).into_owned(),
            None => return,
        },
        Some(HostRewrite::Path(substitution)) => {
            let (path, _) = routing::path::split_query(exchange.request.path());
            String::from_utf8_lossy(&substitution.replace(path.as_bytes())).into_owned()
        }
    };
    set_host(exchange, &new, forwarding.options.append_x_forwarded_host);
}

/// Replaces the host and says which one it was.
pub fn set_host(exchange: &mut Exchange<'_>, new: &str, forward_old: bool) {
    let old = exchange.request.authority().to_owned();
    if old == new || new.is_empty() {
        return;
    }
    if forward_old {
        exchange.request.add(b"x-forwarded-host", old.as_bytes());
    }
    if adds_envoy_headers(exchange) {
        exchange.request.set(b"x-envoy-original-host", old.as_bytes());
    }
    exchange.request.set_authority(new);
}

fn rewrite_path(exchange: &mut Exchange<'_>, decision: &Decision<'_>, forwarding: &Forwarding<'_>) {
    let (Some(rewrite), Some(route)) = (&forwarding.options.path_rewrite, decision.route) else { return };
    let old = exchange.request.path().to_owned();
    let new = rewrite.apply(route.matcher.path(), &old);
    let is_target = new.starts_with('/') && new.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
    if !is_target {
        return;
    }
    if adds_envoy_headers(exchange) {
        exchange.request.set_known(Known::XEnvoyOriginalPath, old.as_bytes());
    }
    exchange.request.set_path(&new);
}

/// Where spans are made, the operation's name travels from the client's
/// proxy to the server's and no further.
fn name_operation(exchange: &mut Exchange<'_>) {
    if !exchange.http.manager.traces {
        return;
    }
    if exchange.http.is_inbound {
        exchange.request.remove(Known::XEnvoyDecoratorOperation);
    } else if let Some((operation, true)) = exchange.route.and_then(|route| route.decorator.as_ref()) {
        exchange.request.set_known(Known::XEnvoyDecoratorOperation, operation.as_bytes());
    }
}

/// Servers in the mesh learn who we are.
fn tell_peer(exchange: &mut Exchange<'_>, forwarding: &Forwarding<'_>) {
    let Some(config) = &exchange.http.manager.filters.peer_metadata else { return };
    let is_external = || {
        let name = &*forwarding.cluster_name;
        let is_passthrough = name == "PassthroughCluster" || name == "BlackHoleCluster";
        is_passthrough || forwarding.cluster.is_some_and(|cluster| cluster.external)
    };
    if !config.tell_upstream || (config.skip_external_clusters && is_external()) {
        return;
    }
    let identity = &exchange.connection.worker.shared.identity;
    exchange.request.set_known(Known::XEnvoyPeerMetadataId, identity.node_id().as_bytes());
    exchange.request.set_known(Known::XEnvoyPeerMetadata, identity.peer_metadata.as_bytes());
}
