//! Rules and matches that nothing can reach, because an earlier one takes everything that they match.

use std::collections::BTreeMap;

use crate::path::Trail;
use crate::problem::Code;
use crate::validate::Checker;
use crate::virtual_service::{HttpMatchRequest, StringMatch, VirtualService};

/// So many matches of one object are compared with each other.
const MAX_COMPARED: usize = 500;

/// Checks all rules of a VirtualService.
pub(super) fn validate(content: &VirtualService, at: &Trail<'_>, check: &mut Checker<'_>) {
    let http: Vec<&[HttpMatchRequest]> = content.http.iter().map(|rule| rule.matches.as_slice()).collect();
    rules("http", &http, covers, at, check);
    let tls: Vec<_> = content.tls.iter().map(|rule| rule.matches.as_slice()).collect();
    rules("tls", &tls, PartialEq::eq, at, check);
    let tcp: Vec<_> = content.tcp.iter().map(|rule| rule.matches.as_slice()).collect();
    rules("tcp", &tcp, PartialEq::eq, at, check);
}

/// Compares each match with all earlier ones.
fn rules<M>(
    field: &str,
    rules: &[&[M]],
    covers: fn(&M, &M) -> bool,
    at: &Trail<'_>,
    check: &mut Checker<'_>,
) {
    let field_at = at.key(field);
    let mut earlier: Vec<(usize, &M)> = Vec::new();
    for (index, matches) in rules.iter().enumerate() {
        let at = field_at.index(index);
        if let Some(first) = rules[..index].iter().position(|matches| matches.is_empty()) {
            let message =
                format!("this rule is never used: `{field}[{first}]` has no `match` and takes everything");
            check.note(&at, Code::UnreachableRule, message).help("move the rule without `match` to the end");
            continue;
        }
        let takes = |narrow: &M| earlier.iter().find(|(_, wide)| covers(wide, narrow)).map(|(rule, _)| *rule);
        let covered: Vec<Option<usize>> = matches.iter().map(takes).collect();
        tell(field, &covered, &at, check);
        if earlier.len() < MAX_COMPARED {
            earlier.extend(matches.iter().map(|matched| (index, matched)));
        }
    }
}

/// `covered` says of each match of a rule which earlier rule takes all of it.
fn tell(field: &str, covered: &[Option<usize>], at: &Trail<'_>, check: &mut Checker<'_>) {
    const HELP: &str = "move it up, or remove it";
    let names = |rules: &[usize]| {
        rules.iter().map(|rule| format!("`{field}[{rule}]`")).collect::<Vec<_>>().join(", ")
    };
    let by: Vec<usize> = covered.iter().copied().flatten().collect();
    if !covered.is_empty() && by.len() == covered.len() {
        let message = format!("this rule is never used: all that it matches is taken by {}", names(&by));
        check.note(at, Code::UnreachableRule, message).help(HELP);
        return;
    }
    let match_at = at.key("match");
    for (position, rule) in covered.iter().enumerate() {
        if let Some(rule) = rule {
            let message =
                format!("this match is never used: all that it matches is taken by {}", names(&[*rule]));
            check.note(&match_at.index(position), Code::IneffectiveMatch, message).help(HELP);
        }
    }
}

/// Whether every request that `narrow` matches is matched by `wide`: each condition of `wide` is one of `narrow` too,
/// but for the path, which may be wider. Other relations, such as between expressions, are not recognised.
fn covers(wide: &HttpMatchRequest, narrow: &HttpMatchRequest) -> bool {
    covers_uri(wide, narrow)
        && covers_option(&wide.scheme, &narrow.scheme)
        && covers_option(&wide.method, &narrow.method)
        && covers_option(&wide.authority, &narrow.authority)
        && covers_option(&wide.port, &narrow.port)
        && covers_map(&wide.headers, &narrow.headers)
        && covers_map(&wide.without_headers, &narrow.without_headers)
        && covers_map(&wide.query_params, &narrow.query_params)
        && covers_map(&wide.source_labels, &narrow.source_labels)
        && (wide.source_namespace.is_empty() || wide.source_namespace == narrow.source_namespace)
        && wide.gateways == narrow.gateways
}

fn covers_option<T: PartialEq>(wide: &Option<T>, narrow: &Option<T>) -> bool {
    wide.is_none() || wide == narrow
}

fn covers_map<T: PartialEq>(wide: &BTreeMap<String, T>, narrow: &BTreeMap<String, T>) -> bool {
    wide.iter().all(|(name, condition)| narrow.get(name) == Some(condition))
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
