//! Which requests a route is for.

use xds::envoy::config::route::v3 as wire;
use xds::envoy::config::route::v3::route_match::PathSpecifier;

use crate::headers::{HeaderMatcher, RequestHead, joined};
use crate::invalid::{Invalid, Within};
use crate::path::{query_parameter, split_query};
use crate::percent::Fraction;
use crate::regex_match::FullRegex;
use crate::string_match::StringMatcher;

/// Everything a request must fulfil.
#[derive(Debug, Clone)]
pub struct RouteMatch {
    path: PathMatch,
    headers: Box<[HeaderMatcher]>,
    query: Box<[QueryMatcher]>,
    cookies: Box<[CookieMatcher]>,
    grpc: bool,
    fraction: Option<Fraction>,
}

/// The test of the path.
#[derive(Debug, Clone)]
pub struct PathMatch {
    test: PathTest,
    case_sensitive: bool,
}

#[derive(Debug, Clone)]
enum PathTest {
    Prefix(Box<str>),
    Exact(Box<str>),
    Separated(Box<str>),
    Regex(FullRegex),
    Connect,
}

#[derive(Debug, Clone)]
struct QueryMatcher {
    name: Box<str>,
    /// `None`: the parameter must be there, or must not be there.
    value: Option<StringMatcher>,
    present: bool,
}

#[derive(Debug, Clone)]
struct CookieMatcher {
    name: Box<str>,
    value: StringMatcher,
    invert: bool,
}

impl RouteMatch {
    /// Compiles a match message.
    pub fn compile(wire: Option<&wire::RouteMatch>) -> Result<RouteMatch, Invalid> {
        let wire = wire.ok_or_else(|| Invalid::new("match", "is missing"))?;
        if wire.tls_context.is_some() || !wire.dynamic_metadata.is_empty() || !wire.filter_state.is_empty() {
            return Err(Invalid::new("match", "by TLS context, metadata or filter state is not supported"));
        }
        Ok(RouteMatch {
            path: PathMatch::compile(wire).within("match")?,
            headers: HeaderMatcher::compile_all(&wire.headers).within("match")?,
            query: query_matchers(&wire.query_parameters).within("match")?,
            cookies: cookie_matchers(&wire.cookies).within("match")?,
            grpc: wire.grpc.is_some(),
            fraction: wire.runtime_fraction.as_ref().map(Fraction::runtime),
        })
    }

    /// How the path is matched.
    pub fn path(&self) -> &PathMatch {
        &self.path
    }

    /// Whether the request is one of this route's. The random number decides
    /// a fraction.
    pub fn matches<R: RequestHead>(&self, request: &R, random: u64) -> bool {
        self.path.matches(request)
            && self.fraction.is_none_or(|fraction| fraction.happens(random))
            && self.headers.iter().all(|matcher| matcher.matches(request))
            && self.query.iter().all(|matcher| matcher.matches(request.path()))
            && self.cookies.iter().all(|matcher| matcher.matches(request))
            && (!self.grpc || is_grpc(request))
    }
}

impl PathMatch {
    fn compile(wire: &wire::RouteMatch) -> Result<PathMatch, Invalid> {
        let test = match &wire.path_specifier {
            Some(PathSpecifier::Prefix(prefix)) => PathTest::Prefix(prefix.as_str().into()),
            Some(PathSpecifier::Path(path)) => PathTest::Exact(path.as_str().into()),
            Some(PathSpecifier::PathSeparatedPrefix(prefix)) => {
                if prefix.ends_with('/') || prefix.contains(['?', '#']) {
                    return Err(Invalid::new(
                        "path_separated_prefix",
                        format!("`{prefix}` ends with `/` or holds a query"),
                    ));
                }
                PathTest::Separated(prefix.as_str().into())
            }
            Some(PathSpecifier::SafeRegex(regex)) => {
                PathTest::Regex(FullRegex::compile(regex).within("safe_regex")?)
            }
            Some(PathSpecifier::ConnectMatcher(_)) => PathTest::Connect,
            Some(PathSpecifier::PathMatchPolicy(_)) => {
                return Err(Invalid::new("path_match_policy", "is not supported"));
            }
            None => return Err(Invalid::new("path_specifier", "is missing")),
        };
        Ok(PathMatch { test, case_sensitive: wire.case_sensitive.unwrap_or(true) })
    }

    fn matches<R: RequestHead>(&self, request: &R) -> bool {
        let (path, _) = split_query(request.path());
        match &self.test {
            PathTest::Prefix(prefix) => self.starts_with(path, prefix),
            PathTest::Exact(exact) => path.len() == exact.len() && self.starts_with(path, exact),
            PathTest::Separated(prefix) => {
                self.starts_with(path, prefix)
                    && matches!(path.as_bytes().get(prefix.len()), None | Some(b'/'))
            }
            PathTest::Regex(regex) => regex.matches(path.as_bytes()),
            PathTest::Connect => request.method() == "CONNECT",
        }
    }

    fn starts_with(&self, path: &str, prefix: &str) -> bool {
        path.as_bytes().get(..prefix.len()).is_some_and(|start| {
            if self.case_sensitive {
                start == prefix.as_bytes()
            } else {
                start.eq_ignore_ascii_case(prefix.as_bytes())
            }
        })
    }

    /// How many bytes of a matching path the test stands for: what a prefix
    /// rewrite replaces.
    pub fn matched_length(&self, path: &str) -> usize {
        match &self.test {
            PathTest::Prefix(prefix) | PathTest::Separated(prefix) => prefix.len(),
            PathTest::Exact(_) | PathTest::Regex(_) | PathTest::Connect => path.len(),
        }
    }
}

impl std::fmt::Display for PathMatch {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.test {
            PathTest::Prefix(prefix) => write!(out, "{prefix}*"),
            PathTest::Exact(path) => write!(out, "{path}"),
            PathTest::Separated(prefix) => write!(out, "PathPrefix:{prefix}"),
            PathTest::Regex(_) => write!(out, "regex"),
            PathTest::Connect => write!(out, "CONNECT"),
        }
    }
}

impl QueryMatcher {
    fn matches(&self, path: &str) -> bool {
        match (query_parameter(path, &self.name), &self.value) {
            (found, None) => found.is_some() == self.present,
            (Some(value), Some(matcher)) => matcher.matches(value.as_bytes()),
            (None, Some(_)) => false,
        }
    }
}

fn query_matchers(wire: &[wire::QueryParameterMatcher]) -> Result<Box<[QueryMatcher]>, Invalid> {
    use wire::query_parameter_matcher::QueryParameterMatchSpecifier as Specifier;
    wire.iter()
        .enumerate()
        .map(|(index, matcher)| {
            let (value, present) = match &matcher.query_parameter_match_specifier {
                None => (None, true),
                Some(Specifier::PresentMatch(present)) => (None, *present),
                Some(Specifier::StringMatch(text)) => {
                    (Some(StringMatcher::compile(text).within_entry("query_parameters", index)?), true)
                }
            };
            Ok(QueryMatcher { name: matcher.name.as_str().into(), value, present })
        })
        .collect()
}

impl CookieMatcher {
    fn matches<R: RequestHead>(&self, request: &R) -> bool {
        let cookies = joined(request, "cookie");
        let value = cookies.as_deref().and_then(|cookies| {
            cookies.split(|byte| *byte == b';' || *byte == b',').find_map(|cookie| {
                let cookie = cookie.trim_ascii();
                let equals = memchr::memchr(b'=', cookie)?;
                (&cookie[..equals] == self.name.as_bytes()).then(|| &cookie[equals + 1..])
            })
        });
        value.is_some_and(|value| self.value.matches(value)) != self.invert
    }
}

fn cookie_matchers(wire: &[wire::CookieMatcher]) -> Result<Box<[CookieMatcher]>, Invalid> {
    wire.iter()
        .enumerate()
        .map(|(index, cookie)| {
            let matcher =
                cookie.string_match.as_ref().ok_or_else(|| Invalid::new("string_match", "is missing"));
            Ok(CookieMatcher {
                name: cookie.name.as_str().into(),
                value: matcher.and_then(StringMatcher::compile).within_entry("cookies", index)?,
                invert: cookie.invert_match,
            })
        })
        .collect()
}

/// Whether the request carries gRPC.
pub fn is_grpc<R: RequestHead>(request: &R) -> bool {
    let mut values = request.values("content-type");
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    value
        .strip_prefix(b"application/grpc")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"+") || rest.starts_with(b";"))
}
