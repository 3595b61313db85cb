//! Header operations.

use resources::virtual_service::{HeaderOperations, Headers, HttpRoute};
use xds::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use xds::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use xds::envoy::config::route::v3::Route;

/// Operations on requests and responses as Envoy has them.
#[derive(Debug, Default)]
pub(super) struct Operations {
    pub(super) request_add: Vec<HeaderValueOption>,
    pub(super) request_remove: Vec<String>,
    pub(super) response_add: Vec<HeaderValueOption>,
    pub(super) response_remove: Vec<String>,
    /// The authority that a rule sets like a header.
    pub(super) authority: Option<String>,
}

/// Reads the operations of a rule or of a destination.
pub(super) fn operations(headers: Option<&Headers>) -> Operations {
    let Some(headers) = headers else { return Operations::default() };
    let (request, response) = (headers.request.as_ref(), headers.response.as_ref());
    let authority = request.and_then(|request| {
        request.set.iter().find(|(name, _)| is_authority(name)).map(|(_, value)| value.clone())
    });
    Operations {
        request_add: request.map(additions).unwrap_or_default(),
        request_remove: request.map(removals).unwrap_or_default(),
        response_add: response.map(additions).unwrap_or_default(),
        response_remove: response.map(removals).unwrap_or_default(),
        authority,
    }
}

/// Writes the rule's operations, and those of its only destination, into the
/// route; of several destinations each keeps its own.
pub(super) fn apply_to_route(route: &mut Route, rule: &HttpRoute) {
    let only = match rule.route.as_slice() {
        [only] => only.headers.as_ref(),
        _ => None,
    };
    for headers in [only, rule.headers.as_ref()] {
        let operations = operations(headers);
        route.request_headers_to_add.extend(operations.request_add);
        route.request_headers_to_remove.extend(operations.request_remove);
        route.response_headers_to_add.extend(operations.response_add);
        route.response_headers_to_remove.extend(operations.response_remove);
    }
}

fn additions(operations: &HeaderOperations) -> Vec<HeaderValueOption> {
    let set = operations.set.iter().map(|pair| (pair, HeaderAppendAction::OverwriteIfExistsOrAdd));
    let add = operations.add.iter().map(|pair| (pair, HeaderAppendAction::AppendIfExistsOrAdd));
    set.chain(add)
        .filter(|((name, _), _)| !is_protected(name))
        .map(|((name, value), action)| HeaderValueOption {
            header: Some(HeaderValue { key: name.clone(), value: value.clone(), ..HeaderValue::default() }),
            append_action: action.into(),
            ..HeaderValueOption::default()
        })
        .collect()
}

fn removals(operations: &HeaderOperations) -> Vec<String> {
    operations.remove.iter().filter(|name| !is_protected(name)).cloned().collect()
}

fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority")
}

/// Envoy refuses a configuration that changes these like headers.
fn is_protected(name: &str) -> bool {
    name.starts_with(':') || name.eq_ignore_ascii_case("host")
}
