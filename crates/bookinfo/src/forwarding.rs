//! Which headers of a request travel on to the calls that it causes.

use http::HeaderMap;
use http::header::HeaderName;

/// Trace context and identity that every service forwards.
const TRACE_AND_IDENTITY: [&str; 19] = [
    "x-request-id",
    "x-ot-span-context",
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-datadog-sampling-priority",
    "traceparent",
    "tracestate",
    "x-cloud-trace-context",
    "grpc-trace-bin",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "sw8",
    "user-agent",
    "cookie",
    "authorization",
    "jwt",
];

const END_USER: &str = "end-user";

/// What productpage forwards: an `end-user` that a caller sent is not among
/// it; the signed-in user's name takes its place.
pub(crate) fn from_page(incoming: &HeaderMap, user: Option<&str>) -> HeaderMap {
    let mut headers = pick(incoming, &TRACE_AND_IDENTITY);
    if let Some(value) = user.and_then(|name| name.parse().ok()) {
        headers.insert(HeaderName::from_static(END_USER), value);
    }
    headers
}

/// What reviews and details forward: the same, and `end-user` as it came.
pub(crate) fn from_service(incoming: &HeaderMap) -> HeaderMap {
    let mut headers = pick(incoming, &TRACE_AND_IDENTITY);
    headers.extend(pick(incoming, &[END_USER]));
    headers
}

fn pick(incoming: &HeaderMap, names: &[&'static str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in names {
        for value in incoming.get_all(*name) {
            headers.append(HeaderName::from_static(name), value.clone());
        }
    }
    headers
}
