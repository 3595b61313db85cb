//! Renaming and taking in, without a proxy.

use super::{from_envoy, presentable};

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
fn what_would_spoil_the_page_is_left_out() {
    let page = "# HELP a b\na{x=\"y z\"} 1\n<html>\n\n{\"no.name\"} 2\n:c 3\nalone\n# EOF\n";
    assert_eq!(presentable(page), "# HELP a b\na{x=\"y z\"} 1\n{\"no.name\"} 2\n:c 3\n");
}
