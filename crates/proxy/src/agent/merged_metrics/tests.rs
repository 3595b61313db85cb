//! Renaming, without a proxy.

use super::{from_envoy, without_end_mark};

#[test]
fn envoys_scope_goes_and_empty_labels_become_unknown() {
    let page = "# TYPE envoy_istiocustom_istio_requests_total counter\n\
                envoy_istiocustom_istio_requests_total{reporter=\"source\",source_principal=\"\",grpc_response_status=\"-\",response_flags=\"-\"} 3\n\
                envoy_server_live{} 1\n";
    assert_eq!(
        from_envoy(page),
        "# TYPE istio_requests_total counter\n\
         istio_requests_total{reporter=\"source\",source_principal=\"unknown\",grpc_response_status=\"\",response_flags=\"-\"} 3\n\
         envoy_server_live{} 1\n"
    );
}

#[test]
fn an_end_mark_of_the_application_is_left_out() {
    assert_eq!(without_end_mark("a 1\n# EOF"), "a 1\n");
}
