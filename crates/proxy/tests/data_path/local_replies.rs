//! Answers of the proxy's own, and what is said of answers without a body:
//! corners in which stock Envoy was watched.

use serde_json::{Value, json};

use super::backend::{Backend, Then};
use super::setup::{FILTERS, Proxy, cluster, listener, manager, nobody, proxy, to_one};

fn fault(abort: Value) -> Value {
    json!({"fault": {"@type": format!("{FILTERS}.http.fault.v3.HTTPFault"), "abort": abort}})
}

/// One route with this beside its match.
fn with_route(rest: Value) -> Proxy {
    let mut route = json!({"match": {"prefix": "/"}, "name": "root"});
    route.as_object_mut().expect("an object").extend(rest.as_object().expect("an object").clone());
    proxy(json!([listener(manager(json!([route])))]), json!([cluster("up", &[nobody()])]))
}

fn always(mut abort: Value) -> Value {
    abort["percentage"] = json!({"numerator": 100});
    abort
}

#[test]
fn an_own_400_ends_the_connection_and_other_answers_do_not() {
    for (status, connection) in [(400, Some("close")), (418, None)] {
        let abort = always(json!({"http_status": status}));
        let aborting =
            with_route(json!({"route": {"cluster": "up"}, "typed_per_filter_config": fault(abort)}));
        let answering = with_route(json!({"direct_response": {"status": status}}));
        for proxy in [aborting, answering] {
            let response = proxy.client().get("/", "");
            assert_eq!((response.status, response.header("connection")), (status, connection));
        }
    }
}

#[test]
fn a_fault_comes_before_origins_are_asked_about() {
    let mut per_filter = fault(always(json!({"http_status": 418})));
    per_filter["cors"] = json!({"@type": format!("{FILTERS}.http.cors.v3.CorsPolicy"),
        "allow_origin_string_match": [{"prefix": "https://"}]});
    let proxy = with_route(json!({"route": {"cluster": "up"}, "typed_per_filter_config": per_filter}));
    let mut client = proxy.client();
    client.send(
        "OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: https://a\r\nAccess-Control-Request-Method: GET\r\n\r\n",
    );
    let response = client.response();
    assert_eq!((response.status, response.body.as_str()), (418, "fault filter abort"));
    assert_eq!(response.header("access-control-allow-origin"), None);
}

#[test]
fn routes_change_nothing_that_an_own_answer_says_of_its_body() {
    let proxy = with_route(json!({"route": {"cluster": "up"},
        "response_headers_to_remove": ["content-type"],
        "response_headers_to_add": [{"header": {"key": "content-length", "value": "77"}}],
        "typed_per_filter_config": fault(always(json!({"http_status": 418})))}));
    let response = proxy.client().get("/", "");
    assert_eq!(response.header("content-type"), Some("text/plain"));
    assert_eq!(
        (response.header("content-length"), response.body.as_str()),
        (Some("18"), "fault filter abort")
    );
    let proxy = with_route(json!({"direct_response": {"status": 304}}));
    assert_eq!(proxy.client().get("/", "").header("content-length"), None);
}

#[test]
fn refusals_before_routing_speak_grpc_too() {
    let proxy = to_one(nobody(), json!({}));
    let response = proxy.client().get("/a#b", "content-type: application/grpc\r\n");
    assert_eq!((response.status, response.header("grpc-status")), (200, Some("13")));
    let plain = proxy.client().get("/a#b", "content-type: application/grpc\r\ncontent-type: x\r\n");
    assert_eq!(plain.status, 400, "two lines are one with a comma, and that is not gRPC");
}

#[test]
fn heads_without_bodies_promise_no_chunks_where_there_never_are_any() {
    let backend = Backend::start(|head, _| match head.split(' ').nth(1) {
        Some("/same") => Then::Answer(b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec()),
        _ => Then::Answer(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
    });
    let proxy = to_one(backend.address, json!({}));
    for (path, chunked) in [("/same", false), ("/other", true)] {
        let mut client = proxy.client();
        let head = client.send(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n")).head_only();
        assert_eq!(head.to_lowercase().contains("transfer-encoding: chunked"), chunked, "{head}");
    }
}

#[test]
fn headers_that_come_twice_are_one_line_where_envoy_makes_one() {
    let backend = Backend::echo();
    let proxy = to_one(backend.address, json!({}));
    let headers = "x-forwarded-for: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\nexpect: 100-continue\r\nexpect: 100-continue\r\n";
    let body = proxy.client().get("/", headers).body;
    assert!(body.contains("x-forwarded-for: 1.1.1.1,2.2.2.2\r\n"), "{body}");
    assert!(body.contains("expect: 100-continue,100-continue\r\n"), "{body}");
    // Empty lines do not count; one that stays empty names no scheme, and no route is found.
    let none = proxy.client().get("/", "x-forwarded-proto: \r\nx-forwarded-proto: \r\n");
    assert_eq!(none.status, 404);
}

#[test]
fn an_original_destination_is_one_that_something_changed() {
    let there = json!({"name": "up", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED"});
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster": "up"}}]);
    let proxy = proxy(json!([listener(manager(routes))]), json!([there]));
    let response = proxy.client().get("/", "");
    assert_eq!((response.status, response.body.as_str()), (503, "no healthy upstream"));
}
