//! The headers by which requests steer what becomes of them: read and not
//! passed on.
//!
//! Those of outsiders were removed before. Those about time are the client's
//! alone; those about retries may come from a route, too, as in Envoy.

use routing::retry::RetryPolicy;
use routing::retry::asked::{self, AskedTime, RETRY_HEADERS, TIME_HEADERS};

use crate::http::exchange::Exchange;

/// What the request says about time.
pub fn time(exchange: &mut Exchange<'_>) -> Option<AskedTime> {
    if !exchange.is_internal || !exchange.request.has_unknown(PREFIX) {
        return None;
    }
    let asked = AskedTime::of(&exchange.request);
    for name in TIME_HEADERS.into_iter().chain(["x-envoy-upstream-alt-stat-name"]) {
        exchange.request.remove_named(name.as_bytes());
    }
    (asked != AskedTime::default()).then_some(asked)
}

/// The policy that the request asks for in place of the route's.
pub fn retry(exchange: &mut Exchange<'_>, routes: Option<&RetryPolicy>) -> Option<RetryPolicy> {
    if !exchange.request.has_unknown(PREFIX) {
        return None;
    }
    let policy = asked::policy(&exchange.request, routes);
    for name in RETRY_HEADERS {
        exchange.request.remove_named(name.as_bytes());
    }
    policy
}

const PREFIX: &[u8] = b"x-envoy-";
