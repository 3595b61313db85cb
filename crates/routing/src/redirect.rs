//! Where clients are sent instead.

use xds::envoy::config::route::v3 as wire;
use xds::envoy::config::route::v3::redirect_action::{
    PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier,
};

use crate::headers::{RequestHead, joined};
use crate::invalid::{Invalid, Within};
use crate::path::split_query;
use crate::regex_match::Substitution;
use crate::rewrite::PathRewrite;
use crate::route_match::PathMatch;

/// A redirection.
#[derive(Debug, Clone)]
pub struct Redirect {
    /// The status.
    pub status: u16,
    scheme: Option<Box<str>>,
    host: Box<str>,
    port: Option<u16>,
    path: Option<PathRedirect>,
    strip_query: bool,
}

#[derive(Debug, Clone)]
enum PathRedirect {
    Whole(Box<str>),
    Rewrite(PathRewrite),
}

impl Redirect {
    /// Compiles a redirect message.
    pub fn compile(wire: &wire::RedirectAction) -> Result<Redirect, Invalid> {
        let status = match RedirectResponseCode::try_from(wire.response_code) {
            Ok(RedirectResponseCode::Found) => 302,
            Ok(RedirectResponseCode::SeeOther) => 303,
            Ok(RedirectResponseCode::TemporaryRedirect) => 307,
            Ok(RedirectResponseCode::PermanentRedirect) => 308,
            _ => 301,
        };
        let scheme = match &wire.scheme_rewrite_specifier {
            Some(SchemeRewriteSpecifier::HttpsRedirect(true)) => Some("https".into()),
            Some(SchemeRewriteSpecifier::SchemeRedirect(scheme)) if !scheme.is_empty() => {
                Some(scheme.to_ascii_lowercase().into())
            }
            _ => None,
        };
        let path = match &wire.path_rewrite_specifier {
            Some(PathRewriteSpecifier::PathRedirect(path)) if !path.is_empty() => {
                Some(PathRedirect::Whole(path.as_str().into()))
            }
            Some(PathRewriteSpecifier::PrefixRewrite(prefix)) => {
                Some(PathRedirect::Rewrite(PathRewrite::Prefix(prefix.as_str().into())))
            }
            Some(PathRewriteSpecifier::RegexRewrite(regex)) => {
                let substitution = Substitution::compile(regex).within("regex_rewrite")?;
                Some(PathRedirect::Rewrite(PathRewrite::Regex(substitution)))
            }
            Some(PathRewriteSpecifier::PathRewrite(text)) if !text.is_empty() => {
                return Err(Invalid::new("path_rewrite", "is not supported"));
            }
            _ => None,
        };
        let port = match wire.port_redirect {
            0 => None,
            port => Some(u16::try_from(port).map_err(|_| Invalid::new("port_redirect", "is no port"))?),
        };
        Ok(Redirect {
            status,
            scheme,
            host: wire.host_redirect.as_str().into(),
            port,
            path,
            strip_query: wire.strip_query,
        })
    }

    /// A redirection to the same place over TLS.
    pub fn to_https() -> Redirect {
        Redirect {
            status: 301,
            scheme: Some("https".into()),
            host: "".into(),
            port: None,
            path: None,
            strip_query: false,
        }
    }

    /// The address that the client is sent to.
    pub fn location<R: RequestHead>(&self, request: &R, matched: Option<&PathMatch>) -> String {
        let scheme = self.scheme.as_deref().unwrap_or(request.scheme());
        let host = if self.host.is_empty() { self.request_host(request, scheme) } else { &self.host };
        let path = self.new_path(request.path(), matched);
        match self.port {
            Some(port) => format!("{scheme}://{host}:{port}{path}"),
            None => format!("{scheme}://{host}{path}"),
        }
    }

    /// The host that was asked for; without its port when the redirection
    /// names one, or when it was the default port of another scheme.
    fn request_host<'a, R: RequestHead>(&self, request: &'a R, scheme: &str) -> &'a str {
        let authority = request.authority();
        let Some(at) = port_start(authority) else { return authority };
        let forwarded = joined(request, "x-forwarded-proto");
        let before = forwarded.as_deref().unwrap_or(request.scheme().as_bytes());
        let default_port: &[u8] = match before {
            b"http" => b":80",
            b"https" => b":443",
            _ => b"",
        };
        let needless = scheme.as_bytes() != before && &authority.as_bytes()[at..] == default_port;
        if self.port.is_some() || needless { &authority[..at] } else { authority }
    }

    fn new_path(&self, path_and_query: &str, matched: Option<&PathMatch>) -> String {
        let (path, query) = split_query(path_and_query);
        let query = if self.strip_query { "" } else { query };
        match &self.path {
            None => format!("{path}{query}"),
            Some(PathRedirect::Whole(whole)) if whole.contains('?') => whole.to_string(),
            Some(PathRedirect::Whole(whole)) => format!("{whole}{query}"),
            Some(PathRedirect::Rewrite(rewrite)) => match matched {
                Some(matched) => rewrite.apply(matched, path) + query,
                None => format!("{path}{query}"),
            },
        }
    }
}

/// Where the port begins in an authority, at its colon.
pub fn port_start(authority: &str) -> Option<usize> {
    let colon = authority.rfind(':')?;
    let digits = &authority[colon + 1..];
    let inside_brackets = authority[colon..].contains(']');
    (!inside_brackets && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then_some(colon)
}

#[cfg(test)]
mod tests;
