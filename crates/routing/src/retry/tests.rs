use super::*;

fn policy(on: &str) -> RetryPolicy {
    RetryPolicy::compile(&wire::RetryPolicy {
        retry_on: on.to_owned(),
        retriable_status_codes: vec![418],
        ..wire::RetryPolicy::default()
    })
    .expect("it compiles")
}

#[test]
fn resets_are_tried_again_as_the_policy_says() {
    let sent = Reset::ConnectionTermination { request_started: true };
    let unsent = Reset::ConnectionTermination { request_started: false };
    let table = [
        ("connect-failure,refused-stream,unavailable,cancelled", Reset::ConnectFailure, true),
        ("connect-failure,refused-stream,unavailable,cancelled", sent, false),
        ("reset", sent, true),
        ("reset-before-request", sent, false),
        ("reset-before-request", unsent, true),
        ("5xx", sent, true),
        ("gateway-error", Reset::PerTryTimeout, true),
        ("connect-failure", Reset::PerTryTimeout, false),
        ("", Reset::ConnectFailure, false),
        ("nonsense", Reset::ConnectFailure, false),
    ];
    for (on, reset, expected) in table {
        assert_eq!(policy(on).wants_after_reset(reset), expected, "{on} {reset:?}");
    }
}

#[test]
fn answers_are_tried_again_as_the_policy_says() {
    let table = [
        ("5xx", 500, None, true),
        ("5xx", 404, None, false),
        ("gateway-error", 500, None, false),
        ("gateway-error", 503, None, true),
        ("retriable-4xx", 409, None, true),
        ("retriable-status-codes", 418, None, true),
        ("retriable-status-codes", 503, None, false),
        ("unavailable", 200, Some(14), true),
        ("cancelled", 200, Some(14), false),
    ];
    for (on, status, grpc, expected) in table {
        assert_eq!(policy(on).wants_after_response(status, grpc, |_| None), expected, "{on} {status}");
    }
    let limited = |name: &str| (name == "x-envoy-ratelimited").then_some(&b"true"[..]);
    assert!(!policy("5xx").wants_after_response(503, None, limited));
    assert!(policy("envoy-ratelimited").wants_after_response(429, None, limited));
}

#[test]
fn the_back_off_doubles_up_to_its_limit() {
    let policy = policy("5xx");
    for (retry, below) in [(1, 25), (2, 50), (3, 100), (4, 200), (5, 250), (60, 250)] {
        assert_eq!(policy.back_off(retry, below - 1), Duration::from_millis(below - 1), "retry {retry}");
        assert_eq!(policy.back_off(retry, below), Duration::ZERO, "retry {retry}");
    }
}
