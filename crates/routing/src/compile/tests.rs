use serde_json::{Value, json};

use super::*;
use crate::filter_chain::{ConnectionInfo, Terminal};
use crate::listener::Direction;

const T: &str = "type.googleapis.com/envoy.extensions.filters";

fn cluster(name: &str) -> Value {
    json!({"name": name, "type": "EDS", "eds_cluster_config": {"eds_config": {"ads": {}}}})
}

fn assignment(name: &str, port: u16) -> Value {
    json!({"cluster_name": name, "endpoints": [{"lb_endpoints": [
        {"endpoint": {"address": {"socket_address": {"address": "10.44.0.1", "port_value": port}}}}]}]})
}

fn manager(routes: Value) -> Value {
    json!({"name": "http", "typed_config": {
        "@type": format!("{T}.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "h", "rds": routes,
        "http_filters": [{"name": "router", "typed_config": {"@type": format!("{T}.http.router.v3.Router")}}]}})
}

fn listener(name: &str, address: &str, port: u16, filters: Value) -> Value {
    json!({"name": name, "address": {"socket_address": {"address": address, "port_value": port}},
        "traffic_direction": "OUTBOUND", "filter_chains": [{"filters": filters}]})
}

fn routes(name: &str) -> Value {
    json!({"name": name, "virtual_hosts": [{"name": "v", "domains": ["*"],
        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "c"}}]}]})
}

fn messages<M: Message + prost::Name + Default>(list: &[Value]) -> Vec<M> {
    list.iter().map(|json| xds::json::decode(json).expect("a test's own JSON")).collect()
}

fn whole() -> Changes {
    Changes {
        clusters: messages(&[cluster("c")]),
        endpoints: messages(&[assignment("c", 80)]),
        routes: messages(&[routes("r")]),
        listeners: messages(&[listener(
            "l",
            "0.0.0.0",
            80,
            json!([manager(json!({"route_config_name": "r"}))]),
        )]),
        ..Changes::default()
    }
}

#[test]
fn unchanged_resources_are_shared_and_not_compiled_again() {
    let first = compile(&Config::default(), &whole());
    assert_eq!((first.compiled, first.unchanged), (4, 0));
    let mut changes = whole();
    changes.endpoints = messages(&[assignment("c", 81)]);
    let second = compile(&first.config, &changes);
    assert_eq!((second.compiled, second.unchanged), (1, 3));
    let pair = |get: fn(&Config) -> *const ()| (get(&first.config), get(&second.config));
    let (one, two) = pair(|config| Arc::as_ptr(config.cluster("c").expect("active")).cast());
    assert_eq!(one, two);
    let (one, two) = pair(|config| Arc::as_ptr(config.listener("l").expect("active")).cast());
    assert_eq!(one, two);
    let (one, two) = pair(|config| Arc::as_ptr(config.route_table("r").expect("there")).cast());
    assert_eq!(one, two);
}

#[test]
fn a_cluster_waits_for_its_endpoints_and_a_listener_for_its_routes() {
    let whole = whole();
    let named = Changes {
        clusters: whole.clusters.clone(),
        listeners: whole.listeners.clone(),
        ..Changes::default()
    };
    let first = compile(&Config::default(), &named).config;
    assert!(first.cluster("c").is_none() && first.listener("l").is_none());
    assert_eq!(first.wanted_endpoints(), ["c".into()]);
    assert_eq!(first.wanted_routes(), ["r".into()]);
    let rest = Changes { endpoints: whole.endpoints, routes: whole.routes, ..Changes::default() };
    let second = compile(&first, &rest).config;
    assert!(second.cluster("c").is_some() && second.listener("l").is_some());
    let newer = Changes {
        listeners: messages(&[listener(
            "l",
            "0.0.0.0",
            80,
            json!([manager(json!({"route_config_name": "r2"}))]),
        )]),
        ..Changes::default()
    };
    let third = compile(&second, &newer).config;
    let names: Vec<_> = third.listener("l").expect("the old one stays").route_names().cloned().collect();
    assert_eq!(names, ["r".into()]);
    assert_eq!(third.wanted_routes(), ["r".into(), "r2".into()]);
    let back = compile(&third, &named).config;
    assert!(back.listeners.warming.is_empty());
}

#[test]
fn a_bad_resource_is_rejected_alone_and_its_last_good_version_stays() {
    let first = compile(&Config::default(), &whole()).config;
    let mut bad = routes("r");
    bad["virtual_hosts"][0]["routes"][0]["match"] = json!({"safe_regex": {"regex": "("}});
    let changes = Changes { routes: messages(&[bad, routes("s")]), ..Changes::default() };
    let second = compile(&first, &changes);
    assert_eq!(second.rejections.len(), 1);
    let rejection = &second.rejections[0];
    assert_eq!((rejection.kind, rejection.name.as_str()), (Kind::Routes, "r"));
    assert_eq!(rejection.reason.field, "virtual_hosts[0].routes[0].match.safe_regex.regex");
    assert!(second.config.route_table("r").is_some() && second.config.route_table("s").is_some());
}

#[test]
fn what_guards_access_is_refused_and_the_rest_is_passed_over_and_shown() {
    let with = |filter: &str| {
        let mut http = manager(json!({"route_config_name": "r"}));
        let filter = json!({"name": "x", "typed_config": {"@type": format!("{T}.http.{filter}")}});
        http["typed_config"]["http_filters"].as_array_mut().expect("a list").insert(0, filter);
        let changes =
            Changes { listeners: messages(&[listener("l", "0.0.0.0", 80, json!([http]))]), ..whole() };
        compile(&Config::default(), &changes)
    };
    for guard in ["rbac.v3.RBAC", "jwt_authn.v3.JwtAuthentication", "ext_authz.v3.ExtAuthz"] {
        let compiled = with(guard);
        assert_eq!(compiled.rejections.len(), 1, "{guard}");
        assert!(compiled.rejections[0].reason.reason.contains("guards access"), "{guard}");
    }
    let compiled = with("buffer.v3.Buffer");
    assert!(compiled.rejections.is_empty());
    assert_eq!(compiled.skipped.len(), 1);
    assert_eq!(compiled.skipped[0].listener, "l");
    assert!(with("grpc_stats.v3.FilterConfig").skipped.is_empty());
}

#[test]
fn connections_are_handed_over_by_original_destination() {
    let tcp = |cluster: &str| {
        json!([{"name": "tcp", "typed_config":
            {"@type": format!("{T}.network.tcp_proxy.v3.TcpProxy"), "stat_prefix": "t", "cluster": cluster}}])
    };
    let mut outbound = listener("virtualOutbound", "0.0.0.0", 15001, tcp("PassthroughCluster"));
    outbound["use_original_dst"] = json!(true);
    let unbound = |name: &str, address: &str, port| {
        let mut listener = listener(name, address, port, tcp(name));
        listener["bind_to_port"] = json!(false);
        listener
    };
    let changes = Changes {
        listeners: messages(&[
            outbound.clone(),
            unbound("0.0.0.0_9080", "0.0.0.0", 9080),
            unbound("10.96.0.7_9080", "10.96.0.7", 9080),
        ]),
        ..Changes::default()
    };
    let config = compile(&Config::default(), &changes).config;
    let arrived = config.listener("virtualOutbound").expect("active");
    assert_eq!(arrived.direction, Direction::Outbound);
    for (destination, expected) in [
        ("10.96.0.7:9080", "10.96.0.7_9080"),
        ("10.96.0.8:9080", "0.0.0.0_9080"),
        ("[::ffff:10.96.0.7]:9080", "10.96.0.7_9080"),
        ("10.96.0.8:443", "PassthroughCluster"),
    ] {
        let connection = ConnectionInfo {
            destination: destination.parse().expect("an address"),
            source: "10.44.0.9:1234".parse().expect("an address"),
            server_name: "",
            transport_protocol: "raw_buffer",
            application_protocols: &[],
        };
        let accepted = crate::decision::on_connection(&config, arrived, &connection);
        let Terminal::Tcp(proxy) = &accepted.chain.expect("each has one chain").terminal else {
            panic!("a TCP chain");
        };
        assert_eq!(proxy.cluster(0).map(|name| &**name), Some(expected), "{destination}");
    }
}

#[test]
fn names_become_addresses_when_they_are_resolved() {
    let dns = json!({"name": "d", "type": "STRICT_DNS", "load_assignment": {"cluster_name": "d", "endpoints": [
        {"lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": "example.com", "port_value": 80}}}}]}]}});
    let first =
        compile(&Config::default(), &Changes { clusters: messages(&[dns]), ..Changes::default() }).config;
    assert!(first.cluster("d").is_none(), "it waits for its addresses");
    let resolution = Resolution {
        cluster: "d".to_owned(),
        addresses: vec![(
            "example.com".to_owned(),
            vec!["192.0.2.1".parse().expect("an address"), "192.0.2.2".parse().expect("an address")],
        )],
    };
    let second = compile(&first, &Changes { resolutions: vec![resolution], ..Changes::default() }).config;
    let cluster = second.cluster("d").expect("it has addresses");
    let addresses: Vec<_> =
        second.candidates(cluster).iter().map(|endpoint| endpoint.address.to_string()).collect();
    assert_eq!(addresses, ["192.0.2.1:80", "192.0.2.2:80"]);
}

#[test]
fn filter_chains_that_stay_the_same_are_shared() {
    let chain = |port: u16, prefix: &str| {
        json!({"filter_chain_match": {"destination_port": port}, "filters": [{"name": "tcp", "typed_config":
            {"@type": format!("{T}.network.tcp_proxy.v3.TcpProxy"), "stat_prefix": prefix, "cluster": "c"}}]})
    };
    let with = |second: &str| {
        let mut listener = listener("l", "0.0.0.0", 80, json!([]));
        listener["filter_chains"] = json!([chain(1, "a"), chain(2, second)]);
        Changes { listeners: messages(&[listener]), ..Changes::default() }
    };
    let first = compile(&Config::default(), &with("b")).config;
    let second = compile(&first, &with("c"));
    assert_eq!(second.compiled, 1);
    let chains = |config: &Config| -> Vec<*const crate::filter_chain::FilterChain> {
        config.listener("l").expect("active").all_chains().map(Arc::as_ptr).collect()
    };
    let (before, after) = (chains(&first), chains(&second.config));
    assert_eq!(before[0], after[0]);
    assert_ne!(before[1], after[1]);
}
