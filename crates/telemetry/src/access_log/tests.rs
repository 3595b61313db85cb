use std::time::UNIX_EPOCH;

use serde_json::json;

use super::*;

/// A request of which everything is known.
struct Known;

fn address(text: &str) -> Option<SocketAddr> {
    text.parse().ok()
}

impl Record for Known {
    fn start_time(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(1_709_210_096_789)
    }
    fn request_header(&self, name: &str) -> Option<&[u8]> {
        match name {
            ":method" => Some(b"GET"),
            ":path" => Some(b"/reviews/0?x=1"),
            ":authority" => Some(b"reviews:9080"),
            "user-agent" => Some(b"curl \"8\""),
            _ => None,
        }
    }
    fn response_header(&self, name: &str) -> Option<&[u8]> {
        (name == "x-envoy-upstream-service-time").then_some(b"6")
    }
    fn protocol(&self) -> Option<&str> {
        Some("HTTP/1.1")
    }
    fn response_code(&self) -> u16 {
        200
    }
    fn response_flags(&self) -> Option<&str> {
        None
    }
    fn response_code_details(&self) -> Option<&str> {
        Some("via_upstream")
    }
    fn connection_termination_details(&self) -> Option<&str> {
        None
    }
    fn upstream_transport_failure_reason(&self) -> Option<&str> {
        None
    }
    fn bytes_received(&self) -> u64 {
        0
    }
    fn bytes_sent(&self) -> u64 {
        295
    }
    fn duration(&self) -> Option<Duration> {
        Some(Duration::from_micros(7900))
    }
    fn request_duration(&self) -> Option<Duration> {
        None
    }
    fn response_duration(&self) -> Option<Duration> {
        Some(Duration::from_millis(6))
    }
    fn upstream_host(&self) -> Option<SocketAddr> {
        address("10.44.0.5:9080")
    }
    fn upstream_local_address(&self) -> Option<SocketAddr> {
        address("10.44.0.2:41000")
    }
    fn upstream_cluster(&self) -> Option<&str> {
        Some("outbound|9080||reviews;")
    }
    fn upstream_cluster_raw(&self) -> Option<&str> {
        Some("outbound|9080||reviews")
    }
    fn downstream_local_address(&self) -> Option<SocketAddr> {
        address("10.96.0.7:9080")
    }
    fn downstream_remote_address(&self) -> Option<SocketAddr> {
        address("10.44.0.2:39000")
    }
    fn downstream_direct_remote_address(&self) -> Option<SocketAddr> {
        address("[::1]:5")
    }
    fn requested_server_name(&self) -> Option<&str> {
        None
    }
    fn route_name(&self) -> Option<&str> {
        Some("default")
    }
    fn virtual_host_name(&self) -> Option<&str> {
        None
    }
    fn attempt_count(&self) -> u32 {
        1
    }
    fn metadata(&self, owner: &str, namespace: &str, key: &str) -> Option<&str> {
        (owner == "ROUTE" && namespace == "lateen" && key == "object")
            .then_some("VirtualService/default/reviews")
    }
    fn hostname(&self) -> Option<&str> {
        Some("here")
    }
    fn grpc_status(&self) -> Option<u32> {
        Some(5)
    }
}

fn line(format: &str) -> String {
    let mut out = Vec::new();
    Format::compile(format).expect("it compiles").write(&Known, &mut out);
    String::from_utf8(out).expect("text")
}

#[test]
fn istios_line_is_written_as_istio_writes_it() {
    let format = concat!(
        "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% ",
        "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% ",
        "\"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ",
        "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" ",
        "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% ",
        "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% ",
        "%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
    );
    let expected = concat!(
        "[2024-02-29T12:34:56.789Z] \"GET /reviews/0?x=1 HTTP/1.1\" 200 - via_upstream - \"-\" 0 295 7 6 \"-\" ",
        "\"curl \"8\"\" \"-\" \"reviews:9080\" \"10.44.0.5:9080\" outbound|9080||reviews 10.44.0.2:41000 ",
        "10.96.0.7:9080 10.44.0.2:39000 - default\n"
    );
    assert_eq!(line(format), expected);
}

#[test]
fn operators_take_arguments_and_limits() {
    let table = [
        ("%REQ(:PATH):8%|", "/reviews|"),
        ("%REQ(A?B)%", "-"),
        ("%REQ_WITHOUT_QUERY(:PATH)%", "/reviews/0"),
        ("100%% %PROTOCOL%", "100% HTTP/1.1"),
        ("%START_TIME(%Y/%m/%d %H:%M:%S.%3f)%", "2024/02/29 12:34:56.789"),
        ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "10.44.0.2"),
        ("%DOWNSTREAM_LOCAL_PORT%", "9080"),
        ("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", "[::1]:5"),
        ("%METADATA(ROUTE:lateen:object)%", "VirtualService/default/reviews"),
        ("%UPSTREAM_METADATA(lateen:workload)%", "-"),
        ("%DOWNSTREAM_PEER_URI_SAN%", "-"),
        ("%CEL(request.protocol == 'HTTP/2' ? ('a') : 'b')%", "-"),
        ("%RESPONSE_TX_DURATION%", "1"),
        ("%PATH%", "/reviews/0?x=1"),
        ("%PATH(NQ)%", "/reviews/0"),
        ("%PATH(WQ:ORIG)%", "-"),
        ("%QUERY_PARAM(x)%", "1"),
        ("%QUERY_PARAM(y)%", "-"),
        ("%RESP(:STATUS)%", "200"),
        ("%GRPC_STATUS%", "NotFound"),
        ("%GRPC_STATUS(SNAKE_STRING)%", "NOT_FOUND"),
        ("%GRPC_STATUS_NUMBER%", "5"),
        ("%RESPONSE_FLAGS_LONG%", "-"),
        ("%ACCESS_LOG_TYPE%", "NotSet"),
        ("%COMMON_DURATION(DS_RX_BEG:DS_TX_END:ms)%", "-"),
        ("", ""),
    ];
    for (format, expected) in table {
        assert_eq!(line(format), expected, "{format}");
    }
}

#[test]
fn flags_have_long_names() {
    let long = super::words::long_flags;
    assert_eq!(
        (long("-").as_str(), long("UF,URX").as_str()),
        ("-", "UpstreamConnectionFailure,UpstreamRetryLimitExceeded")
    );
}

#[test]
fn what_cannot_be_read_is_refused() {
    for format in ["%", "%REQ(:PATH%", "%NO_SUCH_THING%", "%REQ%", "%PROTOCOL:x%", "%PROTOCOL", "% %"] {
        assert!(Format::compile(format).is_err(), "{format}");
    }
}

#[test]
fn json_keeps_numbers_and_escapes_text() {
    let template = json!({"code": "%RESPONSE_CODE%", "agent": "%REQ(USER-AGENT)%", "none": "%RESPONSE_FLAGS%",
        "mixed": "%DURATION% ms", "list": [1, "%PROTOCOL%"], "inner": {}});
    let mut out = Vec::new();
    JsonFormat::compile(&template).expect("it compiles").write(&Known, &mut out);
    let text = String::from_utf8(out).expect("text");
    assert_eq!(
        serde_json::from_str::<Value>(&text).expect("JSON"),
        json!({"code": 200, "agent": "curl \"8\"", "none": null, "mixed": "7 ms", "list": [1, "HTTP/1.1"], "inner": {}})
    );
    assert!(text.ends_with("}\n") && text.matches('\n').count() == 1);
}
