//! Which endpoint a request comes to.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::backend::{Backend, Then, ok};
use super::setup::{Proxy, cluster, listener, manager, nobody, proxy};

/// Servers that answer with their number.
fn backends(count: usize) -> Vec<Backend> {
    let one = |number: usize| Backend::start(move |_, _| Then::Answer(ok(number.to_string().as_bytes())));
    (0..count).map(one).collect()
}

fn balanced(backends: &[Backend], extra: Value, route: Value) -> Proxy {
    let addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
    let mut up = cluster("up", &addresses);
    up.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    let mut action = json!({"cluster": "up"});
    action.as_object_mut().expect("an object").extend(route.as_object().expect("an object").clone());
    let routes = json!([{"match": {"prefix": "/"}, "route": action}]);
    proxy(json!([listener(manager(routes))]), json!([up]))
}

#[test]
fn equal_hashes_come_to_the_same_endpoint() {
    let backends = backends(4);
    for policy in ["RING_HASH", "MAGLEV"] {
        let table = [
            (json!({"header": {"header_name": "user"}}), "/", "user: "),
            (json!({"query_parameter": {"name": "user"}}), "/?user=", ""),
            (json!({"cookie": {"name": "user"}}), "/", "cookie: user="),
        ];
        for (hash, path, header) in table {
            let route = json!({"hash_policy": [hash]});
            let proxy = balanced(&backends, json!({"lb_policy": policy}), route);
            let ask = |user: usize| {
                let (path, header) = match header {
                    "" => (format!("{path}{user}"), String::new()),
                    header => (path.to_owned(), format!("{header}{user}\r\n")),
                };
                proxy.client().get(&path, &header).body
            };
            let first: Vec<String> = (0..30).map(ask).collect();
            let second: Vec<String> = (0..30).map(ask).collect();
            assert_eq!(first, second, "{policy} {path}{header}");
            let used: BTreeMap<&String, ()> = first.iter().map(|body| (body, ())).collect();
            assert!(used.len() > 1, "{policy}: all came to one");
        }
    }
}

#[test]
fn a_client_without_a_cookie_gets_one_that_leads_back() {
    let backends = backends(4);
    let route = json!({"hash_policy": [{"cookie": {"name": "sticky", "ttl": "30s", "path": "/p"}}]});
    let proxy = balanced(&backends, json!({"lb_policy": "RING_HASH"}), route);
    for _ in 0..10 {
        let first = proxy.client().get("/", "");
        let cookie = first.header("set-cookie").expect("it is made").to_owned();
        assert!(cookie.ends_with("; Max-Age=30; Path=/p; HttpOnly"), "{cookie}");
        let (pair, _) = cookie.split_once(';').expect("it has attributes");
        for _ in 0..3 {
            let next = proxy.client().get("/", &format!("cookie: a=b; {pair}\r\n"));
            assert_eq!(next.body, first.body);
            assert_eq!(next.header("set-cookie"), None);
        }
    }
}

#[test]
fn weights_share_the_requests_out() {
    let backends = backends(2);
    let endpoint = |at: usize, weight: u32| {
        json!({"load_balancing_weight": weight, "endpoint": {"address": {"socket_address":
            {"address": "127.0.0.1", "port_value": backends[at].address.port()}}}})
    };
    let extra = json!({"load_assignment": {"cluster_name": "up",
        "endpoints": [{"lb_endpoints": [endpoint(0, 3), endpoint(1, 1)]}]}});
    let proxy = balanced(&backends, extra, json!({}));
    let mut client = proxy.client();
    let first = (0..80).filter(|_| client.get("/", "").body == "0").count();
    assert_eq!(first, 60);
}

#[test]
fn the_next_priority_takes_over_when_the_first_is_left_out() {
    let backends = backends(1);
    let endpoint = |port: u16, priority: u32| {
        json!({"priority": priority, "lb_endpoints": [{"endpoint": {"address": {"socket_address":
            {"address": "127.0.0.1", "port_value": port}}}}]})
    };
    let extra = json!({
        "load_assignment": {"cluster_name": "up",
            "endpoints": [endpoint(nobody().port(), 0), endpoint(backends[0].address.port(), 1)]},
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "outlier_detection": {"consecutive_5xx": 1, "max_ejection_percent": 100}});
    let proxy = balanced(&backends, extra, json!({}));
    let mut client = proxy.client();
    assert_eq!(client.get("/", "").status, 503);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while client.get("/", "").status != 200 {
        assert!(std::time::Instant::now() < deadline, "it never takes over");
    }
    assert_eq!(client.get("/", "").body, "0");
}

#[test]
fn a_retry_leaves_the_priority_that_failed() {
    let backends = backends(1);
    let endpoint = |port: u16, priority: u32| {
        json!({"priority": priority, "lb_endpoints": [{"endpoint": {"address": {"socket_address":
            {"address": "127.0.0.1", "port_value": port}}}}]})
    };
    let extra = json!({"load_assignment": {"cluster_name": "up",
        "endpoints": [endpoint(nobody().port(), 0), endpoint(backends[0].address.port(), 1)]}});
    let route = json!({"retry_policy": {"retry_on": "connect-failure", "num_retries": 2, "retry_priority":
        {"name": "envoy.retry_priorities.previous_priorities", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
            "update_frequency": 2}}}});
    let proxy = balanced(&backends, extra, route);
    let answer = proxy.client().get("/", "");
    assert_eq!((answer.status, answer.body.as_str()), (200, "0"));
}
