//! Host names as Istio's kinds write them: full, short, or with a wildcard in front.

/// Why a text is not a host name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing there.
    #[error("is empty")]
    Empty,
    /// Longer than DNS allows.
    #[error("is longer than 255 characters")]
    TooLong,
    /// A part between dots that DNS does not allow.
    #[error("has the part `{0}`, but only letters, digits and `-` may stand between dots, at most 63")]
    InvalidLabel(String),
    /// A wildcard elsewhere than in front.
    #[error("has a `*` elsewhere than at the beginning")]
    MisplacedWildcard,
    /// The last part is a number, so the whole looks like an address.
    #[error("ends in the number `{0}`, which no name does")]
    NumericEnd(String),
    /// A scheme, port or path beside the name.
    #[error("is more than a host name: `{0}` does not belong to it")]
    NotOnlyHost(String),
}

/// Checks a full or short name without wildcard.
///
/// # Errors
/// Says which part of the name is wrong.
pub fn check_name(name: &str) -> Result<(), HostError> {
    check_length(name)?;
    check_labels(name)
}

/// Checks a name that may begin with a wildcard: `*`, `*.example.com`, `*-x.example.com`.
///
/// # Errors
/// Says which part of the name is wrong.
pub fn check_wildcard_name(name: &str) -> Result<(), HostError> {
    check_length(name)?;
    let Some(rest) = name.strip_prefix('*') else { return check_labels(name) };
    if rest.contains('*') {
        return Err(HostError::MisplacedWildcard);
    }
    let (first, rest) = rest.split_once('.').map_or((rest, None), |(first, rest)| (first, Some(rest)));
    let first = first.strip_prefix('-').unwrap_or(first);
    if !first.is_empty() {
        check_label(first)?;
    }
    rest.map_or(Ok(()), check_labels)
}

/// Whether a name begins with a wildcard.
pub fn is_wildcard(name: &str) -> bool {
    name.starts_with('*')
}

/// Whether some host has both names.
pub fn overlap(one: &str, other: &str) -> bool {
    covers(one, other) || covers(other, one)
}

/// Whether every host with the name `narrow` has the name `wide` too.
pub fn covers(wide: &str, narrow: &str) -> bool {
    match (wide.strip_prefix('*'), narrow.strip_prefix('*')) {
        (Some(wide), Some(narrow)) => narrow.len() >= wide.len() && narrow.ends_with(wide),
        (Some(wide), None) => narrow.ends_with(wide),
        (None, Some(_)) => false,
        (None, None) => wide == narrow,
    }
}

/// The full name of a service: a name without dots is completed with a namespace and the cluster's domain.
///
/// `reviews` in `default` is `reviews.default.svc.cluster.local`; names with dots, wildcards and addresses stay.
pub fn full_name(name: &str, namespace: &str, domain: &str) -> String {
    if name.contains(['.', ':']) || is_wildcard(name) || name.is_empty() {
        return name.to_owned();
    }
    format!("{name}.{namespace}.svc.{domain}")
}

fn check_length(name: &str) -> Result<(), HostError> {
    match name.len() {
        0 => Err(HostError::Empty),
        256.. => Err(HostError::TooLong),
        _ => Ok(()),
    }
}

fn check_labels(name: &str) -> Result<(), HostError> {
    if let Some(at) = name.find("://") {
        return Err(HostError::NotOnlyHost(name[..at + 3].to_owned()));
    }
    if let Some(at) = name.find([':', '/']) {
        return Err(HostError::NotOnlyHost(name[at..].to_owned()));
    }
    // A dot at the end only says that the name is full.
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit('.').next().unwrap_or_default();
    if !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(HostError::NumericEnd(last.to_owned()));
    }
    name.split('.').try_for_each(check_label)
}

fn check_label(label: &str) -> Result<(), HostError> {
    if label.contains('*') {
        return Err(HostError::MisplacedWildcard);
    }
    if is_label(label) { Ok(()) } else { Err(HostError::InvalidLabel(label.to_owned())) }
}

/// Whether a text may stand between the dots of a name. Capitals are allowed, as in Istio.
pub fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        && bytes[0] != b'-'
        && bytes[bytes.len() - 1] != b'-'
}

#[cfg(test)]
mod tests;
