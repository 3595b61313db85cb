//! Conditions on a request.

use resources::virtual_service::{HttpMatchRequest, StringMatch};
use xds::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use xds::envoy::config::route::v3::query_parameter_matcher::QueryParameterMatchSpecifier;
use xds::envoy::config::route::v3::route_match::PathSpecifier;
use xds::envoy::config::route::v3::{HeaderMatcher, QueryParameterMatcher, RouteMatch};
use xds::envoy::r#type::matcher::v3::{RegexMatcher, StringMatcher, string_matcher::MatchPattern};

/// Headers that stand for claims of a token; there are no tokens yet, so a
/// condition on them cannot hold.
const CLAIMS: &str = "@request.auth.claims";

/// The condition as Envoy has it; `None` when it can never hold.
pub(super) fn translate(condition: &HttpMatchRequest) -> Option<RouteMatch> {
    let named = condition.headers.keys().chain(condition.without_headers.keys());
    if named.into_iter().any(|name| name.starts_with(CLAIMS)) {
        return None;
    }
    let mut headers = Vec::new();
    for (name, value) in
        [(":scheme", &condition.scheme), (":method", &condition.method), (":authority", &condition.authority)]
    {
        headers.extend(value.as_ref().map(|value| header(name, value)));
    }
    headers.extend(condition.headers.iter().map(|(name, value)| header(name, value)));
    headers.extend(condition.without_headers.iter().map(|(name, value)| without(name, value)));
    let queries = condition.query_params.iter().map(|(name, value)| QueryParameterMatcher {
        name: name.clone(),
        query_parameter_match_specifier: Some(match string(value) {
            Some(matcher) => QueryParameterMatchSpecifier::StringMatch(matcher),
            None => QueryParameterMatchSpecifier::PresentMatch(true),
        }),
    });
    Some(RouteMatch {
        path_specifier: Some(path(condition.uri.as_ref())),
        case_sensitive: condition.ignore_uri_case.then_some(false),
        headers,
        query_parameters: queries.collect(),
        ..RouteMatch::default()
    })
}

fn path(uri: Option<&StringMatch>) -> PathSpecifier {
    match uri {
        None | Some(StringMatch::Any) => PathSpecifier::Prefix("/".to_owned()),
        Some(StringMatch::Exact(path)) => PathSpecifier::Path(path.clone()),
        Some(StringMatch::Prefix(prefix)) => PathSpecifier::Prefix(prefix.clone()),
        Some(StringMatch::Regex(regex)) => PathSpecifier::SafeRegex(expression(regex)),
    }
}

fn header(name: &str, value: &StringMatch) -> HeaderMatcher {
    HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(match string(value) {
            Some(matcher) => HeaderMatchSpecifier::StringMatch(matcher),
            None => HeaderMatchSpecifier::PresentMatch(true),
        }),
        ..HeaderMatcher::default()
    }
}

fn without(name: &str, value: &StringMatch) -> HeaderMatcher {
    HeaderMatcher {
        invert_match: true,
        // A header that is not there does not have the value.
        treat_missing_header_as_empty: string(value).is_some(),
        ..header(name, value)
    }
}

/// The condition on a string; `None` when being there is enough.
pub(super) fn string(value: &StringMatch) -> Option<StringMatcher> {
    let pattern = match value {
        StringMatch::Any => return None,
        StringMatch::Regex(regex) if regex == "*" => return None,
        StringMatch::Exact(text) => MatchPattern::Exact(text.clone()),
        StringMatch::Prefix(text) => MatchPattern::Prefix(text.clone()),
        StringMatch::Regex(regex) => MatchPattern::SafeRegex(expression(regex)),
    };
    Some(StringMatcher { match_pattern: Some(pattern), ..StringMatcher::default() })
}

/// An RE2 expression.
pub(super) fn expression(regex: &str) -> RegexMatcher {
    RegexMatcher { regex: regex.to_owned(), ..RegexMatcher::default() }
}
