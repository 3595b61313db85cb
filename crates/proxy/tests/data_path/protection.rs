//! Limits, outliers, retries, and what they do to requests.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::backend::{Backend, Then, ok, status};
use super::setup::{Proxy, cluster, listener, manager, nobody, proxy};

/// Everything to one cluster, which has these fields too.
fn to(endpoints: &[SocketAddr], extra: Value, route: Value) -> Proxy {
    let mut up = cluster("up", endpoints);
    up.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    let mut action = json!({"cluster": "up"});
    action.as_object_mut().expect("an object").extend(route.as_object().expect("an object").clone());
    let routes = json!([{"match": {"prefix": "/"}, "route": action}]);
    proxy(json!([listener(manager(routes))]), json!([up]))
}

fn limits(limits: Value) -> Value {
    json!({"circuit_breakers": {"thresholds": [limits]}})
}

/// A door that a test opens.
#[derive(Default)]
struct Door(Mutex<bool>, Condvar);

impl Door {
    fn open(&self) {
        *self.0.lock().expect("no test panicked in it") = true;
        self.1.notify_all();
    }

    fn pass(&self) {
        let open = self.0.lock().expect("no test panicked in it");
        drop(self.1.wait_while(open, |open| !*open).expect("no test panicked in it"));
    }
}

/// A server that answers `/slow` when the door opens, anything else at once.
fn behind(door: &Arc<Door>) -> Backend {
    let door = door.clone();
    Backend::start(move |head, _| {
        if head.contains(" /slow") {
            door.pass();
        }
        Then::Answer(ok(b"done"))
    })
}

/// Waits for what another thread does.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

fn stat(proxy: &Proxy, name: &str) -> u64 {
    let text = proxy.handle().stats_text();
    let line = text.lines().find(|line| line.starts_with(&format!("envoy_cluster_{name}{{")));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

#[test]
fn requests_beyond_the_limit_are_refused_with_envoys_words() {
    let door = Arc::new(Door::default());
    let backend = behind(&door);
    let proxy = to(&[backend.address], limits(json!({"max_requests": 1})), json!({}));
    let mut first = proxy.client();
    first.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    until("the first is under way", || backend.seen().len() == 1);
    let refused = proxy.client().get("/", "");
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("x-envoy-overloaded"), Some("true"));
    assert_eq!(
        refused.body,
        "upstream connect error or disconnect/reset before headers. reset reason: overflow"
    );
    assert_eq!(stat(&proxy, "upstream_rq_pending_overflow"), 1);
    door.open();
    assert_eq!(first.response().body, "done");
    assert_eq!(proxy.client().get("/", "").status, 200);
}

#[test]
fn requests_wait_for_a_connection_and_only_so_many() {
    let door = Arc::new(Door::default());
    let backend = behind(&door);
    let proxy =
        to(&[backend.address], limits(json!({"max_connections": 1, "max_pending_requests": 1})), json!({}));
    let mut first = proxy.client();
    first.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    until("the first is under way", || backend.seen().len() == 1);
    let mut second = proxy.client();
    second.send("GET /second HTTP/1.1\r\nHost: a\r\n\r\n");
    until("the second waits", || stat(&proxy, "upstream_cx_overflow") == 1);
    let third = proxy.client().get("/third", "");
    assert_eq!((third.status, third.header("x-envoy-overloaded")), (503, Some("true")));
    door.open();
    assert_eq!(first.response().body, "done");
    assert_eq!(second.response().body, "done");
    assert_eq!(backend.connections(), 1);
}

#[test]
fn who_waits_gets_a_new_connection_when_the_old_one_closes() {
    let door = Arc::new(Door::default());
    let passed = door.clone();
    let backend = Backend::start(move |head, _| {
        if head.contains(" /slow") {
            passed.pass();
            return Then::AnswerAndClose(
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_vec(),
            );
        }
        Then::Answer(ok(b"done"))
    });
    let proxy = to(&[backend.address], limits(json!({"max_connections": 1})), json!({}));
    let mut first = proxy.client();
    first.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    until("the first is under way", || backend.seen().len() == 1);
    let mut second = proxy.client();
    second.send("GET /second HTTP/1.1\r\nHost: a\r\n\r\n");
    until("the second waits", || stat(&proxy, "upstream_cx_overflow") == 1);
    door.open();
    assert_eq!(first.response().status, 200);
    assert_eq!(second.response().body, "done");
    assert_eq!(backend.connections(), 2);
}

#[test]
fn retries_beyond_the_limit_are_not_made() {
    let backend = Backend::start(|_, _| Then::Answer(status(503)));
    let retry = json!({"retry_policy": {"retry_on": "5xx", "num_retries": 2}});
    let unlimited = to(&[backend.address], limits(json!({"max_retries": 4_294_967_295u32})), retry.clone());
    assert_eq!(unlimited.client().get("/", "").status, 503);
    assert_eq!(backend.seen().len(), 3);
    let limited = to(&[backend.address], limits(json!({"max_retries": 0})), retry.clone());
    assert_eq!(limited.client().get("/", "").status, 503);
    assert_eq!(backend.seen().len(), 4);
    assert_eq!(stat(&limited, "upstream_rq_retry_overflow"), 1);
    // A budget takes the place of the fixed limit.
    let budget = json!({"max_retries": 0, "retry_budget": {"budget_percent": {"value": 20}, "min_retry_concurrency": 1}});
    let budgeted = to(&[backend.address], limits(budget), retry);
    assert_eq!(budgeted.client().get("/", "").status, 503);
    assert_eq!(backend.seen().len(), 7);
}

#[test]
fn connections_are_worn_after_so_many_requests() {
    let backend = Backend::echo();
    let extra = json!({"max_requests_per_connection": 2});
    let proxy = to(&[backend.address], extra, json!({}));
    let mut client = proxy.client();
    for _ in 0..6 {
        assert_eq!(client.get("/", "").status, 200);
    }
    assert_eq!(backend.connections(), 3);
    // A further request is answered when everything about the ones before it
    // has been counted.
    assert_eq!(client.get("/", "").status, 200);
    assert_eq!(stat(&proxy, "upstream_cx_max_requests"), 3);
}

#[test]
fn endpoints_that_fail_are_left_out_and_come_back() {
    let healed = Arc::new(AtomicUsize::new(0));
    let state = healed.clone();
    let bad = Backend::start(move |_, _| match state.load(Ordering::SeqCst) {
        0 => Then::Answer(status(500)),
        _ => Then::Answer(ok(b"healed")),
    });
    let good = Backend::start(|_, _| Then::Answer(ok(b"good")));
    let detection = json!({"outlier_detection": {"consecutive_5xx": 3, "interval": "0.1s",
        "base_ejection_time": "0.2s", "max_ejection_percent": 50}});
    let proxy = to(&[bad.address, good.address], detection, json!({}));
    let mut client = proxy.client();
    let mut in_a_row = 0;
    until("the bad one is left out", || {
        in_a_row = if client.get("/", "").status == 200 { in_a_row + 1 } else { 0 };
        in_a_row == 20
    });
    assert_eq!(stat(&proxy, "outlier_detection_ejections_enforced_consecutive_5xx"), 1);
    healed.store(1, Ordering::SeqCst);
    until("it comes back", || client.get("/", "").body == "healed");
}

#[test]
fn endpoints_that_cannot_be_reached_are_left_out_too() {
    let good = Backend::start(|_, _| Then::Answer(ok(b"good")));
    let detection = json!({"outlier_detection": {"consecutive_gateway_failure": 2,
        "enforcing_consecutive_gateway_failure": 100, "max_ejection_percent": 50}});
    let proxy = to(&[nobody(), good.address], detection, json!({}));
    let mut client = proxy.client();
    let mut in_a_row = 0;
    until("the dead one is left out", || {
        in_a_row = if client.get("/", "").status == 200 { in_a_row + 1 } else { 0 };
        in_a_row == 20
    });
    assert_eq!(stat(&proxy, "outlier_detection_ejections_active"), 1);
}

#[test]
fn the_upstream_may_say_when_to_come_back() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let backend = Backend::start(move |_, _| match counted.fetch_add(1, Ordering::SeqCst) {
        0 => Then::Answer(b"HTTP/1.1 503 X\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n".to_vec()),
        _ => Then::Answer(ok(b"now")),
    });
    let retry = json!({"retry_policy": {"retry_on": "5xx", "num_retries": 1, "rate_limited_retry_back_off":
        {"reset_headers": [{"name": "Retry-After", "format": "SECONDS"}]}}});
    let proxy = to(&[backend.address], json!({}), retry);
    let began = Instant::now();
    assert_eq!(proxy.client().get("/", "").body, "now");
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(stat(&proxy, "upstream_rq_retry_backoff_ratelimited"), 1);
}

#[test]
fn a_failing_upstream_behind_three_hops_gets_little_more_than_was_offered() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let backend = Backend::start(move |_, _| match counted.fetch_add(1, Ordering::Relaxed) % 2 {
        0 => Then::Answer(status(503)),
        _ => Then::Answer(ok(b"")),
    });
    // What Istio says where a user says nothing.
    let unlimited = || {
        limits(json!({"max_connections": u32::MAX, "max_pending_requests": u32::MAX,
        "max_requests": u32::MAX, "max_retries": u32::MAX}))
    };
    let retry = || {
        json!({"retry_policy": {"num_retries": 2, "retriable_status_codes": [503],
            "retry_on": "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"}})
    };
    let third = to(&[backend.address], unlimited(), retry());
    let second = to(&[third.address], unlimited(), retry());
    let first = to(&[second.address], unlimited(), retry());
    let (threads, each) = (16, 400);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut client = first.client();
                for _ in 0..each {
                    let answer = client.get("/", "");
                    assert!(matches!(answer.status, 200 | 503), "{}", answer.status);
                }
            });
        }
    });
    let offered = threads * each;
    let arrived = count.load(Ordering::Relaxed);
    println!("offered {offered}, arrived {arrived}: {:.2}", arrived as f64 / offered as f64);
    assert!(arrived > offered, "some are tried again");
    assert!(arrived * 2 <= offered * 3, "{arrived} of {offered}");
}

#[test]
fn a_budget_may_count_requests_that_have_ended() {
    let backend = Backend::start(|head, _| match head.contains(" /bad") {
        true => Then::Answer(status(503)),
        false => Then::Answer(ok(b"")),
    });
    let retry = json!({"retry_policy": {"retry_on": "5xx", "num_retries": 1}});
    let budget = |interval: &str| {
        json!({"retry_budget": {"budget_percent": {"value": 10}, "min_retry_concurrency": 0,
            "budget_interval": interval}})
    };
    for (interval, attempts) in [("0s", 1), ("600s", 2)] {
        let proxy = to(&[backend.address], limits(budget(interval)), retry.clone());
        let mut client = proxy.client();
        for _ in 0..20 {
            assert_eq!(client.get("/", "").status, 200);
        }
        let before = backend.seen().len();
        assert_eq!(client.get("/bad", "").status, 503);
        assert_eq!(backend.seen().len() - before, attempts, "{interval}");
    }
}
