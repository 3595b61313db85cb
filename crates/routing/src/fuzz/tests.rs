use proptest::prelude::*;
use prost::Message;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_compile_or_are_rejected(data in proptest::collection::vec(any::<u8>(), 0..512)) {
        super::compile(&data);
    }

    #[test]
    fn broken_resources_compile_or_are_rejected(
        which in 0..4usize,
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let mut data = seeds()[which].clone();
        for (at, byte) in cuts {
            let at = at.index(data.len());
            data[at] = byte;
        }
        super::compile(&data);
    }
}

/// One rich resource of each kind.
fn seeds() -> [Vec<u8>; 4] {
    use xds::envoy::config::{cluster, endpoint, listener, route};
    let t = "type.googleapis.com/envoy.extensions.filters";
    let routes = serde_json::json!({"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*.example.com", "*"],
        "routes": [
            {"match": {"prefix": "/a", "headers": [{"name": "x", "string_match": {"safe_regex": {"regex": "a+b"}}}],
                "query_parameters": [{"name": "q", "string_match": {"suffix": "z"}}]},
             "route": {"weighted_clusters": {"clusters": [{"name": "c", "weight": 9}, {"name": "d", "weight": 1}]},
                "prefix_rewrite": "/b", "retry_policy": {"retry_on": "5xx", "num_retries": 3}}},
            {"match": {"safe_regex": {"regex": "/r(.*)"}}, "route": {"cluster": "c", "timeout": "3s",
                "regex_rewrite": {"pattern": {"regex": "/r(.*)"}, "substitution": "/x\\1"}}},
            {"match": {"path": "/x"}, "redirect": {"https_redirect": true, "path_redirect": "/y"}}]}]});
    let listener = serde_json::json!({"name": "l", "use_original_dst": true,
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": 15001}},
        "filter_chains": [{"filter_chain_match": {"destination_port": 80, "prefix_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}],
            "server_names": ["*.a.b"], "application_protocols": ["http/1.1"]}, "filters": [{"name": "h", "typed_config": {
            "@type": format!("{t}.network.http_connection_manager.v3.HttpConnectionManager"), "stat_prefix": "h",
            "normalize_path": true, "route_config": routes, "http_filters": [
                {"name": "fault", "typed_config": {"@type": format!("{t}.http.fault.v3.HTTPFault"),
                    "abort": {"http_status": 503, "percentage": {"numerator": 3, "denominator": "MILLION"}}}},
                {"name": "router", "typed_config": {"@type": format!("{t}.http.router.v3.Router")}}]}}]}]});
    let assignment = serde_json::json!({"cluster_name": "c", "endpoints": [{"priority": 1, "load_balancing_weight": 3,
        "locality": {"region": "r"}, "lb_endpoints": [{"load_balancing_weight": 2, "endpoint": {"address": {"socket_address": {"address": "10.0.0.1", "port_value": 80}}}},
        {"load_balancing_weight": 7, "endpoint": {"address": {"socket_address": {"address": "10.0.0.2", "port_value": 80}}}}]}]});
    let cluster = serde_json::json!({"name": "c", "type": "STATIC", "lb_policy": "LEAST_REQUEST", "load_assignment": assignment,
        "common_lb_config": {"healthy_panic_threshold": {"value": 12.5}, "locality_weighted_lb_config": {}}});
    let expect = "a test's own JSON";
    [
        xds::json::decode::<listener::v3::Listener>(&listener).expect(expect).encode_to_vec(),
        xds::json::decode::<route::v3::RouteConfiguration>(&routes).expect(expect).encode_to_vec(),
        xds::json::decode::<cluster::v3::Cluster>(&cluster).expect(expect).encode_to_vec(),
        xds::json::decode::<endpoint::v3::ClusterLoadAssignment>(&assignment).expect(expect).encode_to_vec(),
    ]
}

#[test]
fn the_seeds_themselves_compile() {
    for seed in seeds() {
        super::compile(&seed);
    }
}
