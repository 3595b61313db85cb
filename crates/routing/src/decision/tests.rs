use serde_json::{Value, json};

use super::*;
use crate::compile::{Changes, compile};
use crate::filter_chain::Terminal;

struct Request {
    method: &'static str,
    path: &'static str,
    authority: &'static str,
    headers: &'static [(&'static str, &'static str)],
}

const GET: Request = Request { method: "GET", path: "/", authority: "a.com", headers: &[] };

impl RequestHead for Request {
    fn method(&self) -> &str {
        self.method
    }
    fn path(&self) -> &str {
        self.path
    }
    fn authority(&self) -> &str {
        self.authority
    }
    fn scheme(&self) -> &str {
        "http"
    }
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.as_bytes())
    }
}

fn config(table: Value) -> Config {
    let t = "type.googleapis.com/envoy.extensions.filters";
    let listener = json!({"name": "l", "address": {"socket_address": {"address": "0.0.0.0", "port_value": 80}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": {
            "@type": format!("{t}.network.http_connection_manager.v3.HttpConnectionManager"),
            "stat_prefix": "h", "route_config": table, "http_filters": [
                {"name": "fault", "typed_config": {"@type": format!("{t}.http.fault.v3.HTTPFault")}},
                {"name": "cors", "typed_config": {"@type": format!("{t}.http.cors.v3.Cors")}},
                {"name": "router", "typed_config": {"@type": format!("{t}.http.router.v3.Router")}}]}}]}]});
    let changes = Changes {
        listeners: vec![xds::json::decode(&listener).expect("a test's own JSON")],
        ..Changes::default()
    };
    let compiled = compile(&Config::default(), &changes);
    assert_eq!(compiled.rejections, []);
    compiled.config
}

fn manager(config: &Config) -> &HttpConnectionManager {
    let chain = config.listener("l").and_then(|listener| listener.all_chains().next()).expect("one chain");
    match &chain.terminal {
        Terminal::Http(manager) => manager,
        _ => panic!("an HTTP chain"),
    }
}

/// The name of the chosen cluster, or what happens instead.
fn outcome(config: &Config, request: &Request, random: u64) -> String {
    match on_request(config, manager(config), request, random).outcome {
        Outcome::NoRoute => "404".to_owned(),
        Outcome::Redirect { status, location } => format!("{status} {location}"),
        Outcome::Respond(response) => response.status.to_string(),
        Outcome::Forward(forwarding) => forwarding.cluster_name.into_owned(),
    }
}

fn to(matcher: Value, cluster: &str) -> Value {
    json!({"match": matcher, "route": {"cluster": cluster}})
}

#[test]
fn virtual_hosts_are_found_by_name() {
    let host = |name: &str, domains: Value| json!({"name": name, "domains": domains, "routes": [to(json!({"prefix": "/"}), name)]});
    let mut table = json!({"name": "r", "virtual_hosts": [
        host("exact", json!(["a.com", "a.com:81"])),
        host("suffix", json!(["*.a.com", "*-b.a.com"])),
        host("longer", json!(["*.x.a.com"])),
        host("prefix", json!(["foo.*"])),
        host("any", json!(["*"])),
    ]});
    let names = [
        ("a.com", "exact", "exact"),
        ("A.CoM", "exact", "exact"),
        ("a.com:81", "exact", "exact"),
        ("a.com:82", "any", "exact"),
        ("w.a.com", "suffix", "suffix"),
        ("w.x.a.com", "longer", "longer"),
        (".a.com", "any", "any"),
        ("foo.bar", "prefix", "prefix"),
        ("foo.", "any", "any"),
        ("", "any", "any"),
    ];
    let plain = config(table.clone());
    table["ignore_port_in_host_matching"] = json!(true);
    let without_port = config(table);
    for (authority, expected, ignoring_port) in names {
        let request = Request { authority, ..GET };
        assert_eq!(outcome(&plain, &request, 0), expected, "{authority}");
        assert_eq!(outcome(&without_port, &request, 0), ignoring_port, "{authority}");
    }
}

#[test]
fn the_first_route_that_matches_is_taken() {
    let text = |name: &str, matcher: Value| json!({"name": name, "string_match": matcher});
    let routes = json!([
        to(json!({"path": "/exact"}), "path"),
        to(json!({"prefix": "/i", "case_sensitive": false}), "insensitive"),
        to(json!({"path_separated_prefix": "/sep"}), "separated"),
        to(json!({"safe_regex": {"regex": "/r[0-9]+"}}), "regex"),
        to(json!({"prefix": "/", "headers": [text("end-user", json!({"exact": "jason"}))]}), "jason"),
        to(json!({"prefix": "/", "headers": [text(":method", json!({"exact": "DELETE"}))]}), "delete"),
        to(json!({"prefix": "/", "headers": [{"name": "n", "range_match": {"start": 3, "end": 5}}]}), "range"),
        to(json!({"prefix": "/q", "query_parameters": [text("v", json!({"prefix": "2"}))]}), "query"),
        to(json!({"prefix": "/q", "query_parameters": [{"name": "p", "present_match": true}]}), "parameter"),
        to(json!({"prefix": "/", "grpc": {}}), "grpc"),
        to(json!({"prefix": "/not", "headers": [{"name": "gone", "present_match": true, "invert_match": true}]}), "absent"),
        {"match": {"prefix": "/redirect"}, "redirect": {"host_redirect": "b.com", "response_code": "FOUND"}},
        {"match": {"prefix": "/direct"}, "direct_response": {"status": 418, "body": {"inline_string": "tea"}}},
    ]);
    let config =
        config(json!({"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": routes}]}));
    let path = |path| Request { path, ..GET };
    let with = |headers| Request { headers, ..GET };
    let table = [
        (path("/exact?x"), "path"),
        (path("/exact/"), "404"),
        (path("/Iam"), "insensitive"),
        (path("/sep"), "separated"),
        (path("/sep/x"), "separated"),
        (path("/separate"), "404"),
        (path("/r12?q"), "regex"),
        (path("/r12/x"), "404"),
        (with(&[("end-user", "jason")]), "jason"),
        (with(&[("end-user", "jason"), ("end-user", "x")]), "404"),
        (Request { method: "DELETE", ..GET }, "delete"),
        (with(&[("n", "4")]), "range"),
        (with(&[("n", "5")]), "404"),
        (path("/q?v=2x"), "query"),
        (path("/q?v=1&p"), "parameter"),
        (with(&[("content-type", "application/grpc+proto")]), "grpc"),
        (with(&[("content-type", "application/grpcx")]), "404"),
        (path("/not"), "absent"),
        (Request { path: "/not", headers: &[("gone", "")], ..GET }, "404"),
        (path("/redirect/x?y"), "302 http://b.com/redirect/x?y"),
        (path("/direct"), "418"),
    ];
    for (request, expected) in &table {
        assert_eq!(
            &outcome(&config, request, 0),
            expected,
            "{} {} {:?}",
            request.method,
            request.path,
            request.headers
        );
    }
}

#[test]
fn weights_split_the_requests_and_carry_their_header_changes() {
    let add = |value: &str| json!([{"header": {"key": "x-level", "value": value}}]);
    let weighted = json!({"clusters": [
        {"name": "v1", "weight": 90, "request_headers_to_add": add("weight")},
        {"name": "v2", "weight": 10}]});
    let mut table = json!({"name": "r", "request_headers_to_add": add("table"), "virtual_hosts": [{
        "name": "v", "domains": ["*"], "request_headers_to_add": add("host"),
        "routes": [{"match": {"prefix": "/"}, "route": {"weighted_clusters": weighted}, "request_headers_to_add": add("route")}]}]});
    let plain = config(table.clone());
    let counted = (0..1000).filter(|random| outcome(&plain, &GET, *random) == "v1").count();
    assert_eq!(counted, 900);
    let levels = |config: &Config| {
        let decision = on_request(config, manager(config), &GET, 0);
        let values = decision.request_mutations().flat_map(|level| level.add.iter());
        values.map(|add| format!("{:?}", add.value)).collect::<Vec<_>>().join(" ")
    };
    let order = ["weight", "route", "host", "table"]
        .map(|value| format!("{:?}", crate::header_mutation::HeaderValue::Literal(value.as_bytes().into())));
    assert_eq!(levels(&plain), order.join(" "));
    table["most_specific_header_mutations_wins"] = json!(true);
    let reversed: Vec<_> = order.iter().rev().cloned().collect();
    assert_eq!(levels(&config(table)), reversed.join(" "));
}

#[test]
fn faults_of_the_route_take_the_place_of_the_filters() {
    let fault = json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
        "delay": {"fixed_delay": "7s", "percentage": {"numerator": 100}},
        "abort": {"http_status": 500, "percentage": {"numerator": 50}},
        "headers": [{"name": "end-user", "string_match": {"exact": "jason"}}]});
    let table = json!({"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [
        {"match": {"prefix": "/"}, "route": {"cluster": "c", "timeout": "0s"},
         "typed_per_filter_config": {"envoy.filters.http.fault": fault}}]}]});
    let config = config(table);
    let decision = on_request(&config, manager(&config), &GET, 0);
    assert!(decision.fault.is_none(), "for jason alone");
    let jason = Request { headers: &[("end-user", "jason")], ..GET };
    let decision = on_request(&config, manager(&config), &jason, 0);
    let Outcome::Forward(forwarding) = &decision.outcome else { panic!("it forwards") };
    assert_eq!(forwarding.timeout, None);
    let fault = decision.fault.expect("the route has one");
    let injection = fault.draw(0, 49);
    assert_eq!(injection.delay, Some(Duration::from_secs(7)));
    assert_eq!(injection.abort, Some(crate::fault::Abort::Http(500)));
    assert_eq!(fault.draw(0, 50).abort, None);
}

#[test]
fn faults_befall_requests_that_are_answered_or_sent_elsewhere_too() {
    let fault = json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
        "abort": {"http_status": 500, "percentage": {"numerator": 100}}});
    let per_filter = json!({"envoy.filters.http.fault": fault});
    let table = json!({"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [
        {"match": {"path": "/a"}, "direct_response": {"status": 200}, "typed_per_filter_config": per_filter},
        {"match": {"path": "/b"}, "redirect": {"host_redirect": "b"}, "typed_per_filter_config": per_filter},
        {"match": {"path": "/c"}, "direct_response": {"status": 200}}]}]});
    let config = config(table);
    let is_aborted =
        |path| on_request(&config, manager(&config), &Request { path, ..GET }, 0).fault.is_some();
    assert_eq!(["/a", "/b", "/c", "/d"].map(is_aborted), [true, true, false, false]);
}

#[test]
fn cross_origin_policies_are_for_requests_that_are_forwarded() {
    let policy = json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
        "allow_origin_string_match": [{"prefix": "https://"}]});
    let per_filter = json!({"envoy.filters.http.cors": policy});
    let table = json!({"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [
        {"match": {"path": "/a"}, "route": {"cluster": "c"}, "typed_per_filter_config": per_filter},
        {"match": {"path": "/b"}, "redirect": {"host_redirect": "b"}, "typed_per_filter_config": per_filter},
        {"match": {"path": "/c"}, "direct_response": {"status": 200}, "typed_per_filter_config": per_filter}]}]});
    let config = config(table);
    let has_policy = |path| on_request(&config, manager(&config), &Request { path, ..GET }, 0).cors.is_some();
    assert_eq!(["/a", "/b", "/c"].map(has_policy), [true, false, false]);
}

#[test]
fn paths_and_origins_are_rewritten_and_known() {
    let route = |matcher: Value, extra: Value| {
        let mut action = json!({"cluster": "c"});
        action.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        json!({"match": matcher, "route": action,
            "metadata": {"filter_metadata": {"lateen": {"object": "VirtualService/default/a", "path": "http[0]"}}}})
    };
    let routes = json!([
        route(json!({"prefix": "/old/"}), json!({"prefix_rewrite": "/new/"})),
        route(json!({"path": "/exact"}), json!({"prefix_rewrite": "/there"})),
        route(
            json!({"prefix": "/re"}),
            json!({"regex_rewrite": {"pattern": {"regex": "^/re/([^/]+)(/.*)$"}, "substitution": "\\2/of/\\1"}})
        ),
    ]);
    let config =
        config(json!({"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": routes}]}));
    for (path, expected) in
        [("/old/x?y=/old/", "/new/x?y=/old/"), ("/exact?q", "/there?q"), ("/re/a/b?q", "/b/of/a?q")]
    {
        let decision = on_request(&config, manager(&config), &Request { path, ..GET }, 0);
        let route = decision.route.expect("one matches");
        assert_eq!(
            route.origin.as_ref().map(ToString::to_string).as_deref(),
            Some("VirtualService/default/a http[0]")
        );
        let Outcome::Forward(forwarding) = decision.outcome else { panic!("it forwards") };
        let rewrite = forwarding.options.path_rewrite.as_ref().expect("each has one");
        assert_eq!(rewrite.apply(route.matcher.path(), path), expected);
    }
}

#[test]
fn plain_requests_are_sent_to_tls_where_it_is_required() {
    let config =
        config(json!({"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "require_tls": "ALL",
        "routes": [to(json!({"prefix": "/"}), "c")]}]}));
    assert_eq!(outcome(&config, &Request { path: "/x?y", ..GET }, 0), "301 https://a.com/x?y");
    assert_eq!(outcome(&config, &Request { headers: &[("x-forwarded-proto", "https")], ..GET }, 0), "c");
}
