//! What happens to a response's head before it goes to the client.

use routing::decision::Decision;
use routing::hcm::ServerHeader;

use crate::http::cors;
use crate::http::exchange::Exchange;
use crate::http::mutate::Changes;
use crate::http::record::View;
use crate::http1::head::Head;
use crate::http1::known::Known;

/// Changes the head as the route says.
pub fn change(exchange: &mut Exchange<'_>, decision: &Decision<'_>, head: &mut Head) {
    exchange.status = head.status;
    for cookie in &exchange.cookies {
        head.add(b"set-cookie", cookie.as_bytes());
    }
    for level in decision.response_mutations() {
        // Values may quote the response's own headers.
        let view = View { exchange, response: Some(head) };
        let changes = Changes::new(level, &view, |name| view.response_has(name));
        changes.write(head);
    }
}

/// Changes the head as filters and connection manager say, in Envoy's order.
/// Framing and `connection` are the caller's affair.
pub fn finish(exchange: &mut Exchange<'_>, decision: Option<&Decision<'_>>, head: &mut Head) {
    exchange.status = head.status;
    if let Some(decision) = decision {
        cors::allow(exchange, decision, head);
    }
    tell_peer(exchange, head);
    let manager = &exchange.http.manager;
    let server = manager.server_name.as_bytes();
    match manager.server_header {
        ServerHeader::Overwrite => head.set_known(Known::Server, server),
        ServerHeader::AppendIfAbsent if !head.has(Known::Server) => head.set_known(Known::Server, server),
        ServerHeader::AppendIfAbsent | ServerHeader::PassThrough => {}
    }
    if !head.has(Known::Date) {
        let worker = &exchange.connection.worker;
        worker.with_date(exchange.started_at, |date| head.set_known(Known::Date, date.as_bytes()));
    }
    if !manager.via.is_empty() {
        head.add(b"via", manager.via.as_bytes());
    }
    if manager.request_id_in_response
        && let Some(id) = exchange.request.get(Known::XRequestId)
    {
        head.set_known(Known::XRequestId, id);
    }
}

/// A client that said who it is learns who we are.
fn tell_peer(exchange: &Exchange<'_>, head: &mut Head) {
    let Some(config) = &exchange.http.manager.filters.peer_metadata else { return };
    let identity = &exchange.connection.worker.shared.identity;
    if config.tell_downstream && exchange.told.id {
        head.set_known(Known::XEnvoyPeerMetadataId, identity.node_id().as_bytes());
    }
    if config.tell_downstream && exchange.told.metadata {
        head.set_known(Known::XEnvoyPeerMetadata, identity.peer_metadata.as_bytes());
    }
}
