//! One route: which requests it is for and what happens to them.

use std::sync::Arc;
use std::time::Duration;

use xds::envoy::config::route::v3 as wire;
use xds::envoy::config::route::v3::route::Action as WireAction;
use xds::envoy::config::route::v3::route_action::{ClusterNotFoundResponseCode, ClusterSpecifier};
use xds::envoy::config::route::v3::weighted_cluster::cluster_weight::HostRewriteSpecifier as WeightHostRewrite;

use crate::access_log::inline;
use crate::cors::Cors;
use crate::hash_policy::HashPolicy;
use crate::header_mutation::HeaderMutations;
use crate::http_filter::PerRoute;
use crate::invalid::{Invalid, Within};
use crate::message::{duration, positive};
use crate::metadata::origin;
use crate::percent::Fraction;
use crate::redirect::Redirect;
use crate::retry::RetryPolicy;
use crate::rewrite::{HostRewrite, PathRewrite};
use crate::route_match::RouteMatch;

/// A route of a virtual host.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its name, if it has one.
    pub name: Box<str>,
    /// The object that caused it.
    pub origin: Option<xds::origin::Origin>,
    /// Which requests it is for.
    pub matcher: RouteMatch,
    /// What happens to them.
    pub action: Action,
    /// Changes of the request's headers.
    pub request_headers: HeaderMutations,
    /// Changes of the response's headers.
    pub response_headers: HeaderMutations,
    /// What it says to filters.
    pub per_filter: PerRoute,
    /// The operation's name for traces, and whether the upstream is told.
    pub decorator: Option<(Box<str>, bool)>,
    /// How much of a request's body is kept for another attempt.
    pub buffer_limit: Option<u64>,
}

/// What happens to a request.
#[derive(Debug, Clone)]
pub enum Action {
    /// It goes to a cluster.
    Forward(Box<Forward>),
    /// The client is sent elsewhere.
    Redirect(Box<Redirect>),
    /// It is answered here.
    Respond(DirectResponse),
    /// Nothing is configured that a proxy could do.
    NonForwarding,
}

/// A fixed answer.
#[derive(Debug, Clone)]
pub struct DirectResponse {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: bytes::Bytes,
}

/// How a request goes to a cluster.
#[derive(Debug, Clone)]
pub struct Forward {
    /// Which cluster.
    pub target: Target,
    /// How long the answer may take, all attempts together; `None`: for
    /// ever.
    pub timeout: Option<Duration>,
    /// How long nothing may move; `None`: the connection manager's value.
    pub idle_timeout: Option<Duration>,
    /// How long the stream may exist.
    pub max_stream_duration: Option<Duration>,
    /// Whether and when it is tried again.
    pub retry: Option<RetryPolicy>,
    /// What replaces the path.
    pub path_rewrite: Option<PathRewrite>,
    /// What replaces the host.
    pub host_rewrite: Option<HostRewrite>,
    /// The host before its rewrite goes into `x-forwarded-host`.
    pub append_x_forwarded_host: bool,
    /// The status when the cluster does not exist.
    pub cluster_not_found: u16,
    /// Upgrades that the route allows or forbids, by name in lower case.
    pub upgrades: Box<[(Box<str>, bool)]>,
    /// CONNECT ends here: what it carries goes to the cluster as it is.
    pub terminates_connect: bool,
    /// What becomes of the time that a gRPC client says it waits.
    pub grpc_timeout: Option<GrpcTimeout>,
    /// Copies that go to other clusters.
    pub mirrors: Box<[Mirror]>,
    /// What a consistent hash is taken of.
    pub hash_policies: Box<[HashPolicy]>,
    /// Which of the cluster's limits hold.
    pub priority: Priority,
}

/// Which of a cluster's limits hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Priority {
    /// Those of normal requests.
    #[default]
    Normal,
    /// Those of important ones.
    High,
}

/// What becomes of the time that a gRPC client says it waits
/// (`grpc-timeout`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrpcTimeout {
    /// It may be no longer than this; `None`: as long as the client says.
    pub most: Option<Duration>,
    /// So much is taken off.
    pub offset: Duration,
    /// What the time is of.
    pub limits: Limited,
}

/// What a time limit is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limited {
    /// The answer, in place of the route's timeout.
    Response,
    /// The stream, in place of its longest duration.
    Stream,
}

/// Which cluster a request goes to.
#[derive(Debug, Clone)]
pub enum Target {
    /// This one.
    Cluster(Arc<str>),
    /// One of these, by weight.
    Weighted(Box<WeightedClusters>),
    /// The one that a request header names.
    Header(Box<str>),
}

/// Clusters with weights.
#[derive(Debug, Clone)]
pub struct WeightedClusters {
    /// The clusters.
    pub clusters: Box<[WeightedCluster]>,
    /// The sum of their weights.
    pub total: u64,
}

/// One cluster of several.
#[derive(Debug, Clone)]
pub struct WeightedCluster {
    /// Its name.
    pub name: Arc<str>,
    /// Its weight.
    pub weight: u32,
    /// Changes of the request's headers, before those of the route.
    pub request_headers: HeaderMutations,
    /// Changes of the response's headers, before those of the route.
    pub response_headers: HeaderMutations,
    /// What it says to filters.
    pub per_filter: PerRoute,
    /// What replaces the host.
    pub host_rewrite: Option<HostRewrite>,
}

/// A copy of requests.
#[derive(Debug, Clone)]
pub struct Mirror {
    /// The cluster it goes to.
    pub cluster: Arc<str>,
    /// Which share of the requests is copied.
    pub share: Fraction,
    /// The copy goes to the host that the request went to, not to its shadow.
    pub keeps_host: bool,
}

/// Envoy's timeout of a route that names none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);
/// Envoy's limit of a fixed answer's body.
const MAX_DIRECT_BODY: usize = 4096;

impl Route {
    /// Compiles a route message.
    pub fn compile(wire: &wire::Route, max_direct_body: Option<u32>) -> Result<Route, Invalid> {
        let action = match &wire.action {
            Some(WireAction::Route(route)) => {
                Action::Forward(Box::new(Forward::compile(route).within("route")?))
            }
            Some(WireAction::Redirect(redirect)) => {
                Action::Redirect(Box::new(Redirect::compile(redirect).within("redirect")?))
            }
            Some(WireAction::DirectResponse(response)) => {
                Action::Respond(direct_response(response, max_direct_body).within("direct_response")?)
            }
            Some(WireAction::NonForwardingAction(_)) => Action::NonForwarding,
            Some(WireAction::FilterAction(_)) => {
                return Err(Invalid::new("filter_action", "is not supported"));
            }
            None => return Err(Invalid::new("action", "is missing")),
        };
        let mut per_filter = PerRoute::compile(&wire.typed_per_filter_config)?;
        if per_filter.cors.is_none()
            && let Some(WireAction::Route(route)) = &wire.action
            && let Some(cors) = &route.cors
        {
            per_filter.cors = Some(Arc::new(Cors::compile_route(cors).within("cors")?));
        }
        Ok(Route {
            name: wire.name.as_str().into(),
            origin: origin(wire.metadata.as_ref()),
            matcher: RouteMatch::compile(wire.r#match.as_ref())?,
            action,
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
            decorator: wire
                .decorator
                .as_ref()
                .map(|decorator| (decorator.operation.as_str().into(), decorator.propagate.unwrap_or(true))),
            buffer_limit: wire
                .request_body_buffer_limit
                .or(wire.per_request_buffer_limit_bytes.map(u64::from)),
        })
    }
}

fn direct_response(wire: &wire::DirectResponseAction, max: Option<u32>) -> Result<DirectResponse, Invalid> {
    let status = match u16::try_from(wire.status) {
        Ok(status @ 200..=599) => status,
        _ => return Err(Invalid::new("status", format!("{} is no status", wire.status))),
    };
    let body = wire.body.as_ref().map(inline).transpose().within("body")?.unwrap_or_default();
    let limit = max.map_or(MAX_DIRECT_BODY, |max| usize::try_from(max).unwrap_or(usize::MAX));
    if body.len() > limit {
        return Err(Invalid::new("body", format!("is {} bytes long, more than {limit}", body.len())));
    }
    Ok(DirectResponse { status, body: body.into() })
}

impl Forward {
    fn compile(wire: &wire::RouteAction) -> Result<Forward, Invalid> {
        let timeout = match wire.timeout.as_ref() {
            None => Some(DEFAULT_TIMEOUT),
            Some(timeout) => duration(timeout).filter(|timeout| !timeout.is_zero()),
        };
        let not_found = match ClusterNotFoundResponseCode::try_from(wire.cluster_not_found_response_code) {
            Ok(ClusterNotFoundResponseCode::NotFound) => 404,
            Ok(ClusterNotFoundResponseCode::InternalServerError) => 500,
            _ => 503,
        };
        Ok(Forward {
            target: Target::compile(wire)?,
            timeout,
            idle_timeout: wire.idle_timeout.as_ref().and_then(duration),
            max_stream_duration: wire
                .max_stream_duration
                .as_ref()
                .and_then(|limit| positive(limit.max_stream_duration.as_ref())),
            retry: wire.retry_policy.as_ref().map(RetryPolicy::compile).transpose().within("retry_policy")?,
            path_rewrite: PathRewrite::compile(wire)?,
            host_rewrite: HostRewrite::compile(wire.host_rewrite_specifier.as_ref())?,
            append_x_forwarded_host: wire.append_x_forwarded_host,
            cluster_not_found: not_found,
            upgrades: wire
                .upgrade_configs
                .iter()
                .map(|upgrade| {
                    (upgrade.upgrade_type.to_ascii_lowercase().into(), upgrade.enabled.unwrap_or(true))
                })
                .collect(),
            terminates_connect: wire.upgrade_configs.iter().any(|upgrade| {
                upgrade.upgrade_type.eq_ignore_ascii_case("connect")
                    && upgrade.enabled.unwrap_or(true)
                    && upgrade.connect_config.is_some()
            }),
            grpc_timeout: GrpcTimeout::compile(wire),
            mirrors: wire
                .request_mirror_policies
                .iter()
                .map(|mirror| Mirror {
                    cluster: mirror.cluster.as_str().into(),
                    share: mirror.runtime_fraction.as_ref().map_or(Fraction::ALWAYS, Fraction::runtime),
                    keeps_host: mirror.disable_shadow_host_suffix_append,
                })
                .collect(),
            hash_policies: HashPolicy::compile_all(&wire.hash_policy)?,
            priority: if wire.priority == 1 { Priority::High } else { Priority::Normal },
        })
    }

    /// Whether the route itself allows or forbids an upgrade; `None`: the
    /// connection manager decides.
    pub fn allows_upgrade(&self, name: &str) -> Option<bool> {
        self.upgrades
            .iter()
            .find(|(upgrade, _)| upgrade.eq_ignore_ascii_case(name))
            .map(|(_, allowed)| *allowed)
    }
}

impl GrpcTimeout {
    fn compile(wire: &wire::RouteAction) -> Option<GrpcTimeout> {
        if let Some(stream) = &wire.max_stream_duration
            && let Some(most) = &stream.grpc_timeout_header_max
        {
            let offset = stream.grpc_timeout_header_offset.as_ref().and_then(duration);
            let offset = offset.unwrap_or_default();
            return Some(GrpcTimeout { most: positive(Some(most)), offset, limits: Limited::Stream });
        }
        let most = wire.max_grpc_timeout.as_ref()?;
        let offset = wire.grpc_timeout_offset.as_ref().and_then(duration).unwrap_or_default();
        Some(GrpcTimeout { most: positive(Some(most)), offset, limits: Limited::Response })
    }

    /// The limit that follows from the client's header; `None` is no limit.
    pub fn apply(&self, header: Option<&[u8]>) -> Option<Duration> {
        let asked = header.and_then(grpc_timeout).filter(|asked| !asked.is_zero());
        let asked = asked.map(|asked| if asked > self.offset { asked - self.offset } else { asked });
        match (asked, self.most) {
            (Some(asked), Some(most)) => Some(asked.min(most)),
            (asked, most) => asked.or(most),
        }
    }
}

/// Digits and a unit, as gRPC writes a timeout.
fn grpc_timeout(text: &[u8]) -> Option<Duration> {
    let (unit, digits) = text.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

impl Target {
    fn compile(wire: &wire::RouteAction) -> Result<Target, Invalid> {
        match &wire.cluster_specifier {
            Some(ClusterSpecifier::Cluster(name)) if !name.is_empty() => {
                Ok(Target::Cluster(name.as_str().into()))
            }
            Some(ClusterSpecifier::ClusterHeader(name)) if !name.is_empty() => {
                Ok(Target::Header(name.to_ascii_lowercase().into()))
            }
            Some(ClusterSpecifier::WeightedClusters(weighted)) => WeightedClusters::compile(weighted)
                .within("weighted_clusters")
                .map(|clusters| Target::Weighted(Box::new(clusters))),
            Some(ClusterSpecifier::Cluster(_) | ClusterSpecifier::ClusterHeader(_)) | None => {
                Err(Invalid::new("cluster", "is missing"))
            }
            Some(_) => Err(Invalid::new("cluster_specifier_plugin", "is not supported")),
        }
    }
}

impl WeightedClusters {
    fn compile(wire: &wire::WeightedCluster) -> Result<WeightedClusters, Invalid> {
        let clusters: Box<[WeightedCluster]> = wire
            .clusters
            .iter()
            .enumerate()
            .map(|(index, cluster)| WeightedCluster::compile(cluster).within_entry("clusters", index))
            .collect::<Result<_, _>>()?;
        let total: u64 = clusters.iter().map(|cluster| u64::from(cluster.weight)).sum();
        if total == 0 {
            return Err(Invalid::new("clusters", "have no weight at all"));
        }
        if total > u64::from(u32::MAX) {
            return Err(Invalid::new("clusters", "weigh more than 4294967295 together"));
        }
        Ok(WeightedClusters { clusters, total })
    }

    /// The cluster that a random number falls on.
    pub fn choose(&self, random: u64) -> Option<&WeightedCluster> {
        let mut point = random % self.total.max(1);
        self.clusters.iter().find(|cluster| {
            let weight = u64::from(cluster.weight);
            let found = point < weight;
            point = point.saturating_sub(weight);
            found
        })
    }
}

impl WeightedCluster {
    fn compile(wire: &wire::weighted_cluster::ClusterWeight) -> Result<WeightedCluster, Invalid> {
        if wire.name.is_empty() {
            return Err(Invalid::new("name", "is empty: `cluster_header` is not supported here"));
        }
        let host_rewrite = wire
            .host_rewrite_specifier
            .as_ref()
            .map(|WeightHostRewrite::HostRewriteLiteral(host)| HostRewrite::Literal(host.as_str().into()));
        Ok(WeightedCluster {
            name: wire.name.as_str().into(),
            weight: wire.weight.unwrap_or(0),
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
            host_rewrite,
        })
    }
}
