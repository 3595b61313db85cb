//! Between heads of ours and those of the `h2` crate.
//!
//! Inside the proxy a request that asks for another protocol by extended
//! CONNECT (RFC 8441) looks like an upgrade of HTTP/1.1, as in Envoy: one
//! path through filters and routes serves both.

use h2::ext::Protocol;
use http::header::{HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version, request};
use routing::headers::RequestHead as _;
use smallvec::SmallVec;

use crate::http1::framing::{Framing, declared};
use crate::http1::head::{Head, Parts};
use crate::http1::known::Known;
use crate::http1::parse::{Refusal, check_authority};
use crate::worker::Worker;

/// A stream that ends for this is never answered, so there is no status.
const INVALID: Refusal = Refusal { status: 0, details: "http2.invalid.header.field" };

/// Makes a head of a request. What HTTP/1.1 could not say is refused.
pub fn of_request(parts: &request::Parts, worker: &Worker) -> Result<Head, Refusal> {
    let (block, _) = worker.buffers.take().into_block();
    let mut head = Head::new(block, 0, Parts { fields: worker.take_fields(), ..Parts::default() });
    let protocol = parts.extensions.get::<Protocol>();
    let is_upgrade = protocol.is_some() && parts.method == Method::CONNECT;
    head.set_method(if is_upgrade { "GET" } else { parts.method.as_str() });
    let path = parts.uri.path_and_query().map_or("", PathAndQuery::as_str);
    if !path.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) {
        return Err(INVALID);
    }
    if parts.method != Method::CONNECT || is_upgrade {
        head.set_path(path);
    }
    let host = parts.headers.get(http::header::HOST).map(HeaderValue::as_bytes);
    let authority = match parts.uri.authority() {
        Some(authority) => authority.as_str().as_bytes(),
        None => host.ok_or(Refusal { status: 0, details: "http2.violation.of.messaging.rule" })?,
    };
    check_authority(authority, false).map_err(|_| INVALID)?;
    head.set_authority(std::str::from_utf8(authority).unwrap_or_default());
    add_fields(&mut head, &parts.headers);
    head.said_scheme = parts.uri.scheme().map(|said| if *said == Scheme::HTTPS { "https" } else { "http" });
    if let Some(protocol) = protocol.filter(|_| is_upgrade) {
        head.set_known(Known::Connection, b"Upgrade");
        head.set_known(Known::Upgrade, protocol.as_str().as_bytes());
    }
    Ok(head)
}

/// How the body of a message ends that came with this head; unknown length
/// counts as chunked.
pub fn framing(head: &Head, ends_here: bool) -> Result<Framing, Refusal> {
    // Two lengths are refused even where nothing follows: somebody behind
    // us could believe either.
    let declared = declared(head, false).map_err(|_| INVALID)?;
    Ok(match declared {
        _ if ends_here => Framing::None,
        Some(Framing::Length(length)) => Framing::Length(length),
        _ => Framing::Chunked,
    })
}

/// Makes a head of an upstream's response.
pub fn of_response(response: &Response<impl Sized>, worker: &Worker) -> Head {
    let mut head = worker.response(response.status().as_u16());
    add_fields(&mut head, response.headers());
    head
}

/// Makes a head of trailers.
pub fn trailers(map: &HeaderMap) -> Head {
    let mut head = Head::response(Vec::new(), Vec::new(), 0);
    add_fields(&mut head, map);
    head
}

/// Cookies that came in crumbs become one line (RFC 9113, 8.2.3); crumbs of
/// nothing become none.
fn add_fields(head: &mut Head, map: &HeaderMap) {
    for (name, value) in map {
        if name != http::header::HOST && name != http::header::COOKIE {
            head.add(name.as_str().as_bytes(), value.as_bytes());
        }
    }
    let cookies = map.get_all(http::header::COOKIE).iter().map(HeaderValue::as_bytes);
    let crumbs: SmallVec<[&[u8]; 2]> = cookies.filter(|crumb| !crumb.is_empty()).collect();
    match crumbs.as_slice() {
        [] => {}
        [one] => head.add(b"cookie", one),
        several => head.add(b"cookie", &several.join(&b"; "[..])),
    }
}

/// What one connection of HTTP/1 says to another has no place here.
fn is_hop(known: Known) -> bool {
    matches!(
        known,
        Known::Connection
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::TransferEncoding
            | Known::Upgrade
            | Known::Host
            | Known::Http2Settings
    )
}

/// The headers of a head.
pub fn fields(head: &Head) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(head.iter().count());
    for (name, value) in head.iter().filter(|(name, _)| !is_hop(Known::of(name))) {
        // The parsers have let nothing in that could not go out.
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            map.append(name, value);
        }
    }
    map
}

/// Makes a response of a head; a protocol that was switched to is a plain
/// success here.
pub fn response(head: &Head) -> Response<()> {
    let mut response = Response::new(());
    let is_switch = head.status == 101;
    let status = if is_switch { 200 } else { head.status };
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    *response.version_mut() = Version::HTTP_2;
    *response.headers_mut() = fields(head);
    if is_switch {
        response.headers_mut().remove(http::header::CONTENT_LENGTH);
    }
    response
}

/// Makes a request of a head; an upgrade becomes an extended CONNECT. `None`
/// when its parts are none that HTTP/2 can carry.
pub fn request(head: &Head, upgrade: Option<&str>) -> Option<Request<()>> {
    let mut request = Request::new(());
    *request.version_mut() = Version::HTTP_2;
    let mut parts = http::uri::Parts::default();
    parts.authority = Some(Authority::try_from(head.authority()).ok()?);
    let is_connect = head.method() == "CONNECT";
    if !is_connect {
        parts.scheme = Some(if head.scheme() == "https" { Scheme::HTTPS } else { Scheme::HTTP });
        parts.path_and_query = Some(PathAndQuery::try_from(head.path()).ok()?);
    }
    *request.method_mut() = match upgrade {
        Some(_) => Method::CONNECT,
        None => Method::from_bytes(head.method().as_bytes()).ok()?,
    };
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    *request.headers_mut() = fields(head);
    if let Some(protocol) = upgrade {
        request.extensions_mut().insert(Protocol::from(protocol));
        request.headers_mut().remove(http::header::CONTENT_LENGTH);
    }
    Some(request)
}
