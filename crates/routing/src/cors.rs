//! Cross-origin policies.

use xds::envoy::config::route::v3::{CorsPolicy as RouteCors, cors_policy::EnabledSpecifier};
use xds::envoy::extensions::filters::http::cors::v3::CorsPolicy as FilterCors;

use crate::invalid::{Invalid, Within};
use crate::percent::Fraction;
use crate::string_match::StringMatcher;

/// Which origins may do what.
#[derive(Debug, Clone)]
pub struct Cors {
    origins: Box<[StringMatcher]>,
    /// `access-control-allow-methods`.
    pub allow_methods: Box<str>,
    /// `access-control-allow-headers`.
    pub allow_headers: Box<str>,
    /// `access-control-expose-headers`.
    pub expose_headers: Box<str>,
    /// `access-control-max-age`.
    pub max_age: Box<str>,
    /// `access-control-allow-credentials`.
    pub allow_credentials: bool,
    /// Preflights of other origins go to the upstream.
    pub forward_not_matching_preflights: bool,
    enabled: bool,
}

impl Cors {
    /// Compiles the policy in its place inside a route or virtual host.
    pub fn compile_route(wire: &RouteCors) -> Result<Cors, Invalid> {
        let enabled = match &wire.enabled_specifier {
            Some(EnabledSpecifier::FilterEnabled(share)) => !Fraction::runtime(share).is_never(),
            None => true,
        };
        Ok(Cors {
            origins: origins(&wire.allow_origin_string_match)?,
            allow_methods: wire.allow_methods.as_str().into(),
            allow_headers: wire.allow_headers.as_str().into(),
            expose_headers: wire.expose_headers.as_str().into(),
            max_age: wire.max_age.as_str().into(),
            allow_credentials: wire.allow_credentials.unwrap_or_default(),
            forward_not_matching_preflights: wire.forward_not_matching_preflights.unwrap_or(true),
            enabled,
        })
    }

    /// Compiles the policy in the filter's own message.
    pub fn compile_filter(wire: &FilterCors) -> Result<Cors, Invalid> {
        Ok(Cors {
            origins: origins(&wire.allow_origin_string_match)?,
            allow_methods: wire.allow_methods.as_str().into(),
            allow_headers: wire.allow_headers.as_str().into(),
            expose_headers: wire.expose_headers.as_str().into(),
            max_age: wire.max_age.as_str().into(),
            allow_credentials: wire.allow_credentials.unwrap_or_default(),
            forward_not_matching_preflights: wire.forward_not_matching_preflights.unwrap_or(true),
            enabled: wire.filter_enabled.as_ref().is_none_or(|share| !Fraction::runtime(share).is_never()),
        })
    }

    /// Whether the origin may ask.
    pub fn allows(&self, origin: &[u8]) -> bool {
        self.enabled && self.origins.iter().any(|matcher| matcher.matches(origin))
    }

    /// Whether the policy is in force.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }
}

fn origins(wire: &[xds::envoy::r#type::matcher::v3::StringMatcher]) -> Result<Box<[StringMatcher]>, Invalid> {
    wire.iter()
        .enumerate()
        .map(|(index, matcher)| {
            StringMatcher::compile(matcher).within_entry("allow_origin_string_match", index)
        })
        .collect()
}
