//! Rejections travel as one text per response; the names inside it tell which
//! resources were meant. Envoy's form is written and read here.

use crate::type_url::{CLUSTER, ENDPOINT, LISTENER, ROUTE};

/// One resource that a client refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The resource.
    pub name: String,
    /// The version that was refused.
    pub version: String,
    /// The client's reason, as it gave it.
    pub message: String,
}

/// The text for a response of which `rejected` (name and reason) were refused
/// and the rest accepted.
pub fn compose(type_url: &str, rejected: &[(String, String)]) -> String {
    let kind = match type_url {
        CLUSTER => "cluster",
        ENDPOINT => "endpoint",
        LISTENER => "listener",
        ROUTE => "route",
        _ => "resource",
    };
    let reasons: Vec<String> = rejected.iter().map(|(name, reason)| format!("{name}: {reason}")).collect();
    format!("Error adding/updating {kind}(s) {}", reasons.join(", "))
}

/// Those of `candidates` that the text names: each followed by a colon and at
/// the start of a word.
pub fn named_in<'a>(message: &str, candidates: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    candidates.filter(|name| names(message, name)).collect()
}

fn names(message: &str, name: &str) -> bool {
    !name.is_empty()
        && message.match_indices(name).any(|(at, _)| {
            let before = message[..at].chars().next_back();
            let after = message[at + name.len()..].chars().next();
            before.is_none_or(char::is_whitespace) && after == Some(':')
        })
}
