//! Host names as Istio's objects write them: short, full, or with a wildcard
//! in front.

use crate::mesh::CLUSTER_DOMAIN;

/// The full name of a host that an object in `namespace` mentions. Only a name
/// without any dot is short.
pub fn full_name(host: &str, namespace: &str) -> String {
    if host.is_empty() || host.contains('.') || host.contains('*') || host.contains(':') {
        return host.to_owned();
    }
    service_name(host, namespace)
}

/// The full name of a Kubernetes Service.
pub fn service_name(name: &str, namespace: &str) -> String {
    format!("{name}.{namespace}.svc.{CLUSTER_DOMAIN}")
}

/// Whether `pattern` covers `host`, which may have a wildcard itself.
pub fn covers(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        None => pattern == host,
        Some(suffix) => host.strip_prefix('*').unwrap_or(host).ends_with(suffix),
    }
}

/// Whether some name is covered by both.
pub fn overlap(left: &str, right: &str) -> bool {
    covers(left, right) || covers(right, left)
}

/// Orders patterns so that the most specific comes first: names before
/// wildcards, longer before shorter.
pub fn specificity(pattern: &str) -> (bool, std::cmp::Reverse<usize>) {
    (pattern.starts_with('*'), std::cmp::Reverse(pattern.len()))
}

#[cfg(test)]
mod tests;
