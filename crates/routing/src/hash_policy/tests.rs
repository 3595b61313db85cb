use serde_json::{Value, json};

use super::*;

struct Request {
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
}

impl RequestHead for Request {
    fn method(&self) -> &str {
        "GET"
    }

    fn path(&self) -> &str {
        self.path
    }

    fn authority(&self) -> &str {
        "a.test"
    }

    fn scheme(&self) -> &str {
        "http"
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(key, _)| *key == name).map(|(_, value)| value.as_bytes())
    }
}

fn policies(json: &Value) -> Box<[HashPolicy]> {
    let wire: Vec<wire::route_action::HashPolicy> = json
        .as_array()
        .expect("a list")
        .iter()
        .map(|policy| {
            let route = xds::json::decode::<wire::RouteAction>(&json!({"hash_policy": [policy]}));
            route.expect("a test's own JSON").hash_policy.remove(0)
        })
        .collect();
    HashPolicy::compile_all(&wire).expect("they compile")
}

fn hash_of(json: &Value, request: &Request) -> Hashed {
    let client = Client {
        address: "10.0.0.9".parse().expect("an address"),
        peer: "127.0.0.1:4000".parse().expect("an address"),
        local: "127.0.0.1:80".parse().expect("an address"),
    };
    request_hash(&policies(json), request, &client)
}

#[test]
fn hashes_come_from_what_the_policies_name() {
    let request = Request {
        path: "/p?q=seven&r",
        headers: &[("user", "jason"), ("multi", "b"), ("multi", "a"), ("cookie", "x=1; session=\"abc\"")],
    };
    let joined = xxh64(b"b", xx(b"a"));
    let table = [
        (json!([{"header": {"header_name": "User"}}]), Some(xx(b"jason"))),
        (
            json!([{"header": {"header_name": "user", "regex_rewrite":
            {"pattern": {"regex": "j(.*)"}, "substitution": "\\1"}}}]),
            Some(xx(b"ason")),
        ),
        (json!([{"header": {"header_name": "multi"}}]), Some(joined)),
        (json!([{"header": {"header_name": "absent"}}]), None),
        (json!([{"header": {"header_name": ":path"}}]), Some(xx(b"/p?q=seven&r"))),
        (json!([{"cookie": {"name": "session"}}]), Some(xx(b"abc"))),
        (json!([{"cookie": {"name": "other"}}]), None),
        (json!([{"connection_properties": {"source_ip": true}}]), Some(xx(b"10.0.0.9"))),
        (json!([{"query_parameter": {"name": "q"}}]), Some(xx(b"seven"))),
        (json!([{"query_parameter": {"name": "s"}}]), None),
        (
            json!([{"header": {"header_name": "user"}}, {"query_parameter": {"name": "q"}}]),
            Some(xx(b"jason").rotate_left(1) ^ xx(b"seven")),
        ),
        (
            json!([{"header": {"header_name": "user"}, "terminal": true}, {"query_parameter": {"name": "q"}}]),
            Some(xx(b"jason")),
        ),
        (
            json!([{"header": {"header_name": "absent"}, "terminal": true}, {"query_parameter": {"name": "q"}}]),
            Some(xx(b"seven")),
        ),
    ];
    for (json, expected) in table {
        assert_eq!(hash_of(&json, &request).hash, expected, "{json}");
    }
}

#[test]
fn a_missing_cookie_with_a_lifetime_is_made() {
    let request = Request { path: "/", headers: &[] };
    let policy = json!([{"cookie": {"name": "user", "path": "/here", "ttl": "60s",
        "attributes": [{"name": "SameSite", "value": "Lax"}, {"name": "Secure"}]}}]);
    let made = hash_of(&policy, &request);
    let value = format!("{:016x}", xx(b"127.0.0.1:4000127.0.0.1:80"));
    assert_eq!(made.hash, Some(xx(value.as_bytes())));
    assert_eq!(
        made.cookies.as_slice(),
        [format!("user=\"{value}\"; Max-Age=60; Path=/here; SameSite=Lax; Secure; HttpOnly")]
    );
    let session = hash_of(&json!([{"cookie": {"name": "user", "ttl": "0s"}}]), &request);
    assert_eq!(session.cookies.as_slice(), [format!("user=\"{value}\"; HttpOnly")]);
}
