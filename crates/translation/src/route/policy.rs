//! Retries, faults and cross-origin rules.

use resources::virtual_service::{
    AbortError, CorsPolicy, HttpFaultInjection, HttpRetry, HttpRoute, StringMatch, UnmatchedPreflights,
};
use xds::envoy::config::core::v3::RuntimeFractionalPercent;
use xds::envoy::config::route::v3::retry_policy::{
    RetryBackOff, RetryHostPredicate, RetryPriority, retry_host_predicate, retry_priority,
};
use xds::envoy::config::route::v3::{RetryPolicy, Route};
use xds::envoy::extensions::filters::common::fault::v3::{FaultDelay, fault_delay::FaultDelaySecifier};
use xds::envoy::extensions::filters::http::cors::v3::CorsPolicy as XdsCorsPolicy;
use xds::envoy::extensions::filters::http::fault::v3::{FaultAbort, HttpFault, fault_abort::ErrorType};
use xds::envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate;
use xds::envoy::extensions::retry::priority::previous_priorities::v3::PreviousPrioritiesConfig;
use xds::envoy::r#type::matcher::v3::StringMatcher;
use xds::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use xds::envoy::r#type::v3::{FractionalPercent, fractional_percent::DenominatorType};

use super::condition::string;
use crate::address::duration;
use crate::extensions::Extensions;

/// When a request is tried again unless a rule says otherwise.
const RETRY_ON: &str = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
/// The name under which a route configures the fault filter.
pub(crate) const FAULT: &str = "envoy.filters.http.fault";
/// The name under which a route configures the cross-origin filter.
pub(crate) const CORS: &str = "envoy.filters.http.cors";

/// How the endpoint of a request is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Balance {
    /// Any will do, so another can be tried.
    Free,
    /// By a hash: the same request always comes to the same endpoint.
    Hashed,
}

/// The retry policy of a rule; the mesh's when it has none; `None` when it
/// turns retries off.
pub(super) fn retry(
    retries: Option<&HttpRetry>,
    extensions: &Extensions,
    balance: Balance,
) -> Option<RetryPolicy> {
    let mut policy = RetryPolicy {
        retry_on: RETRY_ON.to_owned(),
        num_retries: Some(2),
        retriable_status_codes: vec![503],
        host_selection_retry_max_attempts: 5,
        ..RetryPolicy::default()
    };
    let avoids = retries.and_then(|retries| retries.retry_ignore_previous_hosts).unwrap_or(true);
    if avoids && balance == Balance::Free {
        policy.retry_host_predicate.extend(previous_hosts(extensions));
    }
    let Some(retries) = retries else { return Some(policy) };
    if retries.attempts == 0 {
        return None;
    }
    policy.num_retries = Some(retries.attempts);
    policy.per_try_timeout = retries.per_try_timeout.map(duration);
    if !retries.retry_on.is_empty() {
        (policy.retry_on, policy.retriable_status_codes) = conditions(&retries.retry_on);
    }
    if retries.retry_remote_localities == Some(true) {
        policy.retry_priority = previous_priorities(extensions);
    }
    policy.retry_back_off = retries
        .backoff
        .map(|backoff| RetryBackOff { base_interval: Some(duration(backoff)), ..RetryBackOff::default() });
    Some(policy)
}

/// Numbers among the conditions are status codes.
fn conditions(text: &str) -> (String, Vec<u32>) {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let (codes, mut names): (Vec<&str>, Vec<&str>) = words.partition(|word| word.parse::<u16>().is_ok());
    let codes: Vec<u32> = codes.iter().filter_map(|code| code.parse().ok()).collect();
    if !codes.is_empty() && !names.contains(&"retriable-status-codes") {
        names.push("retriable-status-codes");
    }
    (names.join(","), codes)
}

fn previous_hosts(extensions: &Extensions) -> Option<RetryHostPredicate> {
    let config = extensions.pack(&PreviousHostsPredicate::default())?;
    Some(RetryHostPredicate {
        name: "envoy.retry_host_predicates.previous_hosts".to_owned(),
        config_type: Some(retry_host_predicate::ConfigType::TypedConfig(config)),
    })
}

fn previous_priorities(extensions: &Extensions) -> Option<RetryPriority> {
    let config = extensions.pack(&PreviousPrioritiesConfig { update_frequency: 2 })?;
    Some(RetryPriority {
        name: "envoy.retry_priorities.previous_priorities".to_owned(),
        config_type: Some(retry_priority::ConfigType::TypedConfig(config)),
    })
}

/// What filters read of a route: faults and cross-origin rules.
pub(super) fn per_filter(route: &mut Route, rule: &HttpRoute, extensions: &Extensions) {
    let fault = rule.fault.as_ref().and_then(fault).and_then(|fault| extensions.pack(&fault));
    route.typed_per_filter_config.extend(fault.map(|fault| (FAULT.to_owned(), fault)));
    let cors = rule.cors_policy.as_ref().and_then(|policy| extensions.pack(&cors(policy)));
    route.typed_per_filter_config.extend(cors.map(|cors| (CORS.to_owned(), cors)));
}

fn fault(injection: &HttpFaultInjection) -> Option<HttpFault> {
    let delay = injection.delay.as_ref().and_then(|delay| {
        Some(FaultDelay {
            percentage: Some(fraction(delay.share())),
            fault_delay_secifier: Some(FaultDelaySecifier::FixedDelay(duration(delay.fixed_delay?))),
        })
    });
    let abort = injection.abort.as_ref().and_then(|abort| {
        let error = match abort.error.as_ref()? {
            AbortError::HttpStatus(status) => ErrorType::HttpStatus(*status),
            AbortError::GrpcStatus(name) => ErrorType::GrpcStatus(grpc_status(name)?),
            AbortError::Http2Error(_) => return None,
        };
        Some(FaultAbort {
            percentage: Some(fraction(abort.percentage.unwrap_or_default())),
            error_type: Some(error),
            ..FaultAbort::default()
        })
    });
    (delay.is_some() || abort.is_some()).then(|| HttpFault { delay, abort, ..HttpFault::default() })
}

/// The number of a gRPC status, given by name or number.
fn grpc_status(name: &str) -> Option<u32> {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    let by_name = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name));
    by_name.and_then(|at| u32::try_from(at).ok()).or_else(|| name.parse().ok())
}

/// A share in percent, exact to a ten-thousandth of a percent.
pub(super) fn fraction(percent: f64) -> FractionalPercent {
    // The cast holds: the value is clamped to 0..=1,000,000 first.
    let numerator = (percent.clamp(0.0, 100.0) * 10_000.0).round() as u32;
    FractionalPercent { numerator, denominator: DenominatorType::Million.into() }
}

fn cors(policy: &CorsPolicy) -> XdsCorsPolicy {
    let exact = policy.allow_origin.iter().map(|origin| StringMatch::Exact(origin.clone()));
    let origins = exact.chain(policy.allow_origins.iter().cloned()).map(|origin| {
        let origin = match origin {
            StringMatch::Exact(star) if star == "*" => StringMatch::Regex(".*".to_owned()),
            other => other,
        };
        string(&origin).unwrap_or_else(|| StringMatcher {
            match_pattern: Some(MatchPattern::Prefix(String::new())),
            ..StringMatcher::default()
        })
    });
    XdsCorsPolicy {
        allow_origin_string_match: origins.collect(),
        allow_methods: policy.allow_methods.join(","),
        allow_headers: policy.allow_headers.join(","),
        expose_headers: policy.expose_headers.join(","),
        max_age: policy.max_age.map(|age| age.as_secs().to_string()).unwrap_or_default(),
        allow_credentials: policy.allow_credentials,
        filter_enabled: Some(RuntimeFractionalPercent {
            default_value: Some(fraction(100.0)),
            ..RuntimeFractionalPercent::default()
        }),
        forward_not_matching_preflights: match policy.unmatched_preflights {
            UnmatchedPreflights::Ignore => Some(false),
            UnmatchedPreflights::Forward | UnmatchedPreflights::Unspecified => Some(true),
        },
        ..XdsCorsPolicy::default()
    }
}
