use super::*;

#[test]
fn every_label_is_there_and_the_unknown_says_so() {
    let registry = Registry::default();
    let source = Workload {
        name: "productpage-v1".to_owned(),
        canonical_service: "productpage".to_owned(),
        ..Workload::default()
    };
    let labels = Labels {
        reporter: "source",
        source: &source,
        destination: &Workload::default(),
        service: "reviews.default.svc.cluster.local",
        service_name: "reviews",
        service_namespace: "default",
        protocol: "http",
        flags: "-",
        security: "unknown",
        response_code: "200",
        grpc_status: "",
        without: &["request_protocol".to_owned()],
    };
    RequestMetrics::new(&registry, &labels).record(7, 100, 200);
    let text = registry.prometheus();
    let line = text.lines().find(|line| line.starts_with("istio_requests_total{")).expect("it was counted");
    for label in [
        "reporter=\"source\"",
        "source_workload=\"productpage-v1\"",
        "source_canonical_revision=\"latest\"",
        "destination_canonical_revision=\"unknown\"",
        "destination_service_name=\"reviews\"",
        "response_code=\"200\"",
        "grpc_response_status=\"\"",
        "response_flags=\"-\"",
    ] {
        assert!(line.contains(label), "{label} in {line}");
    }
    assert!(!line.contains("request_protocol") && line.ends_with("} 1"));
    assert!(
        text.contains("istio_request_duration_milliseconds_sum{")
            && text.contains("istio_response_bytes_count{")
    );
    assert!(!text.contains("_messages_total"));
    RequestMetrics::new(&registry, &Labels { protocol: "grpc", ..labels }).record_messages(2, 3);
    assert_eq!(registry.sum("istio_response_messages_total", |_| true), 3);
    TcpMetrics::new(&registry, &labels).sent.add(5);
    assert_eq!(registry.sum("istio_tcp_sent_bytes_total", |labels| !labels.contains("response_code")), 5);
}
