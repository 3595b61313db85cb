//! What a consistent hash is taken of, and the hash of a request.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use smallvec::SmallVec;
use xds::envoy::config::route::v3 as wire;
use xds::envoy::config::route::v3::route_action::hash_policy::PolicySpecifier;
use xxhash_rust::xxh64::xxh64;

use crate::hash::xx;
use crate::headers::{RequestHead, joined};
use crate::invalid::{Invalid, Within};
use crate::message::duration;
use crate::path::split_query;
use crate::regex_match::Substitution;

/// What a consistent hash is taken of.
#[derive(Debug, Clone)]
pub struct HashPolicy {
    /// The source of the hash.
    pub source: HashSource,
    /// Later policies are not looked at when this one gave a hash.
    pub terminal: bool,
}

/// Where a consistent hash comes from.
#[derive(Debug, Clone)]
pub enum HashSource {
    /// A request header.
    Header {
        /// Its name.
        name: Box<str>,
        /// What is done to its value first.
        rewrite: Option<Substitution>,
    },
    /// A cookie, made when it has a lifetime and is absent.
    Cookie(Cookie),
    /// The client's address.
    SourceAddress,
    /// A query parameter.
    QueryParameter(Box<str>),
}

/// A cookie that a hash is taken of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookie {
    /// Its name.
    pub name: Box<str>,
    /// Its path.
    pub path: Box<str>,
    /// How long a made cookie lives; zero: as long as the browser.
    pub ttl: Option<Duration>,
    /// Further attributes of a made cookie.
    pub attributes: Box<[(Box<str>, Box<str>)]>,
}

/// Who a request comes from.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// The client, as far as trusted headers tell.
    pub address: IpAddr,
    /// The peer of the connection.
    pub peer: SocketAddr,
    /// Where the connection went.
    pub local: SocketAddr,
}

/// The hash of a request and the cookies that were made for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hashed {
    /// The hash; none: any endpoint will do.
    pub hash: Option<u64>,
    /// Values of `set-cookie` headers for the response.
    pub cookies: SmallVec<[String; 1]>,
}

impl HashPolicy {
    /// Compiles a list of policies; what is not known gives no hash, as in
    /// Envoy a source that is absent does.
    pub(crate) fn compile_all(wire: &[wire::route_action::HashPolicy]) -> Result<Box<[HashPolicy]>, Invalid> {
        let mut policies = Vec::with_capacity(wire.len());
        for (index, policy) in wire.iter().enumerate() {
            let source = HashSource::compile(policy).within_entry("hash_policy", index)?;
            policies.extend(source.map(|source| HashPolicy { source, terminal: policy.terminal }));
        }
        Ok(policies.into())
    }
}

impl HashSource {
    fn compile(wire: &wire::route_action::HashPolicy) -> Result<Option<HashSource>, Invalid> {
        Ok(Some(match &wire.policy_specifier {
            Some(PolicySpecifier::Header(header)) => HashSource::Header {
                name: header.header_name.to_ascii_lowercase().into(),
                rewrite: header.regex_rewrite.as_ref().map(Substitution::compile).transpose()?,
            },
            Some(PolicySpecifier::Cookie(cookie)) => HashSource::Cookie(Cookie {
                name: cookie.name.as_str().into(),
                path: cookie.path.as_str().into(),
                ttl: cookie.ttl.as_ref().and_then(duration),
                attributes: cookie
                    .attributes
                    .iter()
                    .map(|attribute| (attribute.name.as_str().into(), attribute.value.as_str().into()))
                    .collect(),
            }),
            Some(PolicySpecifier::ConnectionProperties(properties)) if properties.source_ip => {
                HashSource::SourceAddress
            }
            Some(PolicySpecifier::QueryParameter(parameter)) => {
                HashSource::QueryParameter(parameter.name.as_str().into())
            }
            _ => return Ok(None),
        }))
    }
}

/// The hash of a request, by all policies together.
pub fn request_hash<R: RequestHead>(policies: &[HashPolicy], request: &R, client: &Client) -> Hashed {
    let mut hashed = Hashed::default();
    for policy in policies {
        let own = match &policy.source {
            HashSource::Header { name, rewrite } => header_hash(request, name, rewrite.as_ref()),
            HashSource::Cookie(cookie) => cookie_hash(request, cookie, client, &mut hashed.cookies),
            HashSource::SourceAddress => Some(xx(client.address.to_string().as_bytes())),
            HashSource::QueryParameter(name) => {
                parameter(request.path(), name).map(|value| xx(value.as_bytes()))
            }
        };
        if let Some(own) = own {
            // Turned, so that two equal ones do not cancel each other out.
            hashed.hash = Some(hashed.hash.map_or(0, |hash| hash.rotate_left(1)) ^ own);
        }
        if policy.terminal && hashed.hash.is_some() {
            break;
        }
    }
    hashed
}

/// Several lines of one name count in the order of their values.
fn header_hash<R: RequestHead>(request: &R, name: &str, rewrite: Option<&Substitution>) -> Option<u64> {
    let changed = |value: &[u8]| match rewrite {
        Some(rewrite) => rewrite.replace(value),
        None => value.to_vec(),
    };
    if name.starts_with(':') || name == "host" {
        return joined(request, name).map(|value| xx(&changed(&value)));
    }
    let mut values: SmallVec<[Vec<u8>; 1]> = request.values(name).map(changed).collect();
    if values.is_empty() {
        return None;
    }
    values.sort_unstable();
    Some(values.iter().fold(0, |seed, value| xxh64(value, seed)))
}

fn cookie_hash<R: RequestHead>(
    request: &R,
    cookie: &Cookie,
    client: &Client,
    made: &mut SmallVec<[String; 1]>,
) -> Option<u64> {
    if let Some(value) = cookie_value(request, &cookie.name) {
        return Some(xx(value));
    }
    let ttl = cookie.ttl?;
    // The same for the whole connection: requests that race get one cookie.
    let value = format!("{:016x}", xx(format!("{}{}", client.peer, client.local).as_bytes()));
    made.push(set_cookie(cookie, &value, ttl));
    Some(xx(value.as_bytes()))
}

/// The value of a cookie; an empty one is none.
fn cookie_value<'r, R: RequestHead>(request: &'r R, name: &str) -> Option<&'r [u8]> {
    let pairs = request.values("cookie").flat_map(|line| line.split(|byte| *byte == b';'));
    let mut values = pairs.filter_map(|pair| {
        let at = memchr::memchr(b'=', pair)?;
        (pair[..at].trim_ascii() == name.as_bytes()).then(|| unquoted(pair[at + 1..].trim_ascii()))
    });
    values.next().filter(|value| !value.is_empty())
}

fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        other => other,
    }
}

fn set_cookie(cookie: &Cookie, value: &str, ttl: Duration) -> String {
    use std::fmt::Write as _;
    let mut text = format!("{}=\"{value}\"", cookie.name);
    // Writing into a String cannot fail.
    if ttl.as_secs() > 0 {
        let _ = write!(text, "; Max-Age={}", ttl.as_secs());
    }
    if !cookie.path.is_empty() {
        let _ = write!(text, "; Path={}", cookie.path);
    }
    for (name, value) in &cookie.attributes {
        let _ = match &**value {
            "" => write!(text, "; {name}"),
            value => write!(text, "; {name}={value}"),
        };
    }
    text.push_str("; HttpOnly");
    text
}

/// The first value of a query parameter, as it is written.
fn parameter<'p>(path: &'p str, name: &str) -> Option<&'p str> {
    let (_, query) = split_query(path);
    query.strip_prefix('?')?.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    })
}

#[cfg(test)]
mod tests;
