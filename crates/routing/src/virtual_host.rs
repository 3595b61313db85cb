//! Route tables: which virtual host a request is for, and its routes.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use xds::envoy::config::route::v3 as wire;
use xds::envoy::config::route::v3::virtual_host::TlsRequirementType;

use crate::cors::Cors;
use crate::header_mutation::HeaderMutations;
use crate::headers::RequestHead;
use crate::http_filter::PerRoute;
use crate::invalid::{Invalid, Within};
use crate::metadata::origin;
use crate::redirect::port_start;
use crate::retry::RetryPolicy;
use crate::route::Route;

/// A compiled route configuration.
#[derive(Debug, Clone)]
pub struct RouteTable {
    /// Its name.
    pub name: Arc<str>,
    /// The object that caused it.
    pub origin: Option<xds::origin::Origin>,
    /// Its virtual hosts.
    pub virtual_hosts: Box<[VirtualHost]>,
    /// Changes of every request's headers.
    pub request_headers: HeaderMutations,
    /// Changes of every response's headers.
    pub response_headers: HeaderMutations,
    /// What it says to filters.
    pub per_filter: PerRoute,
    /// The route's header changes come last, so that they win.
    pub most_specific_wins: bool,
    /// Header names that outsiders may not send.
    pub internal_only_headers: Box<[Box<str>]>,
    ignore_port: bool,
    hosts: HostIndex,
}

/// A group of host names with their routes.
#[derive(Debug, Clone)]
pub struct VirtualHost {
    /// Its name.
    pub name: Box<str>,
    /// The object that caused it.
    pub origin: Option<xds::origin::Origin>,
    /// The host names it is for.
    pub domains: Box<[Box<str>]>,
    /// Its routes, the first that matches is taken.
    pub routes: Box<[Route]>,
    /// Changes of the requests' headers.
    pub request_headers: HeaderMutations,
    /// Changes of the responses' headers.
    pub response_headers: HeaderMutations,
    /// What it says to filters.
    pub per_filter: PerRoute,
    /// For routes without a policy of their own.
    pub retry: Option<RetryPolicy>,
    /// Which plain requests are sent to https.
    pub require_tls: RequireTls,
    /// Upstreams learn which attempt they see.
    pub include_attempt_count: bool,
    /// Clients learn how many attempts it took.
    pub include_attempt_count_in_response: bool,
    /// How much of a request's body is kept for another attempt.
    pub buffer_limit: Option<u64>,
}

/// Which plain requests are sent to https.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RequireTls {
    /// None.
    #[default]
    None,
    /// Those from outside.
    External,
    /// All.
    All,
}

/// Which virtual host has a name; hosts are numbers of virtual hosts.
#[derive(Debug, Clone, Default)]
struct HostIndex {
    exact: HashMap<Box<str>, u32, RandomState>,
    /// `*.example.com`, stored from the dot on; the longest first.
    suffixes: Box<[(Box<str>, u32)]>,
    /// `example.*`, stored up to the dot; the longest first.
    prefixes: Box<[(Box<str>, u32)]>,
    any: Option<u32>,
}

impl RouteTable {
    /// Compiles a route configuration message.
    pub fn compile(wire: &wire::RouteConfiguration) -> Result<RouteTable, Invalid> {
        if wire.vhds.is_some() {
            return Err(Invalid::new("vhds", "is not supported"));
        }
        let virtual_hosts: Box<[VirtualHost]> = wire
            .virtual_hosts
            .iter()
            .enumerate()
            .map(|(index, host)| {
                VirtualHost::compile(host, wire.max_direct_response_body_size_bytes)
                    .within_entry("virtual_hosts", index)
            })
            .collect::<Result<_, _>>()?;
        let hosts = HostIndex::compile(&virtual_hosts)?;
        Ok(RouteTable {
            name: wire.name.as_str().into(),
            origin: origin(wire.metadata.as_ref()),
            virtual_hosts,
            request_headers: HeaderMutations::compile(
                "request_headers",
                &wire.request_headers_to_add,
                &wire.request_headers_to_remove,
            )?,
            response_headers: HeaderMutations::compile(
                "response_headers",
                &wire.response_headers_to_add,
                &wire.response_headers_to_remove,
            )?,
            per_filter: PerRoute::compile(&wire.typed_per_filter_config)?,
            most_specific_wins: wire.most_specific_header_mutations_wins,
            internal_only_headers: wire
                .internal_only_headers
                .iter()
                .map(|name| name.to_ascii_lowercase().into())
                .collect(),
            ignore_port: wire.ignore_port_in_host_matching,
            hosts,
        })
    }

    /// The virtual host for an authority.
    pub fn virtual_host(&self, authority: &str) -> Option<&VirtualHost> {
        let host = match port_start(authority) {
            Some(port) if self.ignore_port => &authority[..port],
            _ => authority,
        };
        let found = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            self.hosts.find(&host.to_ascii_lowercase())
        } else {
            self.hosts.find(host)
        };
        self.virtual_hosts.get(usize::try_from(found?).ok()?)
    }
}

impl VirtualHost {
    fn compile(wire: &wire::VirtualHost, max_direct_body: Option<u32>) -> Result<VirtualHost, Invalid> {
        if wire.matcher.is_some() {
            return Err(Invalid::new("matcher", "is not supported"));
        }
        let mut per_filter = PerRoute::compile(&wire.typed_per_filter_config)?;
        if per_filter.cors.is_none()
            && let Some(cors) = &wire.cors
        {
            per_filter.cors = Some(Arc::new(Cors::compile_route(cors).within("cors")?));
        }
        Ok(VirtualHost {
            name: wire.name.as_str().into(),
            origin: origin(wire.metadata.as_ref()),
            domains: wire.domains.iter().map(|domain| domain.as_str().into()).collect(),
            routes: wire
                .routes
                .iter()
                .enumerate()
                .map(|(index, route)| Route::compile(route, max_direct_body).within_entry("routes", index))
                .collect::<Result<_, _>>()?,
            request_headers: HeaderMutations::compile(
                "request_headers",
                &wire.request_headers_to_add,
                &wire.request_headers_to_remove,
            )?,
            response_headers: HeaderMutations::compile(
                "response_headers",
                &wire.response_headers_to_add,
                &wire.response_headers_to_remove,
            )?,
            per_filter,
            retry: wire.retry_policy.as_ref().map(RetryPolicy::compile).transpose().within("retry_policy")?,
            require_tls: match TlsRequirementType::try_from(wire.require_tls) {
                Ok(TlsRequirementType::All) => RequireTls::All,
                Ok(TlsRequirementType::ExternalOnly) => RequireTls::External,
                _ => RequireTls::None,
            },
            include_attempt_count: wire.include_request_attempt_count,
            include_attempt_count_in_response: wire.include_attempt_count_in_response,
            buffer_limit: wire
                .request_body_buffer_limit
                .or(wire.per_request_buffer_limit_bytes.map(u64::from)),
        })
    }

    /// The first route that matches.
    pub fn route<R: RequestHead>(&self, request: &R, random: u64) -> Option<&Route> {
        self.routes.iter().find(|route| route.matcher.matches(request, random))
    }
}

impl HostIndex {
    fn compile(virtual_hosts: &[VirtualHost]) -> Result<HostIndex, Invalid> {
        let mut index = HostIndex::default();
        let mut suffixes: Vec<(Box<str>, u32)> = Vec::new();
        let mut prefixes: Vec<(Box<str>, u32)> = Vec::new();
        for (number, host) in virtual_hosts.iter().enumerate() {
            let number = u32::try_from(number).map_err(|_| Invalid::new("virtual_hosts", "are too many"))?;
            for domain in &host.domains {
                let domain = domain.to_ascii_lowercase();
                let duplicate = if domain == "*" {
                    index.any.replace(number).is_some()
                } else if let Some(suffix) = domain.strip_prefix('*') {
                    push_unique(&mut suffixes, suffix, number)
                } else if let Some(prefix) = domain.strip_suffix('*') {
                    push_unique(&mut prefixes, prefix, number)
                } else {
                    index.exact.insert(domain.as_str().into(), number).is_some()
                };
                if duplicate {
                    return Err(Invalid::new(
                        "virtual_hosts",
                        format!("domain `{domain}` appears in more than one place, again in `{}`", host.name),
                    ));
                }
            }
        }
        suffixes.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        index.suffixes = suffixes.into();
        index.prefixes = prefixes.into();
        Ok(index)
    }

    fn find(&self, host: &str) -> Option<u32> {
        if host.is_empty() {
            return self.any;
        }
        if let Some(number) = self.exact.get(host) {
            return Some(*number);
        }
        let by_suffix =
            self.suffixes.iter().find(|(suffix, _)| host.len() > suffix.len() && host.ends_with(&**suffix));
        let by_prefix = || {
            self.prefixes.iter().find(|(prefix, _)| host.len() > prefix.len() && host.starts_with(&**prefix))
        };
        by_suffix.or_else(by_prefix).map(|(_, number)| *number).or(self.any)
    }
}

/// Whether the text was there already.
fn push_unique(list: &mut Vec<(Box<str>, u32)>, text: &str, number: u32) -> bool {
    let duplicate = list.iter().any(|(present, _)| &**present == text);
    list.push((text.into(), number));
    duplicate
}
