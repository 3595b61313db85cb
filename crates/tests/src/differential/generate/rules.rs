//! Objects that users write.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use crate::differential::access_log::json_settings;

use super::services::{SHARES, SPLIT};
use super::words::{
    DESTINATIONS, GATEWAY_HOSTS, HEADERS, MESH_HOSTS, METHODS, ORIGINS, PATH_PATTERNS, PATHS, VALUE_PATTERNS,
    VALUES,
};
use super::{chance, one};

/// The name of the object to which others delegate.
const DELEGATE: &str = "delegate";

/// Draws the objects of a configuration.
pub(super) fn draw(rng: &mut Rng) -> Vec<Value> {
    let mut objects = Vec::new();
    let gateways = rng.usize(0..=2);
    for number in 0..gateways {
        objects.push(gateway(rng, number));
    }
    for number in 0..rng.usize(0..=2) {
        objects.push(service_entry(rng, number));
    }
    for number in 0..rng.usize(1..=3) {
        objects.push(virtual_service(rng, number, gateways));
    }
    let delegates = objects.iter().any(|object| object.to_string().contains("\"delegate\""));
    if delegates {
        objects.push(delegate(rng));
    }
    for host in ["web", "api", "ext.test", "auto"] {
        if chance(rng, 40) {
            objects.push(destination_rule(rng, host));
        }
    }
    if chance(rng, 15) {
        objects.push(sidecar(rng));
    }
    if chance(rng, 40) {
        objects.push(json_settings());
    }
    objects
}

fn number(rng: &mut Rng, list: &[u16]) -> u16 {
    list[rng.usize(0..list.len())]
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    })
}

fn gateway(rng: &mut Rng, number: usize) -> Value {
    let mut servers = Vec::new();
    for _ in 0..rng.usize(1..=2) {
        let (port, protocol) =
            [(8000, "HTTP"), (8000, "HTTP"), (8001, "HTTP2"), (9100, "TCP"), (9443, "TLS")][rng.usize(0..5)];
        let mut hosts = vec![one(rng, &GATEWAY_HOSTS).to_owned()];
        if chance(rng, 30) {
            hosts.push(format!("{}/{}", one(rng, &["*", ".", "default", "shop"]), one(rng, &GATEWAY_HOSTS)));
        }
        let mut server = json!({
            "port": {"number": port, "name": format!("p{number}-{port}"), "protocol": protocol}, "hosts": hosts,
        });
        if protocol == "TLS" {
            server["tls"] = json!({"mode": "PASSTHROUGH"});
        } else if protocol == "HTTP" && chance(rng, 10) {
            server["tls"] = json!({"httpsRedirect": true});
        }
        servers.push(server);
    }
    object("Gateway", &format!("g{number}"), json!({"selector": {"app": "front"}, "servers": servers}))
}

fn service_entry(rng: &mut Rng, number: usize) -> Value {
    let (port, protocol, name) = [
        (80, "HTTP", "http"),
        (8081, "HTTP", "http-x"),
        (9000, "TCP", "tcp"),
        (443, "TLS", "tls"),
        (81, "", "any"),
    ][rng.usize(0..5)];
    let mut spec = json!({
        "hosts": [one(rng, &["ext.test", "foo.wild.test", "other.test"])],
        "ports": [{"number": port, "name": name, "protocol": protocol}],
        "location": one(rng, &["MESH_EXTERNAL", "MESH_INTERNAL"]),
    });
    if protocol.is_empty() {
        spec["ports"][0].as_object_mut().map(|port| port.remove("protocol"));
    }
    if chance(rng, 50) {
        spec["addresses"] = json!([format!("10.97.0.{}", number + 1)]);
    }
    match rng.u32(0..3) {
        0 => spec["resolution"] = json!("NONE"),
        _ => {
            spec["resolution"] = json!("STATIC");
            let target = if name.starts_with("http") || name == "any" { 8081 } else { 9000 };
            spec["ports"][0]["targetPort"] = json!(target);
            spec["endpoints"] =
                json!([{"address": format!("10.99.0.{}", number + 1), "labels": {"version": "v1"}}]);
        }
    }
    object("ServiceEntry", &format!("e{number}"), spec)
}

fn virtual_service(rng: &mut Rng, number: usize, gateways: usize) -> Value {
    let at_gateway = gateways > 0 && chance(rng, 55);
    let words: &[&str] = if at_gateway { &GATEWAY_HOSTS } else { &MESH_HOSTS };
    let mut hosts = vec![one(rng, words)];
    if chance(rng, 25) {
        let other = one(rng, words);
        if !hosts.contains(&other) {
            hosts.push(other);
        }
    }
    let mut spec = Map::new();
    spec.insert("hosts".to_owned(), json!(hosts));
    if at_gateway {
        let mut names = vec![format!("g{}", rng.usize(0..gateways))];
        if chance(rng, 20) && hosts.iter().all(|host| *host != "*") {
            names.push("mesh".to_owned());
        }
        spec.insert("gateways".to_owned(), json!(names));
    }
    let kinds = rng.u32(0..10);
    if kinds < 9 {
        let mut rules: Vec<Value> = (0..rng.usize(1..=4)).map(|_| http_rule(rng)).collect();
        if chance(rng, 12) {
            rules.insert(0, delegating(rng));
        }
        spec.insert("http".to_owned(), json!(rules));
    }
    if kinds >= 8 {
        spec.insert("tcp".to_owned(), json!([tcp_rule(rng)]));
    }
    if kinds == 9 {
        let names = hosts.iter().filter(|host| **host != "*").collect::<Vec<_>>();
        if !names.is_empty() {
            let route = json!([{"destination": {"host": "web", "port": {"number": 9443}}}]);
            spec.insert("tls".to_owned(), json!([{"match": [{"sniHosts": names}], "route": route}]));
        }
    }
    object("VirtualService", &format!("v{number}"), Value::Object(spec))
}

/// A rule that leaves the rest to another object.
fn delegating(rng: &mut Rng) -> Value {
    let mut rule = json!({
        "match": [{"uri": {"prefix": one(rng, &["/a", "/api", "/"])}}],
        "delegate": {"name": one(rng, &[DELEGATE, DELEGATE, "missing"])},
    });
    if chance(rng, 30) {
        rule["timeout"] = json!("5s");
    }
    if chance(rng, 30) {
        rule["headers"] = headers(rng);
    }
    rule
}

/// What is delegated: rules without hosts.
fn delegate(rng: &mut Rng) -> Value {
    let rules: Vec<Value> = (0..rng.usize(1..=3)).map(|_| http_rule(rng)).collect();
    object("VirtualService", DELEGATE, json!({"http": rules}))
}

fn tcp_rule(rng: &mut Rng) -> Value {
    let port = one(rng, &["9000", "9000", "9443"]).parse::<u16>().unwrap_or(9000);
    let mut rule = json!({"route": [{"destination": {"host": one(rng, &["web", "dead", "empty"]), "port": {"number": port}}}]});
    if chance(rng, 40) {
        rule["match"] = json!([{"port": number(rng, &[9000, 9100, 80])}]);
    }
    rule
}

fn http_rule(rng: &mut Rng) -> Value {
    let mut rule = json!({});
    if chance(rng, 30) {
        rule["name"] = json!(one(rng, &["first", "canary", "a-b"]));
    }
    if chance(rng, 75) {
        let matches: Vec<Value> = (0..rng.usize(1..=2)).map(|_| condition(rng)).collect();
        rule["match"] = json!(matches);
    }
    match rng.u32(0..100) {
        0..10 => rule["redirect"] = redirect(rng),
        10..20 => rule["directResponse"] = direct_response(rng),
        _ => forward(rng, &mut rule),
    }
    if chance(rng, 15) {
        rule["headers"] = headers(rng);
    }
    if chance(rng, 15) {
        rule["corsPolicy"] = cors(rng);
    }
    if chance(rng, 15) {
        rule["fault"] = fault(rng);
    }
    rule
}

fn condition(rng: &mut Rng) -> Value {
    let mut condition = json!({});
    if chance(rng, 65) {
        condition["uri"] = path_match(rng);
        if chance(rng, 20) {
            condition["ignoreUriCase"] = json!(true);
        }
    }
    if chance(rng, 25) {
        let name = one(rng, &HEADERS);
        condition["headers"] = json!({name: value_match(rng)});
    }
    if chance(rng, 12) {
        let name = one(rng, &HEADERS);
        condition["withoutHeaders"] = json!({name: value_match(rng)});
    }
    if chance(rng, 15) {
        let name = one(rng, &["x", "y", "debug"]);
        let value = one(rng, &["1", "2", "true", ""]);
        condition["queryParams"] = match rng.u32(0..4) {
            0 => json!({name: {"exact": value}}),
            1 => json!({name: {"regex": one(rng, &VALUE_PATTERNS)}}),
            2 => json!({name: {"prefix": one(rng, &["1", "t"])}}),
            _ => json!({name: {}}),
        };
    }
    if chance(rng, 12) {
        condition["method"] = match rng.u32(0..4) {
            0 => json!({"regex": "GET|POST"}),
            1 => json!({"prefix": "P"}),
            _ => json!({"exact": one(rng, &METHODS)}),
        };
    }
    if chance(rng, 10) {
        condition["authority"] = match rng.u32(0..3) {
            0 => json!({"regex": one(rng, &["web.*", ".*\\.test", ".*:80"])}),
            1 => json!({"prefix": one(rng, &["web", "shop", "ext"])}),
            _ => json!({"exact": one(rng, &["web", "shop.test", "web:80", "ext.test"])}),
        };
    }
    if chance(rng, 6) {
        condition["scheme"] = json!({"exact": one(rng, &["http", "https"])});
    }
    if chance(rng, 6) {
        condition["port"] = json!(number(rng, &[80, 8081, 8000]));
    }
    if chance(rng, 5) {
        condition["sourceLabels"] = json!({"app": one(rng, &["probe", "front", "nobody"])});
    }
    if chance(rng, 4) {
        condition["sourceNamespace"] = json!(one(rng, &["default", "shop"]));
    }
    if condition == json!({}) {
        condition["uri"] = json!({"prefix": "/"});
    }
    condition
}

fn path_match(rng: &mut Rng) -> Value {
    match rng.u32(0..10) {
        0..3 => json!({"exact": one(rng, &PATHS)}),
        3..8 => json!({"prefix": one(rng, &PATHS)}),
        _ => json!({"regex": one(rng, &PATH_PATTERNS)}),
    }
}

fn value_match(rng: &mut Rng) -> Value {
    match rng.u32(0..10) {
        0..4 => json!({"exact": one(rng, &VALUES)}),
        4..6 => json!({"prefix": one(rng, &["j", "a", "user"])}),
        6..9 => json!({"regex": one(rng, &VALUE_PATTERNS)}),
        _ => json!({}),
    }
}

fn redirect(rng: &mut Rng) -> Value {
    let mut redirect = json!({});
    match rng.u32(0..4) {
        0 => {}
        1 => redirect["prefixRewrite"] = json!(one(rng, &["/new", "/", "/new/"])),
        _ => redirect["uri"] = json!(one(rng, &["/new", "/new?z=1", "/"])),
    }
    if chance(rng, 40) {
        redirect["authority"] = json!(one(rng, &["else.test", "else.test:8443"]));
    }
    if chance(rng, 25) {
        redirect["scheme"] = json!(one(rng, &["https", "http"]));
    }
    match rng.u32(0..5) {
        0 => redirect["port"] = json!(number(rng, &[80, 443, 8080])),
        1 => redirect["derivePort"] = json!(one(rng, &["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"])),
        _ => {}
    }
    if chance(rng, 50) {
        redirect["redirectCode"] = json!(number(rng, &[301, 302, 303, 307, 308]));
    }
    if redirect == json!({}) {
        redirect["uri"] = json!("/new");
    }
    redirect
}

fn direct_response(rng: &mut Rng) -> Value {
    let status = number(rng, &[200, 201, 204, 304, 404, 418, 503]);
    match rng.u32(0..3) {
        0 => json!({"status": status}),
        1 => json!({"status": status, "body": {"bytes": "AAECaGk="}}),
        _ => json!({"status": status, "body": {"string": one(rng, &["hello", "{\"a\": 1}", ""])}}),
    }
}

fn forward(rng: &mut Rng, rule: &mut Value) {
    let mut route = vec![destination(rng)];
    if chance(rng, 6) {
        route = split(rng);
    } else if chance(rng, 25) {
        let mut other = destination(rng);
        let first = if chance(rng, 50) { 100 } else { 0 };
        route[0]["weight"] = json!(first);
        other["weight"] = json!(100 - first);
        route.push(other);
    }
    if chance(rng, 12) {
        route[0]["headers"] = headers(rng);
    }
    rule["route"] = json!(route);
    if chance(rng, 8) {
        rule["mirror"] = json!({"host": one(rng, &["api", "cart.shop.svc.cluster.local"])});
        if chance(rng, 40) {
            rule["mirrorPercentage"] = json!({"value": number(rng, &[0, 100])});
        }
    }
    if chance(rng, 25) {
        rule["rewrite"] = rewrite(rng);
    }
    if chance(rng, 20) {
        rule["timeout"] = json!(one(rng, &["0.25s", "0s", "5s"]));
    }
    if chance(rng, 25) {
        rule["retries"] = retries(rng);
    }
}

/// To both versions of a service, by chance.
fn split(rng: &mut Rng) -> Vec<Value> {
    let first = number(rng, &SHARES);
    let weighted = |which: &str, weight: u16| {
        let to = json!({"host": SPLIT, "subset": format!("{first}-{which}"), "port": {"number": 80}});
        json!({"destination": to, "weight": weight})
    };
    vec![weighted("first", first), weighted("second", 100 - first)]
}

fn destination(rng: &mut Rng) -> Value {
    let host = if chance(rng, 60) { one(rng, &["web", "api"]) } else { one(rng, &DESTINATIONS) };
    let mut destination = json!({"host": host});
    if host == "web" {
        destination["port"] = json!({"number": number(rng, &[80, 80, 8081, 7000, 8083])});
    }
    if chance(rng, 30) {
        destination["subset"] = json!(one(rng, &["v1", "v2", "v1", "none"]));
    }
    json!({"destination": destination})
}

fn rewrite(rng: &mut Rng) -> Value {
    let mut rewrite = json!({});
    match rng.u32(0..4) {
        0 => {
            rewrite["uriRegexRewrite"] = match rng.u32(0..4) {
                0 => json!({"match": "^/api/(v\\d)/(.*)$", "rewrite": "/\\2/of/\\1"}),
                1 => json!({"match": "a", "rewrite": "z"}),
                2 => json!({"match": "^/(.*)$", "rewrite": "/pre/\\1"}),
                _ => json!({"match": "/+", "rewrite": "/"}),
            };
        }
        1 => {}
        _ => rewrite["uri"] = json!(one(rng, &["/", "/new", "/new/", "/a/b", "/new?z=1"])),
    }
    if chance(rng, 40) || rewrite == json!({}) {
        rewrite["authority"] = json!(one(rng, &["inner.test", "web:8080", "API.test"]));
    }
    rewrite
}

fn retries(rng: &mut Rng) -> Value {
    let mut retries = json!({"attempts": rng.u32(0..=3)});
    if chance(rng, 70) {
        let on = [
            "5xx",
            "gateway-error",
            "connect-failure,refused-stream",
            "503",
            "retriable-4xx",
            "reset",
            "retriable-status-codes",
            "reset-before-request",
            "5xx,retriable-4xx",
            "409,503",
        ];
        retries["retryOn"] = json!(one(rng, &on));
    }
    if chance(rng, 30) {
        retries["perTryTimeout"] = json!(one(rng, &["0.15s", "2s"]));
    }
    if chance(rng, 20) {
        retries["backoff"] = json!("0.01s");
    }
    if chance(rng, 10) {
        retries["retryIgnorePreviousHosts"] = json!(rng.bool());
    }
    retries
}

fn headers(rng: &mut Rng) -> Value {
    let mut headers = json!({});
    if chance(rng, 70) {
        headers["request"] = operations(rng, &["x-tag", "end-user", "x-new", "x-group", "X-Mixed", "host"]);
    }
    if chance(rng, 50) {
        headers["response"] =
            operations(rng, &["x-gone", "x-kept", "x-new", "server", "X-Mixed", "content-type"]);
    }
    headers
}

fn operations(rng: &mut Rng, names: &[&str]) -> Value {
    let mut operations = json!({});
    let value = |rng: &mut Rng| {
        one(
            rng,
            &[
                "one",
                "two words",
                "%REQ(end-user)%",
                "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
                "100%%",
                "%PROTOCOL%",
                "%REQ(x-nothing)%",
                "%RESPONSE_CODE%",
                "",
            ],
        )
    };
    for kind in ["set", "add"] {
        if chance(rng, 50) {
            let name = one(rng, names);
            operations[kind] = json!({name: value(rng)});
        }
    }
    if chance(rng, 40) {
        operations["remove"] = json!([one(rng, names)]);
    }
    operations
}

fn cors(rng: &mut Rng) -> Value {
    let mut cors = json!({});
    cors["allowOrigins"] = match rng.u32(0..4) {
        0 => json!([{"regex": "https://.*good\\.test"}]),
        1 => json!([{"prefix": "https://good"}, {"exact": "null"}]),
        2 => json!([{"exact": "*"}]),
        _ => json!([{"exact": one(rng, &ORIGINS)}]),
    };
    if chance(rng, 60) {
        cors["allowMethods"] = json!(["GET", "POST"]);
    }
    if chance(rng, 40) {
        cors["allowHeaders"] = json!(["x-tag", "content-type"]);
    }
    if chance(rng, 40) {
        cors["exposeHeaders"] = json!(["x-from"]);
    }
    if chance(rng, 40) {
        cors["maxAge"] = json!("24h");
    }
    if chance(rng, 40) {
        cors["allowCredentials"] = json!(rng.bool());
    }
    if chance(rng, 30) {
        cors["unmatchedPreflights"] = json!(one(rng, &["FORWARD", "IGNORE", "UNSPECIFIED"]));
    }
    cors
}

fn fault(rng: &mut Rng) -> Value {
    let mut fault = json!({});
    let share = |rng: &mut Rng| json!({"value": number(rng, &[0, 100, 100])});
    if chance(rng, 40) {
        fault["delay"] = json!({"fixedDelay": "0.2s", "percentage": share(rng)});
    }
    if chance(rng, 70) || fault == json!({}) {
        fault["abort"] = match rng.u32(0..4) {
            0 => json!({"grpcStatus": one(rng, &["UNAVAILABLE", "NOT_FOUND"]), "percentage": share(rng)}),
            _ => json!({"httpStatus": number(rng, &[400, 418, 500, 503, 200]), "percentage": share(rng)}),
        };
    }
    fault
}

fn destination_rule(rng: &mut Rng, host: &str) -> Value {
    let mut spec = json!({"host": host});
    if chance(rng, 80) {
        spec["subsets"] = json!([
            {"name": "v1", "labels": {"version": "v1"}},
            {"name": "v2", "labels": {"version": "v2"}},
        ]);
    }
    if chance(rng, 40) {
        let mut policy = json!({});
        if chance(rng, 50) {
            let simple = ["ROUND_ROBIN", "LEAST_REQUEST", "RANDOM", "PASSTHROUGH"][rng.usize(0..4)];
            policy["loadBalancer"] = json!({"simple": simple});
        }
        if chance(rng, 50) {
            policy["connectionPool"] = json!({
                "tcp": {"connectTimeout": "2s", "maxConnections": 100},
                "http": {"maxRequestsPerConnection": number(rng, &[0, 1]), "idleTimeout": "5s"},
            });
        }
        spec["trafficPolicy"] = policy;
    }
    object("DestinationRule", &host.replace('.', "-"), spec)
}

fn sidecar(rng: &mut Rng) -> Value {
    let mut spec = json!({});
    let hosts = match rng.u32(0..4) {
        0 => json!(["./*"]),
        1 => json!(["*/*"]),
        2 => json!(["./web.default.svc.cluster.local", "shop/*"]),
        _ => json!(["~/*"]),
    };
    spec["egress"] = json!([{"hosts": hosts}]);
    if chance(rng, 50) {
        let mode = one(rng, &["REGISTRY_ONLY", "ALLOW_ANY"]);
        spec["outboundTrafficPolicy"] = json!({"mode": mode});
    }
    if chance(rng, 30) {
        spec["ingress"] = json!([{
            "port": {"number": 8080, "protocol": "HTTP", "name": "http"},
            "defaultEndpoint": one(rng, &["127.0.0.1:8081", "0.0.0.0:8080"]),
        }]);
    }
    object("Sidecar", "default", spec)
}
