//! What protects a cluster's endpoints: limits, and leaving out those that
//! fail.

use std::time::Duration;

use xds::envoy::config::cluster::v3 as wire;
use xds::envoy::config::cluster::v3::circuit_breakers::Thresholds;
use xds::envoy::config::common::matcher::v3::MatchPredicate;
use xds::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;

use crate::message::{duration, positive};

/// Circuit-breaker limits of one priority.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Connections.
    pub connections: u32,
    /// Requests that wait for a connection.
    pub pending_requests: u32,
    /// Requests.
    pub requests: u32,
    /// Requests that are tried again.
    pub retries: u32,
    /// A limit of retries that grows with the requests, in place of the
    /// fixed one.
    pub retry_budget: Option<RetryBudget>,
    /// Whether a user said how many retries there may be; else the proxy
    /// guards against storms of them by itself.
    pub limits_retries: bool,
}

/// Retries as a part of the requests under way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryBudget {
    /// In percent.
    pub percent: f64,
    /// So many are always allowed.
    pub least: u32,
    /// Requests count for so long after they began, even when they have
    /// ended; zero: only those under way count.
    pub interval: Duration,
}

impl RetryBudget {
    /// How many retries there may be at once.
    pub fn allows(&self, requests: u32) -> u32 {
        // Saturates.
        let part = (f64::from(requests) * self.percent / 100.0) as u32;
        part.max(self.least)
    }
}

impl Limits {
    /// Envoy's defaults.
    pub const DEFAULT: Limits = Limits {
        connections: 1024,
        pending_requests: 1024,
        requests: 1024,
        retries: 3,
        retry_budget: None,
        limits_retries: true,
    };

    /// Compiles the limits of a priority, 0 for normal and 1 for high.
    pub(super) fn compile(wire: &wire::Cluster, priority: i32) -> Limits {
        let thresholds = wire.circuit_breakers.as_ref().map(|breakers| breakers.thresholds.as_slice());
        let mine = thresholds.unwrap_or_default().iter().find(|threshold| threshold.priority == priority);
        let Some(mine) = mine else { return Limits::DEFAULT };
        let retry_budget = mine.retry_budget.as_ref().map(|budget| RetryBudget {
            percent: budget.budget_percent.map_or(20.0, |percent| percent.value.clamp(0.0, 100.0)),
            least: budget.min_retry_concurrency.unwrap_or(3),
            interval: budget.budget_interval.as_ref().and_then(duration).unwrap_or_default(),
        });
        let default = Limits::DEFAULT;
        Limits {
            connections: mine.max_connections.unwrap_or(default.connections),
            pending_requests: mine.max_pending_requests.unwrap_or(default.pending_requests),
            requests: mine.max_requests.unwrap_or(default.requests),
            retries: mine.max_retries.unwrap_or(default.retries),
            limits_retries: retry_budget.is_some() || !is_unlimited(mine),
            retry_budget,
        }
    }
}

/// Istio writes the largest number where the user says nothing.
fn is_unlimited(thresholds: &Thresholds) -> bool {
    thresholds.max_retries == Some(u32::MAX)
}

/// When an endpoint is left out for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlierDetection {
    /// 5xx answers in a row.
    pub consecutive_5xx: Rule,
    /// 502, 503 and 504 answers in a row.
    pub consecutive_gateway: Rule,
    /// Failures to connect in a row, where they are counted apart.
    pub consecutive_local_origin: Rule,
    /// Failures to connect are counted apart from answers.
    pub splits_local_origin: bool,
    /// How often endpoints are looked over.
    pub interval: Duration,
    /// How long the first ejection lasts; each further one lasts so much
    /// longer.
    pub base_ejection_time: Duration,
    /// No ejection lasts longer.
    pub max_ejection_time: Duration,
    /// An ejection lasts up to so much longer, so that not all end at once.
    pub jitter: Duration,
    /// So much of the endpoints may be out at once, in percent.
    pub max_ejection_percent: u32,
    /// One may be out even when that is more than the percentage.
    pub always_one: bool,
    /// Endpoints with fewer successes than others.
    pub success_rate: SuccessRate,
    /// The same for failures to connect.
    pub local_origin_success_rate: SuccessRate,
    /// Endpoints with too many failures.
    pub failure_percentage: FailurePercentage,
    /// The same for failures to connect.
    pub local_origin_failure_percentage: FailurePercentage,
    /// Answers that count as errors in place of 5xx.
    pub error_codes: Option<Box<[u16]>>,
}

/// Failures in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// How many; zero is never.
    pub count: u32,
    /// How often it is acted upon, in percent.
    pub enforcing: u32,
}

/// Successes compared with those of other endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuccessRate {
    /// So many endpoints must have enough requests.
    pub least_hosts: u32,
    /// So many requests are enough.
    pub least_requests: u32,
    /// A thousandth of the standard deviations below the mean.
    pub deviation: u32,
    /// How often it is acted upon, in percent.
    pub enforcing: u32,
}

/// Failures as a part of the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailurePercentage {
    /// The part at which an endpoint is left out.
    pub threshold: u32,
    /// So many endpoints must have enough requests.
    pub least_hosts: u32,
    /// So many requests are enough.
    pub least_requests: u32,
    /// How often it is acted upon, in percent.
    pub enforcing: u32,
}

const INTERVAL: Duration = Duration::from_secs(10);
const BASE_EJECTION: Duration = Duration::from_secs(30);
const MAX_EJECTION: Duration = Duration::from_secs(300);

impl OutlierDetection {
    /// Compiles the message with Envoy's defaults.
    pub(super) fn compile(
        wire: &wire::OutlierDetection,
        error_codes: Option<Box<[u16]>>,
    ) -> OutlierDetection {
        let rule = |count: Option<u32>, enforcing: Option<u32>, default: u32| Rule {
            count: count.unwrap_or(5),
            enforcing: enforcing.unwrap_or(default),
        };
        let success_rate = |enforcing: Option<u32>| SuccessRate {
            least_hosts: wire.success_rate_minimum_hosts.unwrap_or(5),
            least_requests: wire.success_rate_request_volume.unwrap_or(100),
            deviation: wire.success_rate_stdev_factor.unwrap_or(1900),
            enforcing: enforcing.unwrap_or(100),
        };
        let failure_percentage = |enforcing: Option<u32>| FailurePercentage {
            threshold: wire.failure_percentage_threshold.unwrap_or(85),
            least_hosts: wire.failure_percentage_minimum_hosts.unwrap_or(5),
            least_requests: wire.failure_percentage_request_volume.unwrap_or(50),
            enforcing: enforcing.unwrap_or(0),
        };
        let base = positive(wire.base_ejection_time.as_ref()).unwrap_or(BASE_EJECTION);
        OutlierDetection {
            consecutive_5xx: rule(wire.consecutive_5xx, wire.enforcing_consecutive_5xx, 100),
            consecutive_gateway: rule(
                wire.consecutive_gateway_failure,
                wire.enforcing_consecutive_gateway_failure,
                0,
            ),
            consecutive_local_origin: rule(
                wire.consecutive_local_origin_failure,
                wire.enforcing_consecutive_local_origin_failure,
                100,
            ),
            splits_local_origin: wire.split_external_local_origin_errors,
            interval: positive(wire.interval.as_ref()).unwrap_or(INTERVAL),
            base_ejection_time: base,
            max_ejection_time: positive(wire.max_ejection_time.as_ref()).unwrap_or(MAX_EJECTION.max(base)),
            jitter: wire.max_ejection_time_jitter.as_ref().and_then(duration).unwrap_or_default(),
            max_ejection_percent: wire.max_ejection_percent.unwrap_or(10).min(100),
            always_one: wire.always_eject_one_host.unwrap_or(false),
            success_rate: success_rate(wire.enforcing_success_rate),
            local_origin_success_rate: success_rate(wire.enforcing_local_origin_success_rate),
            failure_percentage: failure_percentage(wire.enforcing_failure_percentage),
            local_origin_failure_percentage: failure_percentage(
                wire.enforcing_failure_percentage_local_origin,
            ),
            error_codes,
        }
    }
}

/// The statuses that a matcher names, where it names nothing else.
pub(super) fn error_codes(options: Option<&HttpProtocolOptions>) -> Option<Box<[u16]>> {
    let matcher = options?.outlier_detection.as_ref()?.error_matcher.as_ref()?;
    let mut codes = Vec::new();
    add_error_codes(matcher, &mut codes).then(|| codes.into())
}

fn add_error_codes(matcher: &MatchPredicate, codes: &mut Vec<u16>) -> bool {
    use xds::envoy::config::common::matcher::v3::match_predicate::Rule;
    use xds::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier as Specifier;
    use xds::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
    match &matcher.rule {
        Some(Rule::OrMatch(set)) => set.rules.iter().all(|rule| add_error_codes(rule, codes)),
        Some(Rule::HttpResponseHeadersMatch(set)) => set.headers.iter().all(|header| {
            let text = match &header.header_match_specifier {
                Some(Specifier::ExactMatch(text)) => Some(text),
                Some(Specifier::StringMatch(matcher)) => match &matcher.match_pattern {
                    Some(MatchPattern::Exact(text)) => Some(text),
                    _ => None,
                },
                _ => None,
            };
            let code: Option<u16> =
                text.filter(|_| header.name == ":status").and_then(|text| text.parse().ok());
            codes.extend(code);
            code.is_some()
        }),
        _ => false,
    }
}
