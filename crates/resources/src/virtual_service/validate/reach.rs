//! Rules and matches that nothing can reach, because an earlier one takes everything that they match.

use crate::path::Trail;
use crate::problem::Code;
use crate::validate::Checker;
use crate::virtual_service::{HttpMatchRequest, StringMatch, VirtualService};

/// So many matches of one object are compared with each other.
const MAX_COMPARED: usize = 500;

/// Checks all rules of a VirtualService.
pub(super) fn validate(content: &VirtualService, at: &Trail<'_>, check: &mut Checker<'_>) {
    let http: Vec<Vec<HttpMatchRequest>> =
        content.http.iter().map(|rule| rule.matches.iter().map(without_names).collect()).collect();
    rules(&http, covers_http, &at.key("http"), check);
    let tls: Vec<_> = content.tls.iter().map(|rule| rule.matches.clone()).collect();
    rules(&tls, PartialEq::eq, &at.key("tls"), check);
    let tcp: Vec<_> = content.tcp.iter().map(|rule| rule.matches.clone()).collect();
    rules(&tcp, PartialEq::eq, &at.key("tcp"), check);
}

/// Compares each match with all earlier ones.
fn rules<M>(rules: &[Vec<M>], covers: fn(&M, &M) -> bool, at: &Trail<'_>, check: &mut Checker<'_>) {
    let mut catch_all = None;
    let mut earlier: Vec<(usize, &M)> = Vec::new();
    for (index, matches) in rules.iter().enumerate() {
        if let Some(first) = catch_all {
            let message =
                format!("this rule is never used: rule {first} above has no `match` and takes everything");
            check
                .note(&at.index(index), Code::UnreachableRule, message)
                .help("move the rule without `match` to the end");
            continue;
        }
        let covered: Vec<Option<usize>> = matches
            .iter()
            .map(|matched| earlier.iter().find(|(_, wide)| covers(wide, matched)).map(|(rule, _)| *rule))
            .collect();
        tell(index, &covered, at, check);
        if matches.is_empty() {
            catch_all = Some(index);
        }
        if earlier.len() < MAX_COMPARED {
            earlier.extend(matches.iter().map(|matched| (index, matched)));
        }
    }
}

fn tell(index: usize, covered: &[Option<usize>], at: &Trail<'_>, check: &mut Checker<'_>) {
    let at = at.index(index);
    if !covered.is_empty() && covered.iter().all(Option::is_some) {
        let rules: Vec<String> = covered.iter().flatten().map(ToString::to_string).collect();
        let message =
            format!("this rule is never used: all it matches is taken by rule {} above", rules.join(", "));
        check.note(&at, Code::UnreachableRule, message).help("move it up, or remove it");
        return;
    }
    let match_at = at.key("match");
    for (position, rule) in covered.iter().enumerate() {
        if let Some(rule) = rule {
            let message = format!("this match is never used: all it matches is taken by rule {rule} above");
            check
                .note(&match_at.index(position), Code::IneffectiveMatch, message)
                .help("move it up, or remove it");
        }
    }
}

/// Names change nothing in what is matched.
fn without_names(matched: &HttpMatchRequest) -> HttpMatchRequest {
    HttpMatchRequest { name: String::new(), stat_prefix: String::new(), ..matched.clone() }
}

/// Whether every request that `narrow` matches is matched by `wide`: all conditions are equal, but the path may be
/// wider. Other relations are not recognised.
fn covers_http(wide: &HttpMatchRequest, narrow: &HttpMatchRequest) -> bool {
    if !covers_uri(wide, narrow) {
        return false;
    }
    let aligned =
        HttpMatchRequest { uri: wide.uri.clone(), ignore_uri_case: wide.ignore_uri_case, ..narrow.clone() };
    aligned == *wide
}

fn covers_uri(wide: &HttpMatchRequest, narrow: &HttpMatchRequest) -> bool {
    match (&wide.uri, &narrow.uri) {
        (None | Some(StringMatch::Any), _) => true,
        (Some(StringMatch::Prefix(prefix)), _) if prefix == "/" => true,
        (Some(StringMatch::Prefix(prefix)), Some(StringMatch::Exact(path) | StringMatch::Prefix(path))) => {
            path.starts_with(prefix.as_str()) && (wide.ignore_uri_case || !narrow.ignore_uri_case)
        }
        (wide_uri, narrow_uri) => wide_uri == narrow_uri && wide.ignore_uri_case == narrow.ignore_uri_case,
    }
}
