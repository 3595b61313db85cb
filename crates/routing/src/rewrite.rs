//! Rewriting of path and host on the way upstream.

use std::borrow::Cow;

use xds::envoy::config::route::v3 as wire;
use xds::envoy::config::route::v3::route_action::HostRewriteSpecifier;

use crate::invalid::{Invalid, Within};
use crate::path::split_query;
use crate::regex_match::Substitution;
use crate::route_match::PathMatch;

/// What replaces the path.
#[derive(Debug, Clone)]
pub enum PathRewrite {
    /// The part of the path that the route matched is replaced.
    Prefix(Box<str>),
    /// Each match of a pattern in the path is replaced.
    Regex(Substitution),
}

impl PathRewrite {
    /// Compiles the rewrite of a route action.
    pub fn compile(action: &wire::RouteAction) -> Result<Option<PathRewrite>, Invalid> {
        if action.path_rewrite_policy.is_some() || !action.path_rewrite.is_empty() {
            return Err(Invalid::new("path_rewrite", "is not supported"));
        }
        if let Some(regex) = &action.regex_rewrite {
            return Ok(Some(PathRewrite::Regex(Substitution::compile(regex).within("regex_rewrite")?)));
        }
        if action.prefix_rewrite.is_empty() {
            return Ok(None);
        }
        Ok(Some(PathRewrite::Prefix(action.prefix_rewrite.as_str().into())))
    }

    /// The new path and query.
    pub fn apply(&self, matched: &PathMatch, path_and_query: &str) -> String {
        let (path, query) = split_query(path_and_query);
        let new_path: Cow<'_, str> = match self {
            PathRewrite::Prefix(prefix) => {
                let rest = path.get(matched.matched_length(path)..).unwrap_or_default();
                format!("{prefix}{rest}").into()
            }
            PathRewrite::Regex(substitution) => {
                String::from_utf8_lossy(&substitution.replace(path.as_bytes())).into_owned().into()
            }
        };
        format!("{new_path}{query}")
    }
}

/// What replaces the host.
#[derive(Debug, Clone)]
pub enum HostRewrite {
    /// A fixed host.
    Literal(Box<str>),
    /// The name of the endpoint that is chosen.
    EndpointName,
    /// The value of a request header.
    Header(Box<str>),
    /// The path through a pattern.
    Path(Substitution),
}

impl HostRewrite {
    /// Compiles the rewrite of a route action.
    pub fn compile(specifier: Option<&HostRewriteSpecifier>) -> Result<Option<HostRewrite>, Invalid> {
        Ok(match specifier {
            None | Some(HostRewriteSpecifier::AutoHostRewrite(false)) => None,
            Some(HostRewriteSpecifier::HostRewriteLiteral(host)) => {
                Some(HostRewrite::Literal(host.as_str().into()))
            }
            Some(HostRewriteSpecifier::AutoHostRewrite(true)) => Some(HostRewrite::EndpointName),
            Some(HostRewriteSpecifier::HostRewriteHeader(name)) => {
                Some(HostRewrite::Header(name.to_ascii_lowercase().into()))
            }
            Some(HostRewriteSpecifier::HostRewritePathRegex(regex)) => {
                Some(HostRewrite::Path(Substitution::compile(regex).within("host_rewrite_path_regex")?))
            }
            Some(HostRewriteSpecifier::HostRewrite(_)) => {
                return Err(Invalid::new("host_rewrite", "is not supported"));
            }
        })
    }
}
