//! What a DestinationRule says about the connections of a cluster.

use std::time::Duration;

use resources::destination_rule::{
    ClientTlsSettings, ConnectionPoolSettings, ConsistentHashLb, H2UpgradePolicy, HashAlgorithm,
    HttpSettings, LoadBalancerPolicy, LoadBalancerSettings, OutlierDetection as RuleOutlierDetection,
    ProxyProtocol, RetryBudget, SimpleLb, TcpKeepalive as RuleKeepalive,
};
use xds::envoy::config::cluster::v3::circuit_breakers::thresholds::RetryBudget as XdsRetryBudget;
use xds::envoy::config::cluster::v3::cluster::common_lb_config::LocalityConfigSpecifier;
use xds::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, DiscoveryType, LbConfig, LbPolicy, LeastRequestLbConfig, MaglevLbConfig,
    RingHashLbConfig, RoundRobinLbConfig, SlowStartConfig,
};
use xds::envoy::config::cluster::v3::{
    CircuitBreakers, Cluster, OutlierDetection, UpstreamConnectionOptions,
};
use xds::envoy::config::common::matcher::v3::match_predicate::{MatchSet, Rule as ErrorRule};
use xds::envoy::config::common::matcher::v3::{HttpHeadersMatch, MatchPredicate};
use xds::envoy::config::core::v3::{
    HttpProtocolOptions as CommonOptions, KeepaliveSettings, RuntimeDouble, TcpKeepalive,
};
use xds::envoy::config::route::v3::HeaderMatcher;
use xds::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use xds::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
use xds::envoy::extensions::upstreams::http::v3::http_protocol_options::explicit_http_config::ProtocolConfig;
use xds::envoy::extensions::upstreams::http::v3::http_protocol_options::{
    OutlierDetection as ErrorCodes, UpstreamProtocolOptions,
};
use xds::envoy::r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern};
use xds::envoy::r#type::v3::Percent;

use super::{as_downstream, as_http1, as_http2, http_options, unlimited_thresholds};
use crate::address::duration;
use crate::endpoint::Preference;
use crate::extensions::Extensions;
use crate::service::Port;
use crate::snapshot::Rule;

/// The settings that hold for one port and subset.
#[derive(Debug, Default)]
pub(super) struct Policy {
    load_balancer: Option<LoadBalancerSettings>,
    connection_pool: Option<ConnectionPoolSettings>,
    outlier_detection: Option<RuleOutlierDetection>,
    tls: Option<ClientTlsSettings>,
    retry_budget: Option<RetryBudget>,
    proxy_protocol: Option<ProxyProtocol>,
}

impl Policy {
    /// The rule's policy, field by field replaced by the subset's; what is said
    /// for the port replaces all that can be said for one.
    pub(super) fn of(rule: &Rule, subset: &str, port: u16) -> Self {
        let mut policy = Self::default();
        let top = rule.policy.iter().map(|(policy, _)| policy);
        let subset = rule.subset(subset).and_then(|(subset, _)| subset.traffic_policy.as_ref());
        for layer in top.chain(subset) {
            policy.load_balancer = layer.load_balancer.clone().or(policy.load_balancer);
            policy.connection_pool = layer.connection_pool.clone().or(policy.connection_pool);
            policy.outlier_detection = layer.outlier_detection.clone().or(policy.outlier_detection);
            policy.tls = layer.tls.clone().or(policy.tls);
            policy.retry_budget = layer.retry_budget.clone().or(policy.retry_budget);
            policy.proxy_protocol = layer.proxy_protocol.clone().or(policy.proxy_protocol);
            if let Some(own) = layer.port_level_settings.iter().find(|own| own.port == Some(port)) {
                policy = Self {
                    load_balancer: own.load_balancer.clone(),
                    connection_pool: own.connection_pool.clone(),
                    outlier_detection: own.outlier_detection.clone(),
                    tls: own.tls.clone(),
                    ..policy
                };
            }
        }
        policy
    }

    /// Which endpoints are preferred by where they are.
    pub(super) fn preference(&self) -> Option<Preference> {
        Preference::of(self.load_balancer.as_ref(), self.outlier_detection.is_some())
    }

    /// How connections are secured, where it is said.
    pub(super) fn tls(&self) -> Option<&ClientTlsSettings> {
        self.tls.as_ref()
    }

    /// What endpoints are told of clients, where it is said.
    pub(super) fn proxy_protocol(&self) -> Option<&ProxyProtocol> {
        self.proxy_protocol.as_ref()
    }

    /// How long a connection of opaque bytes may be idle.
    pub(super) fn tcp_idle(&self) -> Option<Duration> {
        self.connection_pool.as_ref()?.tcp.as_ref()?.idle_timeout
    }

    /// The hash that requests to this port and subset are balanced by.
    pub(super) fn hash(&self) -> Option<&ConsistentHashLb> {
        match self.load_balancer.as_ref()?.policy.as_ref()? {
            LoadBalancerPolicy::ConsistentHash(hash) => Some(hash),
            LoadBalancerPolicy::Simple(_) => None,
        }
    }
}

/// Writes `policy` into `cluster`.
pub(super) fn apply(
    cluster: &mut Cluster,
    port: &Port,
    policy: &Policy,
    discovery: DiscoveryType,
    extensions: &Extensions,
) {
    balance(cluster, policy.load_balancer.as_ref(), discovery);
    let pool = policy.connection_pool.clone().unwrap_or_default();
    limit(cluster, &pool, policy.retry_budget.as_ref());
    speak(cluster, port, policy, &pool, extensions);
    if let Some(config) = &mut cluster.common_lb_config {
        if policy.preference().is_some_and(|preference| preference.weighs_localities()) {
            let weighted = LocalityConfigSpecifier::LocalityWeightedLbConfig(Default::default());
            config.locality_config_specifier = Some(weighted);
        }
        // Zero too is said: Envoy's own default is 50.
        config.healthy_panic_threshold = policy
            .outlier_detection
            .as_ref()
            .map(|detection| Percent { value: f64::from(detection.min_health_percent) });
    }
    cluster.outlier_detection = policy.outlier_detection.as_ref().map(outlier_detection);
}

fn balance(cluster: &mut Cluster, settings: Option<&LoadBalancerSettings>, discovery: DiscoveryType) {
    if discovery == DiscoveryType::OriginalDst {
        cluster.lb_policy = LbPolicy::ClusterProvided.into();
        return;
    }
    let policy = settings.and_then(|settings| settings.policy.as_ref());
    let slow_start = settings.and_then(slow_start);
    match policy {
        Some(LoadBalancerPolicy::ConsistentHash(hash)) => by_hash(cluster, hash),
        Some(LoadBalancerPolicy::Simple(SimpleLb::Random)) => cluster.lb_policy = LbPolicy::Random.into(),
        Some(LoadBalancerPolicy::Simple(SimpleLb::Passthrough)) => {
            cluster.lb_policy = LbPolicy::ClusterProvided.into();
            cluster.cluster_discovery_type =
                Some(ClusterDiscoveryType::Type(DiscoveryType::OriginalDst.into()));
            cluster.eds_cluster_config = None;
            cluster.load_assignment = None;
        }
        Some(LoadBalancerPolicy::Simple(SimpleLb::LeastRequest | SimpleLb::LeastConn)) => {
            cluster.lb_policy = LbPolicy::LeastRequest.into();
            cluster.lb_config = slow_start.map(|slow_start_config| {
                LbConfig::LeastRequestLbConfig(LeastRequestLbConfig {
                    slow_start_config: Some(slow_start_config),
                    ..LeastRequestLbConfig::default()
                })
            });
        }
        // The mesh's default, where Istio's would be LEAST_REQUEST.
        Some(LoadBalancerPolicy::Simple(SimpleLb::RoundRobin | SimpleLb::Unspecified)) | None => {
            cluster.lb_policy = LbPolicy::RoundRobin.into();
            cluster.lb_config = slow_start.map(|slow_start_config| {
                LbConfig::RoundRobinLbConfig(RoundRobinLbConfig {
                    slow_start_config: Some(slow_start_config),
                })
            });
        }
    }
}

fn slow_start(settings: &LoadBalancerSettings) -> Option<SlowStartConfig> {
    let warmup = settings.warmup.as_ref();
    let window = warmup.and_then(|warmup| warmup.duration).or(settings.warmup_duration_secs)?;
    let aggression = warmup.and_then(|warmup| warmup.aggression);
    Some(SlowStartConfig {
        slow_start_window: Some(duration(window)),
        aggression: aggression.map(|value| RuntimeDouble {
            default_value: value,
            runtime_key: "lateen.warmup.aggression".to_owned(),
        }),
        min_weight_percent: Some(Percent {
            value: warmup.and_then(|warmup| warmup.minimum_percent).unwrap_or(10.0),
        }),
    })
}

fn by_hash(cluster: &mut Cluster, hash: &ConsistentHashLb) {
    let ring = |size: u64| {
        let size = if size == 0 { 1024 } else { size };
        LbConfig::RingHashLbConfig(RingHashLbConfig {
            minimum_ring_size: Some(size),
            ..RingHashLbConfig::default()
        })
    };
    match &hash.algorithm {
        Some(HashAlgorithm::Maglev { table_size }) => {
            cluster.lb_policy = LbPolicy::Maglev.into();
            cluster.lb_config = Some(LbConfig::MaglevLbConfig(MaglevLbConfig {
                table_size: Some(*table_size).filter(|size| *size != 0),
            }));
        }
        Some(HashAlgorithm::RingHash { minimum_ring_size }) => {
            cluster.lb_policy = LbPolicy::RingHash.into();
            cluster.lb_config = Some(ring(*minimum_ring_size));
        }
        None => {
            cluster.lb_policy = LbPolicy::RingHash.into();
            cluster.lb_config = Some(ring(hash.minimum_ring_size));
        }
    }
}

fn limit(cluster: &mut Cluster, pool: &ConnectionPoolSettings, budget: Option<&RetryBudget>) {
    let mut thresholds = unlimited_thresholds();
    thresholds.retry_budget = budget.map(retry_budget);
    if let Some(http) = &pool.http {
        replace(&mut thresholds.max_pending_requests, http.http1_max_pending_requests);
        replace(&mut thresholds.max_requests, http.http2_max_requests);
        replace(&mut thresholds.max_retries, http.max_retries);
    }
    if let Some(tcp) = &pool.tcp {
        replace(&mut thresholds.max_connections, tcp.max_connections);
        if let Some(timeout) = tcp.connect_timeout {
            cluster.connect_timeout = Some(duration(timeout));
        }
        if let Some(keepalive) = &tcp.tcp_keepalive {
            cluster.upstream_connection_options = Some(UpstreamConnectionOptions {
                tcp_keepalive: Some(tcp_keepalive(keepalive)),
                ..UpstreamConnectionOptions::default()
            });
        }
    }
    cluster.circuit_breakers =
        Some(CircuitBreakers { thresholds: vec![thresholds], ..CircuitBreakers::default() });
}

fn retry_budget(budget: &RetryBudget) -> XdsRetryBudget {
    let least = Some(budget.min_retry_concurrency).filter(|least| *least != 0);
    XdsRetryBudget {
        budget_percent: Some(Percent { value: budget.percent.unwrap_or(20.0) }),
        budget_interval: budget.budget_interval.map(duration),
        min_retry_concurrency: Some(least.unwrap_or(3)),
    }
}

/// 0 means not set.
fn replace(limit: &mut Option<u32>, value: u32) {
    if value != 0 {
        *limit = Some(value);
    }
}

fn tcp_keepalive(keepalive: &RuleKeepalive) -> TcpKeepalive {
    let seconds = |time: Option<Duration>| time.map(|time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX));
    TcpKeepalive {
        keepalive_probes: Some(keepalive.probes).filter(|probes| *probes != 0),
        keepalive_time: seconds(keepalive.time),
        keepalive_interval: seconds(keepalive.interval),
    }
}

/// Which HTTP is spoken to the endpoints, and how.
fn speak(
    cluster: &mut Cluster,
    port: &Port,
    policy: &Policy,
    pool: &ConnectionPoolSettings,
    extensions: &Extensions,
) {
    let http = pool.http.as_ref();
    let upgrades = http.is_some_and(|http| http.h2_upgrade_policy == H2UpgradePolicy::Upgrade);
    let follows = http.is_some_and(|http| http.use_client_protocol);
    let protocol = port.protocol;
    let error_codes = policy.outlier_detection.as_ref().and_then(error_matcher);
    let set = http.is_some_and(|http| {
        http.idle_timeout.is_some()
            || http.max_requests_per_connection != 0
            || http.max_concurrent_streams != 0
    }) || pool
        .tcp
        .as_ref()
        .is_some_and(|tcp| tcp.max_connection_duration.is_some() || tcp.idle_timeout.is_some())
        || error_codes.is_some();
    let mut options = match () {
        () if follows => as_downstream(),
        () if protocol.is_http2() || upgrades && protocol.may_be_http() => as_http2(),
        () if protocol.is_http() && set => as_http1(),
        () if protocol.may_be_http() && !protocol.is_http() => as_downstream(),
        () => return,
    };
    let tcp_idle = pool.tcp.as_ref().and_then(|tcp| tcp.idle_timeout);
    let idle = http.and_then(|http| http.idle_timeout).or(tcp_idle);
    let most = http.map(|http| http.max_requests_per_connection).filter(|most| *most != 0);
    let life = pool.tcp.as_ref().and_then(|tcp| tcp.max_connection_duration);
    if idle.is_some() || most.is_some() || life.is_some() {
        options.common_http_protocol_options = Some(CommonOptions {
            idle_timeout: idle.map(duration),
            max_requests_per_connection: most,
            max_connection_duration: life.map(duration),
            ..CommonOptions::default()
        });
    }
    if let Some(http) = http {
        tune_http2(&mut options, http);
    }
    options.outlier_detection = error_codes.map(|matcher| ErrorCodes { error_matcher: Some(matcher) });
    cluster.typed_extension_protocol_options = http_options(extensions, options);
}

/// What is said of HTTP/2 alone, where that is spoken.
fn tune_http2(options: &mut HttpProtocolOptions, http: &HttpSettings) {
    let Some(UpstreamProtocolOptions::ExplicitHttpConfig(explicit)) = &mut options.upstream_protocol_options
    else {
        return;
    };
    let Some(ProtocolConfig::Http2ProtocolOptions(http2)) = &mut explicit.protocol_config else { return };
    if http.max_concurrent_streams != 0 {
        http2.max_concurrent_streams = Some(http.max_concurrent_streams);
    }
    http2.connection_keepalive = http.http2_keep_alive.as_ref().map(|keepalive| KeepaliveSettings {
        interval: keepalive.interval.map(duration),
        timeout: keepalive.timeout.map(duration),
        ..KeepaliveSettings::default()
    });
}

/// Matches the statuses that count as errors in place of 5xx.
fn error_matcher(rule: &RuleOutlierDetection) -> Option<MatchPredicate> {
    let one = |code: &u16| {
        let exact = StringMatcher {
            match_pattern: Some(MatchPattern::Exact(code.to_string())),
            ..StringMatcher::default()
        };
        let header = HeaderMatcher {
            name: ":status".to_owned(),
            header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(exact)),
            ..HeaderMatcher::default()
        };
        MatchPredicate {
            rule: Some(ErrorRule::HttpResponseHeadersMatch(HttpHeadersMatch { headers: vec![header] })),
        }
    };
    let rules: Vec<MatchPredicate> = rule.outlier_detection_http_error_codes.iter().map(one).collect();
    match rules.len() {
        0 => None,
        1 => rules.into_iter().next(),
        _ => Some(MatchPredicate { rule: Some(ErrorRule::OrMatch(MatchSet { rules })) }),
    }
}

fn outlier_detection(rule: &RuleOutlierDetection) -> OutlierDetection {
    let on = |count: u32| Some(if count == 0 { 0 } else { 100 });
    let in_a_row = rule.consecutive_5xx_errors;
    let gateway =
        rule.consecutive_gateway_errors.or(Some(rule.consecutive_errors).filter(|count| *count != 0));
    let local = rule
        .consecutive_local_origin_failures
        .filter(|count| rule.split_external_local_origin_errors && *count != 0);
    OutlierDetection {
        consecutive_5xx: in_a_row,
        enforcing_consecutive_5xx: in_a_row.and_then(on),
        consecutive_gateway_failure: gateway,
        enforcing_consecutive_gateway_failure: gateway.and_then(on),
        interval: rule.interval.map(duration),
        base_ejection_time: rule.base_ejection_time.map(duration),
        max_ejection_percent: Some(rule.max_ejection_percent).filter(|percent| *percent != 0),
        enforcing_success_rate: Some(0),
        split_external_local_origin_errors: rule.split_external_local_origin_errors,
        consecutive_local_origin_failure: local,
        enforcing_consecutive_local_origin_failure: local.map(|_| 100),
        enforcing_local_origin_success_rate: rule.split_external_local_origin_errors.then_some(0),
        ..OutlierDetection::default()
    }
}
