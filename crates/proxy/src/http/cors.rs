//! Cross-origin questions, answered as Envoy's filter answers them.

use routing::cors::Cors;
use routing::decision::Decision;

use crate::http::exchange::Exchange;
use crate::http::local_reply::LocalReply;
use crate::http1::head::Head;
use crate::http1::known::Known;

/// The answer to a preflight of an origin that may ask.
pub fn preflight(exchange: &Exchange<'_>, decision: &Decision<'_>) -> Option<LocalReply> {
    let cors = decision.cors.filter(|cors| cors.is_enabled())?;
    let request = &exchange.request;
    let origin = request.get(Known::Origin)?;
    let asks = request.method() == "OPTIONS" && request.find("access-control-request-method").is_some();
    if !asks {
        return None;
    }
    if !cors.allows(origin) {
        return (!cors.forward_not_matching_preflights).then(|| LocalReply::new(200, "cors_response"));
    }
    let mut reply = LocalReply::new(200, "cors_response")
        .with("access-control-allow-origin", &String::from_utf8_lossy(origin));
    if cors.allow_credentials {
        reply = reply.with("access-control-allow-credentials", "true");
    }
    let listed = [
        ("access-control-allow-methods", &cors.allow_methods),
        ("access-control-allow-headers", &cors.allow_headers),
        ("access-control-max-age", &cors.max_age),
    ];
    for (name, value) in listed {
        if !value.is_empty() {
            reply = reply.with(name, value);
        }
    }
    Some(reply)
}

/// Tells the client that its origin may see the response.
pub fn allow(exchange: &Exchange<'_>, decision: &Decision<'_>, head: &mut Head) {
    let Some(origin) = exchange.request.get(Known::Origin) else { return };
    let Some(cors) = decision.cors.filter(|cors: &&Cors| cors.allows(origin)) else { return };
    head.set(b"access-control-allow-origin", origin);
    if cors.allow_credentials {
        head.set(b"access-control-allow-credentials", b"true");
    }
    if !cors.expose_headers.is_empty() {
        head.set(b"access-control-expose-headers", cors.expose_headers.as_bytes());
    }
}
