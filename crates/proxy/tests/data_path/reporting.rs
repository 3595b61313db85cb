//! What is written down: metrics, access logs, the admin endpoint, and who
//! the peers are.

use serde_json::json;

use super::backend::{Backend, Then, ok};
use super::client::{Client, Response};
use super::setup::{Proxy, cluster, listener, manager, nobody, proxy};

const LINE: &str = "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% \
%RESPONSE_CODE_DETAILS% %BYTES_RECEIVED% %BYTES_SENT% \"%REQ(:AUTHORITY)%\" %UPSTREAM_CLUSTER_RAW% %ROUTE_NAME% \
%METADATA(ROUTE:lateen:object)%\n";

fn reporting(clusters: serde_json::Value, log: &std::path::Path) -> Proxy {
    let routes = json!([
        {"match": {"prefix": "/dead"}, "name": "dead", "route": {"cluster": "dead"}},
        {"match": {"prefix": "/"}, "name": "root", "route": {"cluster": "up"},
         "metadata": {"filter_metadata": {"lateen": {"object": "VirtualService/default/a"}}}}]);
    let mut http = manager(routes);
    let peers = json!({"name": "peers", "typed_config": {"@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
        "type_url": "type.googleapis.com/io.istio.http.peer_metadata.Config",
        "value": {"upstream_discovery": [{"istio_headers": {}}],
            "upstream_propagation": [{"istio_headers": {"skip_external_clusters": true}}]}}});
    let stats =
        json!({"name": "istio.stats", "typed_config": {"@type": "type.googleapis.com/stats.PluginConfig"}});
    let filters = http["http_filters"].as_array_mut().expect("a list");
    filters.insert(0, peers);
    filters.insert(1, stats);
    http["access_log"] = json!([{"name": "file", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": log,
        "log_format": {"text_format_source": {"inline_string": LINE}}}}]);
    proxy(json!([listener(http)]), clusters)
}

fn admin(proxy: &Proxy, method: &str, path: &str) -> Response {
    let mut client = Client::connect(proxy.handle().admin().expect("it has one"));
    client.send(format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).response()
}

/// A server that says it is `reviews-v2`.
fn reviews() -> Backend {
    let node = proxy::identity::Identity::new(
        xds::json::decode(&json!({"metadata": {"WORKLOAD_NAME": "reviews-v2", "NAMESPACE": "shop",
            "LABELS": {"app": "reviews", "version": "v2"}}}))
        .expect("a test's own node"),
    );
    Backend::start(move |head, _| {
        assert!(head.contains("x-envoy-peer-metadata: "), "{head}");
        let response = String::from_utf8(ok(b"12345")).expect("text");
        let told = format!(
            "x-envoy-peer-metadata-id: reviews\r\nx-envoy-peer-metadata: {}\r\n\r\n",
            node.peer_metadata
        );
        Then::Answer(response.replacen("\r\n\r\n", &format!("\r\n{told}"), 1).into_bytes())
    })
}

#[test]
fn metrics_and_lines_tell_what_happened() {
    let backend = reviews();
    let mut up = cluster("up", &[backend.address]);
    up["metadata"] = json!({"filter_metadata": {"istio": {"services": [
        {"host": "reviews.shop.svc.cluster.local", "name": "reviews", "namespace": "shop"}]}}});
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("access.log");
    let mut proxy = reporting(json!([up, cluster("dead", &[nobody()])]), &log);
    let mut client = proxy.client();
    for _ in 0..3 {
        let response = client.get("/x", "");
        assert_eq!((response.status, response.header("x-envoy-peer-metadata")), (200, None));
    }
    assert_eq!(client.get("/dead", "").status, 503);
    client.send("bad\r\n\r\n");
    assert_eq!(client.response().status, 400);

    let metrics = admin(&proxy, "GET", "/stats/prometheus").body;
    let line = |wanted: &[&str]| {
        let lines = metrics.lines().filter(|line| line.starts_with("istio_requests_total{"));
        let found = lines.filter(|line| wanted.iter().all(|label| line.contains(label))).collect::<Vec<_>>();
        assert_eq!(found.len(), 1, "{wanted:?} in {metrics}");
        found[0].rsplit(' ').next().expect("a value").to_owned()
    };
    let good = [
        "reporter=\"source\"",
        "source_workload=\"a-v1\"",
        "source_canonical_revision=\"v1\"",
        "destination_workload=\"reviews-v2\"",
        "destination_version=\"v2\"",
        "destination_service=\"reviews.shop.svc.cluster.local\"",
        "destination_service_name=\"reviews\"",
        "destination_service_namespace=\"shop\"",
        "request_protocol=\"http\"",
        "response_code=\"200\"",
        "response_flags=\"-\"",
        "connection_security_policy=\"unknown\"",
        "source_principal=\"unknown\"",
    ];
    assert_eq!(line(&good), "3");
    assert_eq!(
        line(&["response_code=\"503\"", "response_flags=\"UF\"", "destination_service_name=\"h.test\""]),
        "1"
    );
    assert!(metrics.contains("istio_request_duration_milliseconds_bucket{"));
    assert!(metrics.contains("envoy_cluster_upstream_rq_total{cluster_name=\"up\"} 3"));
    assert!(metrics.contains(
        "envoy_http_downstream_rq_xx{envoy_response_code_class=\"2\",http_conn_manager_prefix=\"h\"} 3"
    ));

    proxy.handle.take().expect("it runs").stop();
    let lines = std::fs::read_to_string(&log).expect("it was written");
    let expected = "GET /x 200 - via_upstream 0 5 \"h.test\" up root VirtualService/default/a\n";
    assert_eq!(lines.matches(expected).count(), 3, "{lines}");
    assert!(lines.contains("GET /dead 503 UF upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused} 0 98 \"h.test\" dead dead -\n"), "{lines}");
    assert!(lines.contains("- - 400 DPE http1.codec_error 0 11 \"-\" - - -\n"), "{lines}");
}

#[test]
fn a_client_that_tells_who_it_is_stands_in_the_servers_metrics() {
    let backend = Backend::start(|head, _| {
        assert!(!head.contains("x-envoy-peer-metadata"), "{head}");
        Then::Answer(ok(b"12345"))
    });
    let peers = json!({"name": "peers", "typed_config": {"@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
        "type_url": "type.googleapis.com/io.istio.http.peer_metadata.Config",
        "value": {"downstream_discovery": [{"istio_headers": {}}], "downstream_propagation": [{"istio_headers": {}}]}}});
    let stats =
        json!({"name": "istio.stats", "typed_config": {"@type": "type.googleapis.com/stats.PluginConfig"}});
    let mut http = manager(json!([{"match": {"prefix": "/"}, "route": {"cluster": "up"}}]));
    let filters = http["http_filters"].as_array_mut().expect("a list");
    filters.insert(0, peers);
    filters.insert(1, stats);
    let mut inbound = listener(http);
    inbound["traffic_direction"] = json!("INBOUND");
    let proxy = proxy(json!([inbound]), json!([cluster("up", &[backend.address])]));
    let gateway = proxy::identity::Identity::new(
        xds::json::decode(
            &json!({"metadata": {"WORKLOAD_NAME": "istio-ingressgateway", "NAMESPACE": "istio-system",
            "LABELS": {"app": "istio-ingressgateway"}}}),
        )
        .expect("a test's own node"),
    );
    let told =
        format!("x-envoy-peer-metadata-id: gateway\r\nx-envoy-peer-metadata: {}\r\n", gateway.peer_metadata);
    let response = proxy.client().get("/", &told);
    assert!(response.header("x-envoy-peer-metadata").is_some(), "{}", response.head);
    assert_eq!(proxy.client().get("/", "").header("x-envoy-peer-metadata"), None);
    let metrics = admin(&proxy, "GET", "/stats/prometheus").body;
    let mut lines = metrics.lines().filter(|line| line.starts_with("istio_requests_total{"));
    let told =
        lines.find(|line| line.contains("source_workload=\"istio-ingressgateway\"")).expect("a series");
    for label in [
        "reporter=\"destination\"",
        "source_workload_namespace=\"istio-system\"",
        "source_app=\"istio-ingressgateway\"",
        "destination_workload=\"a-v1\"",
    ] {
        assert!(told.contains(label), "{label} is not in {told}");
    }
}

#[test]
fn a_connection_that_no_chain_takes_stands_in_the_listeners_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("access.log");
    let mut narrow = listener(manager(json!([])));
    narrow["filter_chains"][0]["filter_chain_match"] = json!({"destination_port": 1});
    narrow["access_log"] = json!([{"name": "file",
        "filter": {"response_flag_filter": {"flags": ["NR"]}},
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": log,
            "log_format": {"text_format_source": {"inline_string":
                "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %DOWNSTREAM_LOCAL_ADDRESS%\n"}}}}]);
    let mut proxy = proxy(json!([narrow]), json!([]));
    assert_eq!(proxy.client().rest(), "");
    let expected = format!("NR filter_chain_not_found {}\n", proxy.address);
    proxy.handle.take().expect("it runs").stop();
    assert_eq!(std::fs::read_to_string(&log).expect("it was written"), expected);
}

#[test]
fn answers_of_our_own_name_the_object_behind_them() {
    let rules = |name: &str| json!({"filter_metadata": {"lateen": {"object": format!("VirtualService/default/{name}"), "path": "http[1]"}}});
    let routes = json!([
        {"match": {"prefix": "/gone"}, "direct_response": {"status": 410}, "metadata": rules("gone")},
        {"match": {"prefix": "/"}, "route": {"cluster": "dead"}, "metadata": rules("a")}]);
    let mut dead = cluster("dead", &[nobody()]);
    dead["metadata"] = json!({"filter_metadata": {"lateen": {"object": "Service/default/dead"}}});
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("access.log");
    let mut http = manager(routes);
    http["access_log"] = json!([{"name": "file", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": log,
        "log_format": {"text_format_source": {"inline_string":
            "%RESPONSE_CODE% %DYNAMIC_METADATA(lateen:object)% %DYNAMIC_METADATA(lateen:path)%\n"}}}}]);
    let mut proxy = proxy(json!([listener(http)]), json!([dead]));
    let mut client = proxy.client();
    assert_eq!(client.get("/gone", "").header("x-lateen-reason"), None);
    assert_eq!(admin(&proxy, "POST", "/reasons?show=maybe").status, 400);
    assert_eq!(admin(&proxy, "POST", "/reasons?show=on").status, 200);
    let gone = client.get("/gone", "");
    let expected = "flags=-; details=direct_response; object=VirtualService/default/gone http[1]";
    assert_eq!(gone.header("x-lateen-reason"), Some(expected));
    let failed = client.get("/x", "");
    let reason = failed.header("x-lateen-reason").expect("a reason");
    assert!(
        reason.starts_with("flags=UF; details=upstream_reset")
            && reason.ends_with("; object=Service/default/dead"),
        "{reason}"
    );
    proxy.handle.take().expect("it runs").stop();
    let lines = std::fs::read_to_string(&log).expect("it was written");
    assert!(lines.contains("410 VirtualService/default/gone http[1]\n"), "{lines}");
    assert!(lines.contains("503 Service/default/dead -\n"), "{lines}");
}

#[test]
fn the_admin_endpoint_answers_as_envoys_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let backend = reviews();
    let proxy = reporting(
        json!([cluster("up", &[backend.address]), cluster("dead", &[nobody()])]),
        &folder.path().join("log"),
    );
    while admin(&proxy, "GET", "/ready").status != 200 {
        std::thread::yield_now();
    }
    assert_eq!(admin(&proxy, "GET", "/ready").body, "LIVE\n");
    let dump: serde_json::Value =
        serde_json::from_str(&admin(&proxy, "GET", "/config_dump").body).expect("JSON");
    let types: Vec<_> = dump["configs"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|config| config["@type"].as_str().unwrap_or(""))
        .collect();
    assert!(types.iter().any(|name| name.ends_with("ListenersConfigDump")), "{types:?}");
    assert_eq!(dump["configs"][1]["static_clusters"][0]["cluster"]["name"], "up");
    let clusters = admin(&proxy, "GET", "/clusters").body;
    assert!(clusters.contains(&format!("up::{}::health_flags::healthy\n", backend.address)), "{clusters}");
    assert!(admin(&proxy, "GET", "/listeners").body.starts_with("l::127.0.0.1:"));
    assert!(admin(&proxy, "GET", "/stats?filter=^server.state$").body == "server.state: 0\n");
    let info: serde_json::Value =
        serde_json::from_str(&admin(&proxy, "GET", "/server_info").body).expect("JSON");
    assert_eq!(info["state"], "LIVE");
    assert_eq!(admin(&proxy, "GET", "/quitquitquit").status, 405);
    assert_eq!(admin(&proxy, "GET", "/nothing").status, 404);
    assert_eq!(admin(&proxy, "POST", "/drain_listeners?graceful").body, "OK\n");
    assert_eq!(admin(&proxy, "GET", "/ready").status, 503);
    let mut foreign = Client::connect(proxy.handle().admin().expect("it has one"));
    assert_eq!(
        foreign.send("POST /quitquitquit HTTP/1.1\r\nHost: evil.example\r\n\r\n").response().status,
        403
    );
}

/// A proxy whose log has one line a request: path and a trailer.
fn logging_trailers(log: &std::path::Path, clusters: serde_json::Value) -> Proxy {
    let routes = json!([
        {"match": {"prefix": "/chunked"}, "route": {"cluster": "chunked"}},
        {"match": {"prefix": "/"}, "route": {"cluster": "streams"}}]);
    let mut http = manager(routes);
    http["access_log"] = json!([{"name": "file", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": log,
        "log_format": {"text_format_source": {"inline_string":
            "%REQ(:PATH)% %TRAILER(X-Sum)% %TRAILER(x-none?x-sum):2%\n"}}}}]);
    proxy(json!([listener(http)]), clusters)
}

#[tokio::test]
async fn lines_tell_what_followed_a_body() {
    use super::peers::{Client as Streams, Server, request};
    let server = Server::echo().await;
    let chunked = Backend::start(|head, _| {
        let trailer = if head.contains("/chunked/none") { "" } else { "X-Sum: 123\r\n" };
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        Then::Answer(format!("{head}3\r\nabc\r\n0\r\n{trailer}\r\n").into_bytes())
    });
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("access.log");
    let streams = super::http2::http2_cluster("streams", server.address, json!({}));
    let clusters = json!([streams, cluster("chunked", &[chunked.address])]);
    let mut proxy = logging_trailers(&log, clusters);
    let client = Streams::connect(proxy.address).await;
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-sum", "456".parse().expect("a value"));
    let reply = client.send(request("POST", "/streams"), Some(b"abc"), Some(trailers)).await;
    assert_eq!(reply.expect("a response").trailer("x-sum"), Some("456"));
    assert_eq!(client.get("/streams/none").await.status, 200);
    assert_eq!(client.get("/chunked/2").await.status, 200);
    let address = proxy.address;
    let work = tokio::task::spawn_blocking(move || {
        let mut client = Client::connect(address);
        assert_eq!(client.get("/chunked/1", "").status, 200);
        assert_eq!(client.get("/chunked/none", "").status, 200);
    });
    work.await.expect("it went well");
    proxy.handle.take().expect("it runs").stop();
    let mut lines: Vec<String> =
        std::fs::read_to_string(&log).expect("a log").lines().map(str::to_owned).collect();
    lines.sort();
    let expected = [
        "/chunked/1 123 12",
        "/chunked/2 123 12",
        "/chunked/none - -",
        "/streams 456 45",
        "/streams/none - -",
    ];
    assert_eq!(lines, expected);
}
