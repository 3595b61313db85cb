//! Writing down what happened: metrics and access logs at a request's end,
//! and the view of a request that format strings have.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use routing::access_log::{LogFacts, Moment};
use telemetry::access_log::{Fact, Record, Side};
use tokio::time::Instant;

use crate::flags::{Flag, Flags};
use crate::http::body::Body;
use crate::http::channel;
use crate::http::connection::{Connection, Version};
use crate::http::exchange::Exchange;
use crate::http1::framing::Framing;
use crate::http1::head::{Head, Parts};
use crate::http1::parse::Refusal;
use crate::http2::server::TOO_MANY;
use crate::identities::ServiceId;
use crate::report::RequestKey;

/// An exchange as format strings see it, with the response's head as it is
/// now.
#[derive(Debug, Clone, Copy)]
pub struct View<'e, 'c> {
    /// The exchange.
    pub exchange: &'e Exchange<'c>,
    /// The response's head.
    pub response: Option<&'e Head>,
}

impl View<'_, '_> {
    /// Whether the response has a header.
    pub fn response_has(&self, name: &str) -> bool {
        self.response.is_some_and(|head| head.find(&name.to_ascii_lowercase()).is_some())
    }
}

/// The request has ended, one way or the other.
pub fn finish(exchange: Exchange<'_>) {
    let now = Instant::now();
    count(&exchange, now);
    write_logs(&exchange, now);
    let worker = &exchange.connection.worker;
    worker.give_head(exchange.request);
    if let Some(response) = exchange.response {
        worker.give_head(response);
    }
}

fn count(exchange: &Exchange<'_>, now: Instant) {
    let http = exchange.http;
    http.stats.answered(exchange.status);
    let Some(reporting) = &http.reporting else { return };
    let worker = &exchange.connection.worker;
    let of_cluster = exchange.cluster.as_ref().map_or(ServiceId::UNKNOWN, |cluster| cluster.service);
    let service = reporting.service(
        worker,
        of_cluster,
        exchange.cluster_name.as_deref(),
        exchange.route.map(|route| &*route.name),
        exchange.request.authority(),
    );
    let key = RequestKey {
        peer: exchange.peer,
        service,
        status: exchange.status,
        grpc: exchange.grpc_status,
        flags: exchange.flags.clone(),
        link: worker.identities.link(match http.is_inbound {
            true => exchange.connection.tls.as_deref(),
            false => exchange.upstream_tls.as_deref(),
        }),
    };
    let milliseconds = u64::try_from(now.duration_since(exchange.started).as_millis()).unwrap_or(u64::MAX);
    let metrics = reporting.requests(worker, &key);
    metrics.record(
        milliseconds,
        exchange.request_head_size + exchange.body.wire,
        exchange.response_head_size + exchange.sent,
    );
    metrics.record_messages(exchange.body.messages(), exchange.response_messages);
}

fn write_logs(exchange: &Exchange<'_>, now: Instant) {
    if exchange.http.logs.is_empty() {
        return;
    }
    let flags = exchange.flags.text();
    let facts = LogFacts {
        status: exchange.status,
        duration: u64::try_from(now.duration_since(exchange.started).as_millis()).unwrap_or(u64::MAX),
        flags: &flags,
        random: exchange.random,
        moment: Moment::RequestEnd,
    };
    let finished =
        Finished { view: View { exchange, response: exchange.response.as_ref() }, flags: &flags, end: now };
    for log in &exchange.http.logs {
        log.write(&finished, &facts);
    }
}

/// Records something that was no request.
pub fn refused(connection: &Connection, refusal: Refusal, response: Option<Head>, sent: u64) {
    let Some(http) = connection.http() else { return };
    let nothing = Head::new(Vec::new(), 0, Parts::default());
    let mut exchange = Exchange::nothing(connection, http, nothing, Body::new(Framing::None));
    exchange.status = refusal.status;
    exchange.details = refusal.details.into();
    exchange.answered_here = true;
    exchange.request_done = None;
    exchange.response = response;
    exchange.sent = sent;
    exchange.flags = Flags::default();
    exchange.flags.set(match refusal.details {
        // Envoy takes it for a reset by the client.
        TOO_MANY => Flag::DownstreamRemoteReset,
        _ => Flag::DownstreamProtocolError,
    });
    http.stats.rq_total.increment();
    count(&exchange, exchange.started);
    write_logs(&exchange, exchange.started);
}

/// A finished exchange: flags and duration are known.
struct Finished<'e, 'c> {
    view: View<'e, 'c>,
    flags: &'e str,
    end: Instant,
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

impl Record for View<'_, '_> {
    fn start_time(&self) -> SystemTime {
        self.exchange.started_at
    }

    fn request_header(&self, name: &str) -> Option<&[u8]> {
        let name = if name == "host" { ":authority" } else { name };
        // What was no request has no line either.
        if name.starts_with(':') && self.exchange.request.method().is_empty() {
            return None;
        }
        self.exchange.request.find(name)
    }

    fn response_header(&self, name: &str) -> Option<&[u8]> {
        let head = self.response?;
        if name.starts_with(':') { None } else { head.find(name) }
    }

    fn response_trailer(&self, name: &str) -> Option<&[u8]> {
        self.exchange.response_trailers.as_ref()?.find(name)
    }

    fn protocol(&self) -> Option<&str> {
        Some(match self.exchange.connection.version {
            Version::Http2 => "HTTP/2",
            Version::Http1 if self.exchange.request.is_http_10 => "HTTP/1.0",
            Version::Http1 => "HTTP/1.1",
        })
    }

    fn response_code(&self) -> u16 {
        // An answer of our own has none before it is sent, as in Envoy.
        if self.exchange.answered_here { 0 } else { self.exchange.status }
    }

    fn response_flags(&self) -> Option<&str> {
        None
    }

    fn response_code_details(&self) -> Option<&str> {
        some(&self.exchange.details)
    }

    fn connection_termination_details(&self) -> Option<&str> {
        None
    }

    fn upstream_transport_failure_reason(&self) -> Option<&str> {
        some(&self.exchange.transport_failure)
    }

    fn tls(&self, side: Side, fact: Fact) -> Option<Cow<'_, str>> {
        let facts = match side {
            Side::Downstream => self.exchange.connection.tls.as_deref(),
            Side::Upstream => self.exchange.upstream_tls.as_deref(),
        };
        facts?.tell(fact)
    }

    fn bytes_received(&self) -> u64 {
        self.exchange.body.data
    }

    fn bytes_sent(&self) -> u64 {
        self.exchange.sent
    }

    fn duration(&self) -> Option<Duration> {
        None
    }

    fn request_duration(&self) -> Option<Duration> {
        self.exchange.request_done.map(|done| done.duration_since(self.exchange.started))
    }

    fn response_duration(&self) -> Option<Duration> {
        self.exchange.first_byte.map(|byte| byte.duration_since(self.exchange.started))
    }

    fn upstream_host(&self) -> Option<SocketAddr> {
        self.exchange.host.as_ref().map(|host| host.address)
    }

    fn upstream_local_address(&self) -> Option<SocketAddr> {
        self.exchange.upstream_local
    }

    fn upstream_cluster(&self) -> Option<&str> {
        let cluster = self.exchange.cluster.as_ref()?;
        Some(&cluster.cluster.stat_name)
    }

    fn upstream_cluster_raw(&self) -> Option<&str> {
        let cluster = self.exchange.cluster.as_ref()?;
        Some(&cluster.cluster.name)
    }

    fn downstream_local_address(&self) -> Option<SocketAddr> {
        Some(self.exchange.connection.local)
    }

    fn downstream_remote_address(&self) -> Option<SocketAddr> {
        Some(self.exchange.remote)
    }

    fn downstream_direct_remote_address(&self) -> Option<SocketAddr> {
        Some(self.exchange.connection.peer)
    }

    fn requested_server_name(&self) -> Option<&str> {
        some(&self.exchange.connection.tls.as_ref()?.server_name)
    }

    fn route_name(&self) -> Option<&str> {
        some(&self.exchange.route?.name)
    }

    fn virtual_host_name(&self) -> Option<&str> {
        some(&self.exchange.virtual_host?.name)
    }

    fn attempt_count(&self) -> u32 {
        self.exchange.attempts
    }

    fn metadata(&self, owner: &str, namespace: &str, key: &str) -> Option<&str> {
        let origin = match owner {
            "ROUTE" => self.exchange.route?.origin.as_ref(),
            "CLUSTER" => self.exchange.cluster.as_ref()?.cluster.origin.as_ref(),
            "VIRTUAL_HOST" => self.exchange.virtual_host?.origin.as_ref(),
            "LISTENER" => self.exchange.connection.listener.origin.as_ref(),
            "LISTENER_FILTER_CHAIN" => self.exchange.connection.chain.config.origin.as_ref(),
            "DYNAMIC" => crate::http::reason::cause(self.exchange),
            _ => None,
        }?;
        match (namespace, key) {
            ("lateen", "object") | ("istio", "config") => Some(&origin.object),
            ("lateen", "path") => some(&origin.path),
            _ => None,
        }
    }

    fn hostname(&self) -> Option<&str> {
        None
    }

    fn grpc_status(&self) -> Option<u32> {
        self.exchange.grpc_status
    }

    fn upstream_protocol(&self) -> Option<&str> {
        self.exchange.upstream_local?;
        Some(match channel::version(self.exchange, self.exchange.cluster.as_ref()?) {
            Version::Http1 => "HTTP/1.1",
            Version::Http2 => "HTTP/2",
        })
    }

    fn request_sent_duration(&self) -> Option<Duration> {
        self.exchange.upstream_local?;
        self.request_duration()
    }

    fn filter_chain_name(&self) -> Option<&str> {
        some(&self.exchange.connection.chain.config.name)
    }

    fn log_type(&self) -> &'static str {
        "DownstreamEnd"
    }

    fn downstream_direct_local_address(&self) -> Option<SocketAddr> {
        Some(self.exchange.connection.accepted_at)
    }
}

/// Everything as the view says, but flags and duration.
macro_rules! as_the_view_says {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $result:ty;)*) => {
        $(fn $name(&self $(, $argument: $kind)*) -> $result {
            self.view.$name($($argument),*)
        })*
    };
}

impl Record for Finished<'_, '_> {
    fn response_code(&self) -> u16 {
        self.view.exchange.status
    }

    fn response_flags(&self) -> Option<&str> {
        Some(self.flags)
    }

    fn duration(&self) -> Option<Duration> {
        Some(self.end.duration_since(self.view.exchange.started))
    }

    as_the_view_says! {
        start_time() -> SystemTime;
        request_header(name: &str) -> Option<&[u8]>;
        response_header(name: &str) -> Option<&[u8]>;
        response_trailer(name: &str) -> Option<&[u8]>;
        protocol() -> Option<&str>;
        response_code_details() -> Option<&str>;
        connection_termination_details() -> Option<&str>;
        upstream_transport_failure_reason() -> Option<&str>;
        tls(side: Side, fact: Fact) -> Option<Cow<'_, str>>;
        bytes_received() -> u64;
        bytes_sent() -> u64;
        request_duration() -> Option<Duration>;
        response_duration() -> Option<Duration>;
        upstream_host() -> Option<SocketAddr>;
        upstream_local_address() -> Option<SocketAddr>;
        upstream_cluster() -> Option<&str>;
        upstream_cluster_raw() -> Option<&str>;
        downstream_local_address() -> Option<SocketAddr>;
        downstream_remote_address() -> Option<SocketAddr>;
        downstream_direct_remote_address() -> Option<SocketAddr>;
        requested_server_name() -> Option<&str>;
        route_name() -> Option<&str>;
        virtual_host_name() -> Option<&str>;
        attempt_count() -> u32;
        metadata(owner: &str, namespace: &str, key: &str) -> Option<&str>;
        hostname() -> Option<&str>;
        grpc_status() -> Option<u32>;
        upstream_protocol() -> Option<&str>;
        request_sent_duration() -> Option<Duration>;
        filter_chain_name() -> Option<&str>;
        log_type() -> &'static str;
        downstream_direct_local_address() -> Option<SocketAddr>;
    }
}
