//! In what our proxy and stock Envoy may differ: the one list, with a reason
//! for each.  Anything that is not here is a fault of one of them.

/// A place where answers may differ.
#[derive(Debug, Clone, Copy)]
pub struct Allowed {
    /// Where: a path in what is compared, `*` for any one step.
    pub at: &'static str,
    /// What is still compared.
    pub still: Still,
    /// Why.
    pub reason: &'static str,
}

/// What is still compared of a value that may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Still {
    /// Nothing.
    Nothing,
    /// Whether there is one.
    Presence,
    /// An address without its port.
    Host,
    /// That it ended, if not how.
    Ended,
}

/// Every difference that is allowed.
pub const ALLOWED: &[Allowed] = &[
    Allowed {
        at: "client/end",
        still: Still::Ended,
        reason: "the kernel resets a connection that is closed before all was read, which is a matter of moments",
    },
    Allowed {
        at: "client/interim",
        still: Still::Nothing,
        reason: "Envoy asks for a body before it looks for a route; we ask when it is wanted and has not come",
    },
    Allowed {
        at: "broken time",
        still: Still::Nothing,
        reason: "Envoy keeps a connection that it gives up for a second, so that the client may read; we close after what was written",
    },
    Allowed { at: "client/headers/date", still: Still::Presence, reason: "the time" },
    Allowed {
        at: "client/headers/x-envoy-upstream-service-time",
        still: Still::Presence,
        reason: "a duration",
    },
    Allowed { at: "backend/*/headers/x-request-id", still: Still::Presence, reason: "drawn at random" },
    Allowed {
        at: "backend/*/headers/x-envoy-expected-rq-timeout-ms",
        still: Still::Presence,
        reason: "a duration",
    },
    Allowed {
        at: "backend/*/headers/x-envoy-peer-metadata",
        still: Still::Nothing,
        reason: "stock Envoy tells nobody whom it serves",
    },
    Allowed {
        at: "backend/*/headers/x-envoy-peer-metadata-id",
        still: Still::Nothing,
        reason: "stock Envoy tells nobody whom it serves",
    },
    Allowed {
        at: "client/headers/x-envoy-peer-metadata",
        still: Still::Nothing,
        reason: "stock Envoy tells nobody whom it serves",
    },
    Allowed {
        at: "client/headers/x-envoy-peer-metadata-id",
        still: Still::Nothing,
        reason: "stock Envoy tells nobody whom it serves",
    },
    Allowed {
        at: "metrics/source/destination_workload",
        still: Still::Nothing,
        reason: "a balancer may take any endpoint, and who was not reached is known to one alone",
    },
    Allowed {
        at: "metrics/source/destination_version",
        still: Still::Nothing,
        reason: "a balancer may take any endpoint, and who was not reached is known to one alone",
    },
    Allowed {
        at: "metrics/source/destination_canonical_revision",
        still: Still::Nothing,
        reason: "a balancer may take any endpoint, and who was not reached is known to one alone",
    },
    Allowed {
        at: "metrics/source/destination_app",
        still: Still::Nothing,
        reason: "a balancer may take any endpoint, and who was not reached is known to one alone",
    },
    Allowed {
        at: "metrics/source/destination_canonical_service",
        still: Still::Nothing,
        reason: "a balancer may take any endpoint, and who was not reached is known to one alone",
    },
    Allowed {
        at: "metrics/source/destination_workload_namespace",
        still: Still::Nothing,
        reason: "a balancer may take any endpoint, and who was not reached is known to one alone",
    },
    Allowed {
        at: "metrics/source/destination_cluster",
        still: Still::Nothing,
        reason: "a balancer may take any endpoint, and who was not reached is known to one alone",
    },
    Allowed {
        at: "metrics/destination/source_workload",
        still: Still::Nothing,
        reason: "stock Envoy cannot know its clients",
    },
    Allowed {
        at: "metrics/destination/source_workload_namespace",
        still: Still::Nothing,
        reason: "stock Envoy cannot know its clients",
    },
    Allowed {
        at: "metrics/destination/source_app",
        still: Still::Nothing,
        reason: "stock Envoy cannot know its clients",
    },
    Allowed {
        at: "metrics/destination/source_version",
        still: Still::Nothing,
        reason: "stock Envoy cannot know its clients",
    },
    Allowed {
        at: "metrics/destination/source_canonical_service",
        still: Still::Nothing,
        reason: "stock Envoy cannot know its clients",
    },
    Allowed {
        at: "metrics/destination/source_canonical_revision",
        still: Still::Nothing,
        reason: "stock Envoy cannot know its clients",
    },
    Allowed {
        at: "metrics/destination/source_cluster",
        still: Still::Nothing,
        reason: "stock Envoy cannot know its clients",
    },
    Allowed { at: "log/request id", still: Still::Presence, reason: "drawn at random" },
    Allowed {
        at: "log/duration",
        still: Still::Presence,
        reason: "a duration; compared as a whole, with tolerance",
    },
    Allowed { at: "log/%START_TIME%", still: Still::Presence, reason: "the time" },
    Allowed { at: "log/%START_TIME(%s.%3f)%", still: Still::Presence, reason: "the time" },
    Allowed { at: "log/%START_TIME_LOCAL%", still: Still::Presence, reason: "the time" },
    Allowed { at: "log/%EMIT_TIME%", still: Still::Presence, reason: "the time" },
    Allowed { at: "log/%REQUEST_DURATION%", still: Still::Presence, reason: "a duration" },
    Allowed { at: "log/%REQUEST_TX_DURATION%", still: Still::Presence, reason: "a duration" },
    Allowed { at: "log/%RESPONSE_DURATION%", still: Still::Presence, reason: "a duration" },
    Allowed {
        at: "log/%RESPONSE_TX_DURATION%",
        still: Still::Nothing,
        reason: "a duration, which Envoy does not tell of answers that broke",
    },
    Allowed { at: "log/%DURATION%", still: Still::Presence, reason: "a duration" },
    Allowed {
        at: "log/%UPSTREAM_LOCAL_PORT%",
        still: Still::Presence,
        reason: "the kernel chooses the port",
    },
    Allowed {
        at: "log/%DOWNSTREAM_REMOTE_PORT%",
        still: Still::Presence,
        reason: "the kernel chooses the port",
    },
    Allowed {
        at: "log/%DOWNSTREAM_DIRECT_REMOTE_PORT%",
        still: Still::Presence,
        reason: "the kernel chooses the port",
    },
    Allowed { at: "log/%UPSTREAM_LOCAL_ADDRESS%", still: Still::Host, reason: "the kernel chooses the port" },
    Allowed {
        at: "log/%DOWNSTREAM_REMOTE_ADDRESS%",
        still: Still::Host,
        reason: "the kernel chooses the port",
    },
    Allowed {
        at: "log/%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%",
        still: Still::Host,
        reason: "the kernel chooses the port",
    },
    Allowed {
        at: "log/%STREAM_ID%",
        still: Still::Nothing,
        reason: "drawn at random; what is no request has none with us",
    },
    Allowed {
        at: "log/%ENVIRONMENT(NOTHING_OF_THE_KIND)%",
        still: Still::Nothing,
        reason: "our proxy tells nobody its environment",
    },
    Allowed {
        at: "log/%UPSTREAM_HOST_NAME%",
        still: Still::Presence,
        reason: "Envoy makes up names for endpoints of original destinations",
    },
    Allowed {
        at: "log/%UPSTREAM_HOST_NAME_WITHOUT_PORT%",
        still: Still::Presence,
        reason: "Envoy makes up names for endpoints of original destinations",
    },
    Allowed {
        at: "log/%CLUSTER_METADATA(lateen:service)%",
        still: Still::Nothing,
        reason: "written for the metrics of stock Envoy; ours reads only where a cluster came from",
    },
    Allowed {
        at: "log/%UPSTREAM_WIRE_BYTES_SENT%",
        still: Still::Nothing,
        reason: "how large heads are depends on headers that may differ, and our proxy does not count them apart",
    },
    Allowed {
        at: "log/%UPSTREAM_WIRE_BYTES_RECEIVED%",
        still: Still::Nothing,
        reason: "how large heads are depends on headers that may differ, and our proxy does not count them apart",
    },
    Allowed {
        at: "log/%UPSTREAM_HEADER_BYTES_SENT%",
        still: Still::Nothing,
        reason: "how large heads are depends on headers that may differ, and our proxy does not count them apart",
    },
    Allowed {
        at: "log/%UPSTREAM_HEADER_BYTES_RECEIVED%",
        still: Still::Nothing,
        reason: "how large heads are depends on headers that may differ, and our proxy does not count them apart",
    },
    Allowed {
        at: "log/%DOWNSTREAM_WIRE_BYTES_SENT%",
        still: Still::Nothing,
        reason: "how large heads are depends on headers that may differ, and our proxy does not count them apart",
    },
    Allowed {
        at: "log/%DOWNSTREAM_WIRE_BYTES_RECEIVED%",
        still: Still::Nothing,
        reason: "how large heads are depends on headers that may differ, and our proxy does not count them apart",
    },
    Allowed {
        at: "log/%DOWNSTREAM_HEADER_BYTES_SENT%",
        still: Still::Nothing,
        reason: "how large heads are depends on headers that may differ, and our proxy does not count them apart",
    },
    Allowed {
        at: "log/%DOWNSTREAM_HEADER_BYTES_RECEIVED%",
        still: Still::Nothing,
        reason: "how large heads are depends on headers that may differ, and our proxy does not count them apart",
    },
    Allowed {
        at: "log/%REQUEST_HEADERS_BYTES%",
        still: Still::Nothing,
        reason: "how large heads are depends on headers that may differ, and our proxy does not count them apart",
    },
    Allowed {
        at: "log/%RESPONSE_HEADERS_BYTES%",
        still: Still::Nothing,
        reason: "how large heads are depends on headers that may differ, and our proxy does not count them apart",
    },
    Allowed {
        at: "log/%RESPONSE_TRAILERS_BYTES%",
        still: Still::Nothing,
        reason: "how large heads are depends on headers that may differ, and our proxy does not count them apart",
    },
    Allowed {
        at: "log/%CONNECTION_ID%",
        still: Still::Nothing,
        reason: "numbers of connections and streams are each proxy's own, and ours has none",
    },
    Allowed {
        at: "log/%UPSTREAM_CONNECTION_ID%",
        still: Still::Nothing,
        reason: "numbers of connections and streams are each proxy's own, and ours has none",
    },
    Allowed {
        at: "log/%UNIQUE_ID%",
        still: Still::Nothing,
        reason: "numbers of connections and streams are each proxy's own, and ours has none",
    },
    Allowed {
        at: "log/%ROUNDTRIP_DURATION%",
        still: Still::Nothing,
        reason: "a phase that our proxy does not measure apart",
    },
    Allowed {
        at: "log/%COMMON_DURATION(DS_RX_BEG:DS_TX_END:ms)%",
        still: Still::Nothing,
        reason: "a phase that our proxy does not measure apart",
    },
    Allowed {
        at: "log/%UPSTREAM_CONNECTION_POOL_READY_DURATION%",
        still: Still::Nothing,
        reason: "a phase that our proxy does not measure apart",
    },
    Allowed {
        at: "log/%QUERY_PARAMS%",
        still: Still::Nothing,
        reason: "an operator that our proxy knows and has no value for",
    },
    Allowed {
        at: "log/%QUERY_PARAMS(ORIG)%",
        still: Still::Nothing,
        reason: "an operator that our proxy knows and has no value for",
    },
    Allowed {
        at: "log/%LOCAL_REPLY_BODY%",
        still: Still::Nothing,
        reason: "an operator that our proxy knows and has no value for",
    },
    Allowed {
        at: "log/%TRAILER(grpc-status)%",
        still: Still::Nothing,
        reason: "an operator that our proxy knows and has no value for",
    },
    Allowed {
        at: "log/%DOWNSTREAM_LOCAL_CLOSE_REASON%",
        still: Still::Nothing,
        reason: "an operator that our proxy knows and has no value for",
    },
    Allowed {
        at: "log/%DOWNSTREAM_DETECTED_CLOSE_TYPE%",
        still: Still::Nothing,
        reason: "an operator that our proxy knows and has no value for",
    },
    Allowed {
        at: "log/%HOSTNAME%",
        still: Still::Nothing,
        reason: "an operator that our proxy knows and has no value for",
    },
    Allowed {
        at: "log/%DYNAMIC_METADATA(lateen:object)%",
        still: Still::Nothing,
        reason: "the reasons of our proxy's own answers",
    },
    Allowed {
        at: "log/%METADATA(DYNAMIC:lateen:object)%",
        still: Still::Nothing,
        reason: "the reasons of our proxy's own answers",
    },
    Allowed {
        at: "log/%PATH(NQ:PATH)%",
        still: Still::Nothing,
        reason: "Envoy rewrites the path of a request that it answers with a redirect by prefix; operators that prefer the original path agree",
    },
    Allowed {
        at: "log/%PATH(WQ:ORIG)%",
        still: Still::Nothing,
        reason: "Envoy rewrites the path of a request that it answers with a redirect by prefix; operators that prefer the original path agree",
    },
    Allowed {
        at: "log/%REQ(:PATH):5%",
        still: Still::Nothing,
        reason: "Envoy rewrites the path of a request that it answers with a redirect by prefix; operators that prefer the original path agree",
    },
    Allowed {
        at: "log/%METADATA(UPSTREAM_HOST:lateen:workload)%",
        still: Still::Nothing,
        reason: "written for the metrics of stock Envoy; ours reads the same from `istio.workload`",
    },
    Allowed {
        at: "log/%UPSTREAM_METADATA(lateen:workload)%",
        still: Still::Nothing,
        reason: "written for the metrics of stock Envoy; ours reads the same from `istio.workload`",
    },
    Allowed {
        at: "log/%REQ(:SCHEME)%",
        still: Still::Nothing,
        reason: "Envoy does not know it of a request that it refuses before routing",
    },
    Allowed {
        at: "log/%REQUESTED_SERVER_NAME(SNI_FIRST)%",
        still: Still::Nothing,
        reason: "Envoy does not know it of a request that it refuses before routing",
    },
    Allowed {
        at: "log/%DOWNSTREAM_TRANSPORT_FAILURE_REASON%",
        still: Still::Nothing,
        reason: "Envoy tells what its inspector made of bytes that are no TLS",
    },
    Allowed { at: "log/service time", still: Still::Presence, reason: "a duration" },
    Allowed { at: "log/upstream local", still: Still::Host, reason: "the kernel chooses the port" },
    Allowed { at: "log/remote", still: Still::Host, reason: "the kernel chooses the port" },
];

/// What is compared at a path; none when all of the value is.
pub fn at(path: &[String]) -> Option<&'static Allowed> {
    ALLOWED.iter().find(|allowed| {
        let mut steps = allowed.at.split('/');
        path.iter().all(|step| steps.next().is_some_and(|wanted| wanted == "*" || wanted == step))
            && steps.next().is_none()
    })
}
