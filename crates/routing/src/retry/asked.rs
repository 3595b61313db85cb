//! What a request itself says about timeouts and retries, in the headers by
//! which Envoy is steered. Only requests from inside still have them here.

use std::time::Duration;

use super::{DEFAULT_BASE_INTERVAL, RetryOn, RetryPolicy};
use crate::headers::{HeaderMatcher, RequestHead, joined};

/// The headers about retries: read, and not passed on.
pub const RETRY_HEADERS: [&str; 6] = [
    "x-envoy-retry-on",
    "x-envoy-retry-grpc-on",
    "x-envoy-max-retries",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-hedge-on-per-try-timeout",
];

/// What a request says about time, `None` where it says nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AskedTime {
    /// How long the answer may take; zero: as long as it likes.
    pub response: Option<Duration>,
    /// How long one attempt may take.
    pub per_try: Option<Duration>,
    /// A timeout is answered with 204.
    pub alternative_response: bool,
}

/// The headers about time: read, and not passed on.
pub const TIME_HEADERS: [&str; 3] = [
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
];

impl AskedTime {
    /// Reads them; what is no number says nothing.
    pub fn of<R: RequestHead>(request: &R) -> AskedTime {
        let milliseconds = |name: &str| number(request, name).map(Duration::from_millis);
        AskedTime {
            response: milliseconds(TIME_HEADERS[0]),
            per_try: milliseconds(TIME_HEADERS[1]),
            alternative_response: joined(request, TIME_HEADERS[2]).is_some(),
        }
    }

    /// The limit of one attempt, given the route's; one that is not below the
    /// limit of all of them says nothing.
    pub fn per_try(&self, routes: Option<Duration>, response: Option<Duration>) -> Option<Duration> {
        let per_try = self.per_try.or(routes).filter(|limit| !limit.is_zero())?;
        response.is_none_or(|response| per_try < response).then_some(per_try)
    }
}

/// The policy that a request's own words make of the route's; `None`: they
/// say nothing, and the route's holds.
pub fn policy<R: RequestHead>(request: &R, routes: Option<&RetryPolicy>) -> Option<RetryPolicy> {
    let plain = joined(request, RETRY_HEADERS[0]);
    let grpc = joined(request, RETRY_HEADERS[1]);
    let most = number(request, RETRY_HEADERS[2]);
    let names = joined(request, RETRY_HEADERS[3]);
    let codes = joined(request, RETRY_HEADERS[4]);
    let begins = plain.is_some() || grpc.is_some();
    let extends = most.is_some() || names.is_some() || codes.is_some();
    let mut policy = match routes {
        Some(policy) if begins || extends => policy.clone(),
        None if begins => RetryPolicy::nothing(),
        _ => return None,
    };
    if let Some(list) = plain {
        policy.on = policy.on.and(RetryOn::parse(&String::from_utf8_lossy(&list)).plain());
    }
    if let Some(list) = grpc {
        policy.on = policy.on.and(RetryOn::parse(&String::from_utf8_lossy(&list)).grpc());
    }
    if let Some(most) = most {
        policy.attempts = u32::try_from(most).unwrap_or(u32::MAX);
    }
    if let Some(names) = names {
        let names = String::from_utf8_lossy(&names).into_owned();
        let wanted = names.split(',').map(|name| HeaderMatcher::present(name.trim()));
        policy.headers = policy.headers.iter().cloned().chain(wanted).collect();
    }
    if let Some(codes) = codes {
        let codes = String::from_utf8_lossy(&codes).into_owned();
        let wanted = codes.split(',').filter_map(|code| code.trim().parse().ok());
        policy.status_codes = policy.status_codes.iter().copied().chain(wanted).collect();
    }
    Some(policy)
}

fn number<R: RequestHead>(request: &R, name: &str) -> Option<u64> {
    std::str::from_utf8(&joined(request, name)?).ok()?.trim().parse().ok()
}

impl RetryOn {
    /// Those that are not about gRPC.
    fn plain(self) -> RetryOn {
        RetryOn(self.0 & 0xffff)
    }

    /// Those about gRPC.
    fn grpc(self) -> RetryOn {
        RetryOn(self.0 & !0xffff)
    }
}

impl RetryPolicy {
    /// What a route has that says nothing.
    fn nothing() -> RetryPolicy {
        RetryPolicy {
            on: RetryOn::default(),
            attempts: 1,
            per_try_timeout: None,
            per_try_idle_timeout: None,
            status_codes: Box::default(),
            headers: Box::default(),
            request_headers: Box::default(),
            base_interval: DEFAULT_BASE_INTERVAL,
            max_interval: DEFAULT_BASE_INTERVAL * 10,
            avoid_previous_hosts: false,
            host_selection_attempts: 1,
            leaves_priorities: None,
            rate_limited: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Request(&'static [(&'static str, &'static str)]);

    impl RequestHead for Request {
        fn method(&self) -> &str {
            "GET"
        }
        fn path(&self) -> &str {
            "/"
        }
        fn authority(&self) -> &str {
            "a"
        }
        fn scheme(&self) -> &str {
            "http"
        }
        fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
            self.0.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.as_bytes())
        }
    }

    #[test]
    fn a_request_that_says_nothing_changes_nothing() {
        assert!(policy(&Request(&[]), None).is_none());
        // A number of retries alone is no reason to retry.
        assert!(policy(&Request(&[("x-envoy-max-retries", "3")]), None).is_none());
        assert_eq!(AskedTime::of(&Request(&[])), AskedTime::default());
    }

    #[test]
    fn words_of_each_header_are_its_own() {
        let asked = policy(
            &Request(&[
                ("x-envoy-retry-on", "5xx, unavailable"),
                ("x-envoy-retry-grpc-on", "reset,internal"),
            ]),
            None,
        )
        .expect("a policy");
        assert!(asked.on.has(RetryOn::SERVER_ERROR) && asked.on.has(RetryOn::GRPC_INTERNAL));
        assert!(!asked.on.has(RetryOn::GRPC_UNAVAILABLE) && !asked.on.has(RetryOn::RESET));
        assert_eq!(asked.attempts, 1);
    }

    #[test]
    fn what_is_asked_for_is_added_to_what_the_route_says() {
        let routes = RetryPolicy { on: RetryOn::CONNECT_FAILURE, attempts: 2, ..RetryPolicy::nothing() };
        let asked = policy(
            &Request(&[
                ("x-envoy-retry-on", "retriable-status-codes,retriable-headers"),
                ("x-envoy-retriable-status-codes", "418, x, 419"),
                ("x-envoy-retriable-header-names", "X-Again"),
                ("x-envoy-max-retries", "7"),
            ]),
            Some(&routes),
        )
        .expect("a policy");
        assert!(asked.on.has(RetryOn::CONNECT_FAILURE) && asked.on.has(RetryOn::STATUS_CODES));
        assert_eq!((asked.attempts, &*asked.status_codes), (7, &[418, 419][..]));
        let again = |name: &str| (name == "x-again").then_some(&b"1"[..]);
        assert!(asked.wants_after_response(200, None, again));
        assert!(asked.wants_after_response(419, None, |_| None));
        assert!(!asked.wants_after_response(500, None, |_| None));
    }

    #[test]
    fn an_attempt_has_less_time_than_all_of_them() {
        let asked = AskedTime::of(&Request(&[
            ("x-envoy-upstream-rq-timeout-ms", "500"),
            ("x-envoy-upstream-rq-per-try-timeout-ms", "600"),
        ]));
        assert_eq!(asked.response, Some(Duration::from_millis(500)));
        assert_eq!(asked.per_try(None, asked.response), None);
        assert_eq!(asked.per_try(None, None), Some(Duration::from_millis(600)));
        let routes = Some(Duration::from_millis(50));
        assert_eq!(AskedTime::default().per_try(routes, Some(Duration::from_secs(1))), routes);
    }
}
