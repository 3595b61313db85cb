//! Retry policies, and which outcome deserves another attempt.

pub mod asked;
pub mod priorities;

use std::time::Duration;

use xds::envoy::config::route::v3 as wire;
use xds::envoy::config::route::v3::retry_policy::retry_priority::ConfigType;
use xds::envoy::extensions::retry::priority::previous_priorities::v3::PreviousPrioritiesConfig;

use crate::headers::HeaderMatcher;
use crate::invalid::{Invalid, Within};
use crate::message::{decode, positive};

/// The conditions under which a request is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetryOn(u32);

impl RetryOn {
    /// Any 5xx answer, and everything that becomes one.
    pub const SERVER_ERROR: RetryOn = RetryOn(1);
    /// 502, 503 or 504.
    pub const GATEWAY_ERROR: RetryOn = RetryOn(1 << 1);
    /// The upstream ended the stream without an answer.
    pub const RESET: RetryOn = RetryOn(1 << 2);
    /// No connection came about.
    pub const CONNECT_FAILURE: RetryOn = RetryOn(1 << 3);
    /// A 409 answer.
    pub const RETRIABLE_4XX: RetryOn = RetryOn(1 << 4);
    /// The upstream refused the stream.
    pub const REFUSED_STREAM: RetryOn = RetryOn(1 << 5);
    /// A status of the policy's list.
    pub const STATUS_CODES: RetryOn = RetryOn(1 << 6);
    /// A response header of the policy's list.
    pub const HEADERS: RetryOn = RetryOn(1 << 7);
    /// An answer that says it was rate limited by Envoy.
    pub const RATE_LIMITED: RetryOn = RetryOn(1 << 8);
    /// The upstream ended the stream before the request was sent.
    pub const RESET_BEFORE_REQUEST: RetryOn = RetryOn(1 << 9);
    /// gRPC status CANCELLED.
    pub const GRPC_CANCELLED: RetryOn = RetryOn(1 << 16);
    /// gRPC status DEADLINE_EXCEEDED.
    pub const GRPC_DEADLINE: RetryOn = RetryOn(1 << 17);
    /// gRPC status RESOURCE_EXHAUSTED.
    pub const GRPC_EXHAUSTED: RetryOn = RetryOn(1 << 18);
    /// gRPC status UNAVAILABLE.
    pub const GRPC_UNAVAILABLE: RetryOn = RetryOn(1 << 19);
    /// gRPC status INTERNAL.
    pub const GRPC_INTERNAL: RetryOn = RetryOn(1 << 20);

    /// Reads Envoy's comma separated list; unknown words are passed over, as
    /// Envoy does.
    pub fn parse(list: &str) -> RetryOn {
        list.split(',').map(|word| RetryOn::word(word.trim())).fold(RetryOn::default(), RetryOn::and)
    }

    fn word(word: &str) -> RetryOn {
        match word {
            "5xx" => RetryOn::SERVER_ERROR,
            "gateway-error" => RetryOn::GATEWAY_ERROR,
            "reset" => RetryOn::RESET,
            "reset-before-request" => RetryOn::RESET_BEFORE_REQUEST,
            "connect-failure" => RetryOn::CONNECT_FAILURE,
            "retriable-4xx" => RetryOn::RETRIABLE_4XX,
            "refused-stream" => RetryOn::REFUSED_STREAM,
            "retriable-status-codes" => RetryOn::STATUS_CODES,
            "retriable-headers" => RetryOn::HEADERS,
            "envoy-ratelimited" => RetryOn::RATE_LIMITED,
            "cancelled" => RetryOn::GRPC_CANCELLED,
            "deadline-exceeded" => RetryOn::GRPC_DEADLINE,
            "resource-exhausted" => RetryOn::GRPC_EXHAUSTED,
            "unavailable" => RetryOn::GRPC_UNAVAILABLE,
            "internal" => RetryOn::GRPC_INTERNAL,
            _ => RetryOn::default(),
        }
    }

    /// Both sets together.
    pub fn and(self, other: RetryOn) -> RetryOn {
        RetryOn(self.0 | other.0)
    }

    /// Whether one of the conditions is set.
    pub fn has(self, other: RetryOn) -> bool {
        self.0 & other.0 != 0
    }
}

/// How an attempt ended without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    /// No connection came about, or not in time.
    ConnectFailure,
    /// The connection ended before an answer began.
    ConnectionTermination {
        /// Whether any of the request had been sent.
        request_started: bool,
    },
    /// The attempt took longer than one attempt may.
    PerTryTimeout,
    /// The answer could not be understood.
    ProtocolError,
    /// The upstream reset the stream.
    RemoteReset,
    /// The upstream reset the stream and had done nothing with the request.
    RemoteRefused,
}

/// When and how a request is tried again.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// The conditions.
    pub on: RetryOn,
    /// How many attempts may follow the first.
    pub attempts: u32,
    /// How long one attempt may take.
    pub per_try_timeout: Option<Duration>,
    /// How long one attempt may be silent.
    pub per_try_idle_timeout: Option<Duration>,
    /// Statuses for `retriable-status-codes`.
    pub status_codes: Box<[u16]>,
    /// Response headers for `retriable-headers`.
    pub headers: Box<[HeaderMatcher]>,
    /// Requests that may be tried again at all; none means every request.
    pub request_headers: Box<[HeaderMatcher]>,
    /// The first back-off is below this.
    pub base_interval: Duration,
    /// No back-off is above this.
    pub max_interval: Duration,
    /// Endpoints that were tried already are avoided.
    pub avoid_previous_hosts: bool,
    /// How often the choice is repeated to avoid them.
    pub host_selection_attempts: u32,
    /// After so many attempts the priorities that were tried are left.
    pub leaves_priorities: Option<usize>,
    /// Response headers that say how long to wait.
    pub rate_limited: Option<RateLimited>,
}

/// Waiting as long as the upstream says.
#[derive(Debug, Clone)]
pub struct RateLimited {
    headers: Box<[(Box<str>, ResetFormat)]>,
    longest: Duration,
}

/// How a header says when to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ResetFormat {
    Seconds,
    UnixTime,
}

impl RateLimited {
    fn compile(wire: &wire::retry_policy::RateLimitedRetryBackOff) -> RateLimited {
        use wire::retry_policy::ResetHeaderFormat;
        let format = |format: i32| match ResetHeaderFormat::try_from(format) {
            Ok(ResetHeaderFormat::UnixTimestamp) => ResetFormat::UnixTime,
            _ => ResetFormat::Seconds,
        };
        RateLimited {
            headers: wire
                .reset_headers
                .iter()
                .map(|header| (header.name.to_ascii_lowercase().into(), format(header.format)))
                .collect(),
            longest: positive(wire.max_interval.as_ref()).unwrap_or(LONGEST_RATE_LIMIT),
        }
    }

    /// How long to wait before the next attempt; `unix_time` is the time of
    /// day. Up to a half more is added, so that not all come back at once.
    pub fn wait<'a>(
        &self,
        header: impl Fn(&str) -> Option<&'a [u8]>,
        unix_time: Duration,
        random: u64,
    ) -> Option<Duration> {
        let wait = self.headers.iter().find_map(|(name, format)| {
            let number: u64 = std::str::from_utf8(header(name)?).ok()?.trim().parse().ok()?;
            let said = Duration::from_secs(number);
            let wait = match format {
                ResetFormat::Seconds => said,
                ResetFormat::UnixTime => said.checked_sub(unix_time)?,
            };
            (!wait.is_zero() && wait <= self.longest).then_some(wait)
        })?;
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Some(wait + Duration::from_millis(random % (millis / 2).max(1)))
    }
}

const DEFAULT_BASE_INTERVAL: Duration = Duration::from_millis(25);
const LONGEST_RATE_LIMIT: Duration = Duration::from_secs(300);

impl RetryPolicy {
    /// Compiles a policy message.
    pub fn compile(wire: &wire::RetryPolicy) -> Result<RetryPolicy, Invalid> {
        let back_off = wire.retry_back_off.as_ref();
        let base = back_off
            .and_then(|back_off| positive(back_off.base_interval.as_ref()))
            .unwrap_or(DEFAULT_BASE_INTERVAL)
            .max(Duration::from_millis(1));
        let max = back_off.and_then(|back_off| positive(back_off.max_interval.as_ref())).unwrap_or(base * 10);
        if max < base {
            return Err(Invalid::new("retry_back_off", "max_interval is below base_interval"));
        }
        let previous_hosts =
            wire.retry_host_predicate.iter().any(|predicate| predicate.name.ends_with("previous_hosts"));
        let leaves_priorities = wire.retry_priority.as_ref().map(update_frequency).transpose()?;
        Ok(RetryPolicy {
            leaves_priorities,
            rate_limited: wire.rate_limited_retry_back_off.as_ref().map(RateLimited::compile),
            on: RetryOn::parse(&wire.retry_on),
            attempts: wire.num_retries.unwrap_or(1),
            per_try_timeout: positive(wire.per_try_timeout.as_ref()),
            per_try_idle_timeout: positive(wire.per_try_idle_timeout.as_ref()),
            status_codes: wire
                .retriable_status_codes
                .iter()
                .filter_map(|code| u16::try_from(*code).ok())
                .collect(),
            headers: HeaderMatcher::compile_all(&wire.retriable_headers).within("retriable_headers")?,
            request_headers: HeaderMatcher::compile_all(&wire.retriable_request_headers)
                .within("retriable_request_headers")?,
            base_interval: base,
            max_interval: max,
            avoid_previous_hosts: previous_hosts,
            host_selection_attempts: u32::try_from(wire.host_selection_retry_max_attempts.max(1))
                .unwrap_or(1),
        })
    }

    /// Whether an attempt that ended without an answer deserves another.
    pub fn wants_after_reset(&self, reset: Reset) -> bool {
        if self.on.has(RetryOn::RESET.and(RetryOn::SERVER_ERROR).and(RetryOn::GATEWAY_ERROR)) {
            return true;
        }
        match reset {
            Reset::ConnectFailure => self.on.has(RetryOn::CONNECT_FAILURE.and(RetryOn::RESET_BEFORE_REQUEST)),
            Reset::ConnectionTermination { request_started } => {
                !request_started && self.on.has(RetryOn::RESET_BEFORE_REQUEST)
            }
            Reset::RemoteRefused => self.on.has(RetryOn::REFUSED_STREAM),
            Reset::PerTryTimeout | Reset::ProtocolError | Reset::RemoteReset => false,
        }
    }

    /// Whether an answer deserves another attempt. The status of gRPC is the
    /// one in the headers; `header` gives a response header's value.
    pub fn wants_after_response<'a>(
        &self,
        status: u16,
        grpc_status: Option<u16>,
        header: impl Fn(&str) -> Option<&'a [u8]>,
    ) -> bool {
        if header("x-envoy-ratelimited").is_some() {
            return self.on.has(RetryOn::RATE_LIMITED);
        }
        let by_status = match status {
            502..=504 => self.on.has(RetryOn::SERVER_ERROR.and(RetryOn::GATEWAY_ERROR)),
            500..=599 => self.on.has(RetryOn::SERVER_ERROR),
            409 => self.on.has(RetryOn::RETRIABLE_4XX),
            _ => false,
        };
        let by_grpc = match grpc_status {
            Some(1) => self.on.has(RetryOn::GRPC_CANCELLED),
            Some(4) => self.on.has(RetryOn::GRPC_DEADLINE),
            Some(8) => self.on.has(RetryOn::GRPC_EXHAUSTED),
            Some(13) => self.on.has(RetryOn::GRPC_INTERNAL),
            Some(14) => self.on.has(RetryOn::GRPC_UNAVAILABLE),
            _ => false,
        };
        by_status
            || by_grpc
            || (self.on.has(RetryOn::STATUS_CODES) && self.status_codes.contains(&status))
            || (self.on.has(RetryOn::HEADERS)
                && self.headers.iter().any(|matcher| matcher.matches_value(header(matcher.name()))))
    }

    /// How long to wait before attempt `retry` (the first retry is 1): a
    /// random part of an interval that doubles each time.
    pub fn back_off(&self, retry: u32, random: u64) -> Duration {
        let doubled = self.base_interval.saturating_mul(1 << retry.saturating_sub(1).min(16));
        let interval = doubled.min(self.max_interval);
        let millis = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX).max(1);
        Duration::from_millis(random % millis)
    }
}

fn update_frequency(priority: &wire::retry_policy::RetryPriority) -> Result<usize, Invalid> {
    let any = match &priority.config_type {
        Some(ConfigType::TypedConfig(any)) if any.type_url.ends_with(".PreviousPrioritiesConfig") => any,
        _ => return Err(Invalid::new("retry_priority", format!("`{}` is not supported", priority.name))),
    };
    let config: PreviousPrioritiesConfig = decode(any).within("retry_priority")?;
    Ok(usize::try_from(config.update_frequency).unwrap_or(1).max(1))
}

#[cfg(test)]
mod tests;
