//! The HTTP filters that this proxy has, and what becomes of the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::{Message, Name};
use xds::any::{is, message_name};
use xds::envoy::config::route::v3::FilterConfig;
use xds::envoy::extensions::filters::http::cors::v3::{Cors as CorsFilter, CorsPolicy};
use xds::envoy::extensions::filters::http::fault::v3::HttpFault;
use xds::envoy::extensions::filters::http::router::v3::Router as RouterFilter;
use xds::envoy::extensions::filters::network::http_connection_manager::v3 as wire;
use xds::envoy::extensions::filters::network::http_connection_manager::v3::http_filter::ConfigType;
use xds::google::protobuf::Any;

use crate::cors::Cors;
use crate::fault::Fault;
use crate::invalid::{Invalid, Within};
use crate::istio::{self, AlpnOverride, Content, PeerMetadata, Stats};

/// The HTTP filters of a connection manager. Each is there at most once, and
/// they act in the order of the fields: the order in which Istio puts them.
#[derive(Debug, Clone, Default)]
pub struct HttpFilters {
    /// Tells peers about each other.
    pub peer_metadata: Option<PeerMetadata>,
    /// Injects delays and failures.
    pub fault: Option<Arc<Fault>>,
    /// Answers cross-origin questions.
    pub cors: bool,
    /// Counts Istio's metrics.
    pub stats: Option<Stats>,
    /// Application protocols for endpoints, by the version of HTTP.
    pub alpn: Option<Arc<AlpnOverride>>,
    /// Forwards.
    pub router: Option<Router>,
    /// Filters that are configured and not known here: passed over.
    pub skipped: Vec<String>,
}

/// Options of the filter that forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Router {
    /// No `x-envoy-` headers are added.
    pub suppress_envoy_headers: bool,
}

/// What routes and virtual hosts say to filters.
#[derive(Debug, Clone, Default)]
pub struct PerRoute {
    /// In place of the fault filter's own configuration; `Some(None)`
    /// switches the filter off.
    pub fault: Option<Option<Arc<Fault>>>,
    /// The cross-origin policy.
    pub cors: Option<Arc<Cors>>,
}

/// Filters that guard access: a listener with one that is not known here is
/// refused, for passing over it would open what it guards.
const GUARDS: [&str; 14] = [
    "envoy.extensions.filters.http.rbac.",
    "envoy.extensions.filters.http.jwt_authn.",
    "envoy.extensions.filters.http.ext_authz.",
    "envoy.extensions.filters.http.ext_proc.",
    "envoy.extensions.filters.http.oauth2.",
    "envoy.extensions.filters.http.basic_auth.",
    "envoy.extensions.filters.http.api_key_auth.",
    "envoy.extensions.filters.http.csrf.",
    "envoy.extensions.filters.http.wasm.",
    "envoy.extensions.filters.http.lua.",
    "envoy.extensions.filters.http.ip_tagging.",
    "envoy.extensions.filters.network.rbac.",
    "envoy.extensions.filters.network.ext_authz.",
    "envoy.extensions.filters.network.wasm.",
];

/// Known by name: what it counts is counted elsewhere.
const WITHOUT_EFFECT: [&str; 1] = ["envoy.extensions.filters.http.grpc_stats.v3.FilterConfig"];

/// Whether passing over a filter of this type would open what it guards.
pub fn guards_access(type_name: &str) -> bool {
    GUARDS.iter().any(|guard| type_name.starts_with(guard))
}

impl HttpFilters {
    /// Compiles a connection manager's list.
    pub fn compile(wire: &[wire::HttpFilter]) -> Result<HttpFilters, Invalid> {
        let mut filters = HttpFilters::default();
        for (index, filter) in wire.iter().enumerate() {
            if !filter.disabled {
                filters.add(filter).within_entry("http_filters", index)?;
            }
        }
        if filters.router.is_none() {
            return Err(Invalid::new("http_filters", "hold no router"));
        }
        Ok(filters)
    }

    fn add(&mut self, filter: &wire::HttpFilter) -> Result<(), Invalid> {
        let any = match &filter.config_type {
            Some(ConfigType::TypedConfig(any)) => any,
            Some(ConfigType::ConfigDiscovery(_)) => {
                return Err(Invalid::new("config_discovery", "is not supported"));
            }
            None => return Err(Invalid::new("typed_config", "is missing")),
        };
        let config = istio::unwrap(any)?;
        let name = config.type_name.as_str();
        if name == RouterFilter::full_name() {
            let router: RouterFilter = message(&config.content)?;
            self.router = Some(Router { suppress_envoy_headers: router.suppress_envoy_headers });
        } else if name == HttpFault::full_name() {
            self.fault = Some(Arc::new(Fault::compile(&message(&config.content)?)?));
        } else if name == CorsFilter::full_name() {
            self.cors = true;
        } else if name == istio::names::STATS {
            self.stats = Some(Stats::compile(&config.content)?);
        } else if name == istio::names::ALPN {
            self.alpn = Some(Arc::new(AlpnOverride::compile(&config.content)?));
        } else if name == istio::names::PEER_METADATA {
            self.peer_metadata = Some(PeerMetadata::compile(&config.content)?);
        } else if guards_access(name) {
            return Err(Invalid::new("typed_config", format!("`{name}` guards access and is not supported")));
        } else if !WITHOUT_EFFECT.contains(&name) {
            self.skipped.push(format!("{} ({name})", filter.name));
        }
        Ok(())
    }
}

impl PerRoute {
    /// Compiles the map from filter name to configuration.
    pub fn compile(wire: &BTreeMap<String, Any>) -> Result<PerRoute, Invalid> {
        let mut per_route = PerRoute::default();
        for (name, any) in wire {
            per_route.add(any).within("typed_per_filter_config").within(name)?;
        }
        Ok(per_route)
    }

    fn add(&mut self, any: &Any) -> Result<(), Invalid> {
        if is::<FilterConfig>(any) {
            let wrapper: FilterConfig = crate::message::decode(any)?;
            return match wrapper.config {
                Some(config) if wrapper.disabled && is::<HttpFault>(&config) => {
                    self.fault = Some(None);
                    Ok(())
                }
                Some(config) if !is::<FilterConfig>(&config) => self.add(&config),
                _ => Ok(()),
            };
        }
        if is::<HttpFault>(any) {
            self.fault = Some(Some(Arc::new(Fault::compile(&crate::message::decode(any)?)?)));
        } else if is::<CorsPolicy>(any) {
            self.cors = Some(Arc::new(Cors::compile_filter(&crate::message::decode(any)?)?));
        } else if guards_access(message_name(&any.type_url)) {
            return Err(Invalid::new("type_url", "guards access and is not supported"));
        }
        Ok(())
    }
}

fn message<T: Message + Default>(content: &Content) -> Result<T, Invalid> {
    match content {
        Content::Message(bytes) => {
            T::decode(bytes.clone()).map_err(|error| Invalid::new("typed_config", error))
        }
        Content::Fields(_) => Err(Invalid::new("typed_config", "must not be a TypedStruct")),
    }
}
