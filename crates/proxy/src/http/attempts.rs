//! Attempts until one is answered or no further one is wanted.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use routing::cluster::Discovery;
use routing::decision::{Decision, Forwarding};
use routing::retry::asked::AskedTime;
use routing::retry::priorities::TriedPriorities;
use routing::retry::{Reset, RetryPolicy};
use routing::rewrite::HostRewrite;
use routing::route::{Limited, Priority};
use smallvec::SmallVec;

use crate::alarm::Alarm;
use crate::flags::Flag;
use crate::http::affinity;
use crate::http::attempt::{self, Answer, Attempt, Failure, TimeLimit, TimeLimits};
use crate::http::channel::Channel;
use crate::http::connection::Next;
use crate::http::ends::{Departure, Downstream};
use crate::http::exchange::Exchange;
use crate::http::local_reply::{self, LocalReply};
use crate::http::mirror::Copies;
use crate::http::pause::{Interrupted, wait};
use crate::http::respond::{Accepted, respond};
use crate::http::upstream_head;
use crate::http1::framing::{Framing, of_response};
use crate::http1::head::reason;
use crate::http1::known::Known;
use crate::http1::parse::Refusal;
use crate::upstream::connect::ConnectError;
use crate::upstream::host::Host;
use crate::upstream::protection::{Permit, Resource};
use crate::upstream::vitals::Outcome;
use crate::upstream::{ClusterState, Wish};

/// The attempts of one request.
#[derive(Debug)]
pub struct Attempts<'f> {
    cluster: &'f Rc<ClusterState>,
    retry: Option<&'f RetryPolicy>,
    limits: TimeLimits,
    retries: u32,
    tried: SmallVec<[Rc<Host>; 2]>,
    /// What consistent hashes take of the request.
    hash: Option<u64>,
    /// The next attempt uses no idle connection.
    fresh: bool,
    priority: Priority,
    tried_priorities: TriedPriorities,
    /// Leave to try again, while that lasts.
    retrying: Permit,
    /// How long the upstream said to wait.
    wait: Option<Duration>,
    /// The client wants 204 in place of 504.
    alternative_response: bool,
    /// Sent off with the first attempt.
    pub copies: Copies,
}

/// Whether a request may be tried again at all.
pub fn retries(retry: &RetryPolicy, exchange: &Exchange<'_>) -> bool {
    let applies = retry.request_headers.is_empty()
        || retry.request_headers.iter().any(|matcher| matcher.matches(&exchange.request));
    retry.attempts > 0 && applies
}

/// What another attempt costs the endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cost {
    /// The one before never reached any.
    Nothing,
    /// It was sent, and is sent again.
    Reached,
}

/// A host that is serving a request.
struct Serving<'h>(&'h Host);

impl Serving<'_> {
    fn begin(host: &Host) -> Serving<'_> {
        host.active.set(host.active.get() + 1);
        host.vitals.rq_active.fetch_add(1, Ordering::Relaxed);
        host.vitals.rq_total.fetch_add(1, Ordering::Relaxed);
        Serving(host)
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        self.0.active.set(self.0.active.get().saturating_sub(1));
        self.0.vitals.rq_active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The HTTP status that a gRPC status stands for.
fn http_status(grpc: u16) -> u16 {
    match grpc {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}

/// What follows an attempt.
enum Then {
    Again,
    Done(Next),
    Reply(LocalReply),
}

fn gone(exchange: &mut Exchange<'_>, departure: Departure) -> Then {
    exchange.client_left(departure);
    Then::Done(Next::Abort)
}

impl<'f> Attempts<'f> {
    /// Nothing tried yet.
    pub fn new(
        exchange: &mut Exchange<'_>,
        forwarding: &Forwarding<'f>,
        cluster: &'f Rc<ClusterState>,
        asked: Option<AskedTime>,
    ) -> Attempts<'f> {
        let hash = affinity::hash(exchange, forwarding, cluster);
        let timeouts = &exchange.http.manager.timeouts;
        let is_upgrade = exchange.is_tunnel();
        let idle = match forwarding.options.idle_timeout {
            Some(limit) => (!limit.is_zero()).then_some(limit),
            None => timeouts.stream_idle,
        };
        let mut whole = forwarding.options.max_stream_duration.or(timeouts.max_stream_duration);
        let mut response = forwarding.timeout;
        if let Some(limit) = forwarding.options.grpc_timeout.filter(|_| exchange.grpc_status.is_some()) {
            let asked = exchange.request.find("grpc-timeout");
            match limit.limits {
                Limited::Response => response = limit.apply(asked),
                Limited::Stream if asked.is_some() => whole = limit.apply(asked),
                Limited::Stream => {}
            }
        }
        Attempts {
            cluster,
            retry: forwarding.retry,
            limits: TimeLimits {
                response: response.filter(|_| !is_upgrade),
                per_try: asked
                    .unwrap_or_default()
                    .per_try(forwarding.retry.and_then(|retry| retry.per_try_timeout), response),
                idle: idle.filter(|_| !is_upgrade),
                end: whole.map(|limit| exchange.started + limit),
            },
            retries: 0,
            tried: SmallVec::new(),
            hash,
            fresh: false,
            priority: forwarding.options.priority,
            tried_priorities: TriedPriorities::default(),
            retrying: Permit::default(),
            wait: None,
            alternative_response: asked.is_some_and(|asked| asked.alternative_response),
            copies: Copies::default(),
        }
    }

    /// Tries until there is an answer, or no reason to try again.
    pub async fn run<'c>(
        &mut self,
        exchange: &mut Exchange<'c>,
        decision: &Decision<'c>,
        forwarding: &Forwarding<'_>,
        io: &mut Downstream<'_, '_>,
        alarm: &mut Alarm,
    ) -> Next {
        loop {
            let Some(host) = self.choose(exchange) else {
                exchange.attempts += 1;
                exchange.flags.set(Flag::NoHealthyUpstream);
                self.cluster.stats.cx_none_healthy.increment();
                let reply = LocalReply::new(503, "no_healthy_upstream").with_body("no healthy upstream");
                return local_reply::send(exchange, io, Some(decision), reply).await;
            };
            exchange.attempts += 1;
            self.announce(exchange, forwarding, &host);
            if self.retries == 0 && !self.copies.is_empty() {
                self.copies.write(exchange);
                self.copies.send(exchange);
            }
            let Some(request) = self.cluster.admit(self.priority, Resource::Request) else {
                self.cluster.stats.rare("upstream_rq_pending_overflow").increment();
                let reply = self.overflow(exchange);
                return local_reply::send(exchange, io, Some(decision), reply).await;
            };
            let serving = Serving::begin(&host);
            let attempt =
                attempt::run(exchange, self.cluster, &host, io, alarm, &self.limits, self.fresh).await;
            let then = self.conclude(exchange, decision, io, alarm, attempt).await;
            drop((serving, request));
            match then {
                Then::Again => {}
                Then::Done(next) => return next,
                Then::Reply(reply) => return local_reply::send(exchange, io, Some(decision), reply).await,
            }
        }
    }

    fn choose(&mut self, exchange: &Exchange<'_>) -> Option<Rc<Host>> {
        let frequency = self.retry.and_then(|retry| retry.leaves_priorities);
        let loads = match frequency {
            Some(frequency) if !self.tried.is_empty() => {
                self.cluster.loads_beyond(&mut self.tried_priorities, frequency)
            }
            _ => None,
        };
        let repeats = match self.retry {
            Some(retry) if retry.avoid_previous_hosts && !self.tried.is_empty() => {
                retry.host_selection_attempts
            }
            _ => 0,
        };
        let wish = Wish { hash: self.hash, tried: &self.tried, repeats, loads: loads.as_ref() };
        self.cluster.choose(|| destination(exchange, self.cluster), &wish)
    }

    /// What the upstream is told about this attempt.
    fn announce(&mut self, exchange: &mut Exchange<'_>, forwarding: &Forwarding<'_>, host: &Rc<Host>) {
        if exchange.peer == crate::identities::PeerId::UNKNOWN && !exchange.http.is_inbound {
            exchange.peer = host.peer;
        }
        exchange.host = Some(host.clone());
        if matches!(forwarding.host_rewrite(), Some(HostRewrite::EndpointName)) && !host.hostname.is_empty() {
            upstream_head::set_host(exchange, &host.hostname, forwarding.options.append_x_forwarded_host);
        }
        let suppress = exchange.http.manager.filters.router.unwrap_or_default().suppress_envoy_headers;
        if !suppress && let Some(left) = self.expected_time(exchange) {
            let milliseconds = left.as_millis().max(1).to_string();
            exchange.request.set(b"x-envoy-expected-rq-timeout-ms", milliseconds.as_bytes());
        }
        if exchange.virtual_host.is_some_and(|host| host.include_attempt_count) {
            exchange.request.set_known(Known::XEnvoyAttemptCount, exchange.attempts.to_string().as_bytes());
        }
    }

    /// How long the upstream may take.
    fn expected_time(&self, exchange: &Exchange<'_>) -> Option<Duration> {
        let whole = self.limits.response.map(|limit| match exchange.request_done {
            Some(done) if self.retries > 0 => limit.saturating_sub(done.elapsed()),
            _ => limit,
        });
        match (whole, self.limits.per_try) {
            (Some(whole), Some(per_try)) => Some(whole.min(per_try)),
            (whole, per_try) => whole.or(per_try),
        }
    }

    async fn conclude<'c>(
        &mut self,
        exchange: &mut Exchange<'c>,
        decision: &Decision<'c>,
        io: &mut Downstream<'_, '_>,
        alarm: &mut Alarm,
        attempt: Attempt,
    ) -> Then {
        match attempt {
            Attempt::Answered(answer) => self.answered(exchange, decision, io, alarm, *answer).await,
            Attempt::Failed(failure) => self.failed(exchange, io, failure).await,
            Attempt::Gone(departure) => gone(exchange, departure),
            Attempt::Malformed(refusal) => {
                exchange.flags.set(Flag::DownstreamProtocolError);
                exchange.keep_alive = false;
                Then::Reply(
                    LocalReply::new(refusal.status, refusal.details).with_body(reason(refusal.status)),
                )
            }
            Attempt::TimedOut(limit) => {
                if limit == TimeLimit::Response {
                    self.note(exchange, Outcome::TimedOut);
                }
                Then::Reply(self.timed_out(exchange, limit))
            }
        }
    }

    fn timed_out(&self, exchange: &mut Exchange<'_>, limit: TimeLimit) -> LocalReply {
        self.cluster.stats.rq_timeout.increment();
        let (status, flag, details, body) = match limit {
            TimeLimit::Response if self.alternative_response => {
                (204, Flag::UpstreamTimeout, "response_timeout", "")
            }
            TimeLimit::Response => {
                (504, Flag::UpstreamTimeout, "response_timeout", "upstream request timeout")
            }
            TimeLimit::Idle => (504, Flag::StreamIdleTimeout, "stream_idle_timeout", "stream timeout"),
            TimeLimit::Whole => {
                (504, Flag::MaxDurationTimeout, "max_duration_timeout", "downstream duration timeout")
            }
        };
        exchange.flags.set(flag);
        LocalReply::new(status, details).with_body(body)
    }

    async fn answered<'c>(
        &mut self,
        exchange: &mut Exchange<'c>,
        decision: &Decision<'c>,
        io: &mut Downstream<'_, '_>,
        alarm: &mut Alarm,
        mut answer: Answer,
    ) -> Then {
        let Ok(framing) = framing(exchange, &mut answer) else {
            self.closed(&answer.channel);
            let failure = Failure { reset: Reset::ProtocolError, stale: false, connect: None, tls: None };
            return self.failed(exchange, io, failure).await;
        };
        let head = &answer.head;
        self.cluster.stats.answered(head.status);
        let grpc = exchange
            .grpc_status
            .and_then(|_| std::str::from_utf8(head.get(Known::GrpcStatus)?).ok()?.parse().ok());
        self.note(exchange, Outcome::Answered(grpc.map_or(head.status, http_status)));
        let wants_retry = self
            .retry
            .is_some_and(|retry| retry.wants_after_response(head.status, grpc, |name| head.find(name)));
        if self.retries > 0 && !wants_retry {
            self.cluster.stats.rare("upstream_rq_retry_success").increment();
        }
        if wants_retry && self.may_retry(exchange, Cost::Reached) {
            self.wait = self.retry.and_then(|retry| {
                let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                retry.rate_limited.as_ref()?.wait(|name| head.find(name), unix, fastrand::u64(..))
            });
            let worker = exchange.connection.worker.clone();
            self.closed(&answer.channel);
            worker.give_head(answer.head);
            worker.buffers.give_output(answer.sending.relay.into_output());
            return self.back_off(exchange, io).await;
        }
        let accepted = Accepted { cluster: self.cluster, limits: &self.limits, answer, framing };
        let next = respond(exchange, decision, io, alarm, accepted).await;
        Then::Done(next)
    }

    /// A connection that carried this request alone is closed with it.
    fn closed(&self, channel: &Channel) {
        if !matches!(channel, Channel::Http2(_)) {
            self.cluster.stats.closed(1);
        }
    }

    async fn failed(
        &mut self,
        exchange: &mut Exchange<'_>,
        io: &mut Downstream<'_, '_>,
        failure: Failure,
    ) -> Then {
        if failure.stale && !self.fresh && exchange.body.replay().is_some() {
            // The peer closed the connection while it was idle: that is no
            // attempt.
            self.fresh = true;
            exchange.attempts -= 1;
            return Then::Again;
        }
        exchange.transport_failure = match (&failure.connect, &failure.tls) {
            (Some(error), _) => error.reason().replace(' ', "_"),
            (None, Some(reason)) => reason.replace(' ', "_"),
            (None, None) => String::new(),
        };
        if matches!(failure.connect.as_deref(), Some(ConnectError::Overflow)) {
            return Then::Reply(self.overflow(exchange));
        }
        let timed_out = failure.reset == Reset::PerTryTimeout;
        self.note(exchange, if timed_out { Outcome::TimedOut } else { Outcome::Broken });
        let wants_retry = self.retry.is_some_and(|retry| retry.wants_after_reset(failure.reset));
        let cost = match failure.reset {
            Reset::ConnectFailure | Reset::RemoteRefused => Cost::Nothing,
            _ => Cost::Reached,
        };
        if wants_retry && self.may_retry(exchange, cost) {
            return self.back_off(exchange, io).await;
        }
        Then::Reply(self.reset_reply(exchange, &failure))
    }

    /// Whether another attempt can be made; what stands against it is noted.
    fn may_retry(&mut self, exchange: &mut Exchange<'_>, cost: Cost) -> bool {
        let Some(retry) = self.retry else { return false };
        if self.retries >= retry.attempts {
            if retry.attempts > 0 {
                exchange.flags.set(Flag::UpstreamRetryLimitExceeded);
                self.cluster.stats.rare("upstream_rq_retry_limit_exceeded").increment();
            }
            return false;
        }
        if exchange.body.replay().is_none()
            || exchange.is_tunnel()
            || exchange.informed
            || !retries(retry, exchange)
        {
            return false;
        }
        self.retrying = Permit::default();
        let now = exchange.connection.worker.shared.started.elapsed();
        let guarded = cost == Cost::Reached && !self.cluster.guard_allows(self.priority, now);
        let permit = if guarded { None } else { self.cluster.admit(self.priority, Resource::Retry) };
        match permit {
            Some(permit) => self.retrying = permit,
            None => {
                exchange.flags.set(Flag::UpstreamOverflow);
                self.cluster.stats.rare("upstream_rq_retry_overflow").increment();
                return false;
            }
        }
        true
    }

    /// Takes in how an attempt went.
    fn note(&self, exchange: &Exchange<'_>, outcome: Outcome) {
        let Some(host) = &exchange.host else { return };
        let vitals = &host.vitals;
        let counter = match outcome {
            Outcome::Answered(status) if status < 500 => &vitals.rq_success,
            Outcome::TimedOut => &vitals.rq_timeout,
            _ => &vitals.rq_error,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if !matches!(outcome, Outcome::Broken | Outcome::TimedOut) {
            self.cluster.note(host, Outcome::Connected);
        }
        self.cluster.note(host, outcome);
    }

    /// There is too much under way for one more.
    fn overflow(&self, exchange: &mut Exchange<'_>) -> LocalReply {
        exchange.flags.set(Flag::UpstreamOverflow);
        let body = "upstream connect error or disconnect/reset before headers. reset reason: overflow";
        let reply = LocalReply::new(503, "upstream_reset_before_response_started{overflow}").with_body(body);
        if exchange.http.manager.filters.router.unwrap_or_default().suppress_envoy_headers {
            return reply;
        }
        reply.with("x-envoy-overloaded", "true")
    }

    async fn back_off(&mut self, exchange: &mut Exchange<'_>, io: &mut Downstream<'_, '_>) -> Then {
        self.retries += 1;
        self.cluster.stats.rq_retry.increment();
        if let Some(host) = &exchange.host {
            self.tried_priorities.add(host.priority);
            self.tried.push(host.clone());
        }
        self.fresh = false;
        let Some(retry) = self.retry else { return Then::Again };
        let said = self.wait.take();
        let counted = match said {
            Some(_) => "upstream_rq_retry_backoff_ratelimited",
            None => "upstream_rq_retry_backoff_exponential",
        };
        self.cluster.stats.rare(counted).increment();
        let pause = said.unwrap_or_else(|| retry.back_off(self.retries, fastrand::u64(..)));
        let deadline = self.limits.response.and_then(|limit| Some(exchange.request_done? + limit));
        match wait(pause, deadline, io).await {
            Ok(()) => Then::Again,
            Err(Interrupted::Gone(departure)) => gone(exchange, departure),
            Err(Interrupted::TimedOut) => Then::Reply(self.timed_out(exchange, TimeLimit::Response)),
        }
    }

    fn reset_reply(&self, exchange: &mut Exchange<'_>, failure: &Failure) -> LocalReply {
        let timed_out = matches!(failure.connect.as_deref(), Some(ConnectError::Timeout));
        let (status, flag, reason) = match failure.reset {
            Reset::PerTryTimeout => {
                self.cluster.stats.rq_timeout.increment();
                self.cluster.stats.rare("upstream_rq_per_try_timeout").increment();
                exchange.flags.set(Flag::UpstreamTimeout);
                let (status, body) =
                    if self.alternative_response { (204, "") } else { (504, "upstream request timeout") };
                return LocalReply::new(status, "upstream_per_try_timeout").with_body(body);
            }
            Reset::ConnectFailure if timed_out => {
                (503, Flag::UpstreamConnectionFailure, "connection timeout")
            }
            Reset::ConnectFailure => (503, Flag::UpstreamConnectionFailure, "remote connection failure"),
            Reset::ConnectionTermination { .. } => {
                (503, Flag::UpstreamConnectionTermination, "connection termination")
            }
            Reset::ProtocolError => (502, Flag::UpstreamProtocolError, "protocol error"),
            Reset::RemoteReset => (503, Flag::UpstreamRemoteReset, "remote reset"),
            Reset::RemoteRefused => (503, Flag::UpstreamRemoteReset, "remote refused stream reset"),
        };
        exchange.flags.set(flag);
        let again = if exchange.attempts > 1 { "retried and the latest " } else { "" };
        let body = format!(
            "upstream connect error or disconnect/reset before headers. {again}reset reason: {reason}"
        );
        let transport = match exchange.transport_failure.as_str() {
            "" => String::new(),
            transport => format!("|{transport}"),
        };
        let details =
            format!("upstream_reset_before_response_started{{{}{transport}}}", reason.replace(' ', "_"));
        LocalReply::new(status, details).with_body(body)
    }
}

/// How the answer's body ends. A protocol that was switched to by a stream
/// of HTTP/2 becomes what HTTP/1.1 says about it.
fn framing(exchange: &Exchange<'_>, answer: &mut Answer) -> Result<Framing, Refusal> {
    let head = &mut answer.head;
    let ends_here = match &answer.channel {
        Channel::Http2(stream) => Some(stream.incoming.is_end()),
        Channel::Http1(_) | Channel::Bytes(_) => None,
    };
    if let (Some(protocol), Some(_), 200) = (&exchange.upgrade, ends_here, head.status) {
        head.status = 101;
        head.set_known(Known::Upgrade, protocol.as_bytes());
    }
    if head.status == 101 || (exchange.tunnel.is_some() && (200..300).contains(&head.status)) {
        return Ok(Framing::UntilClose);
    }
    let by_head = of_response(head, head.status, exchange.is_head_request(), head.is_http_10)?;
    Ok(match ends_here {
        Some(true) => Framing::None,
        Some(false) if by_head == Framing::UntilClose => Framing::Chunked,
        _ => by_head,
    })
}

/// Where the client wanted to go.
fn destination(exchange: &Exchange<'_>, cluster: &ClusterState) -> Option<SocketAddr> {
    if let Discovery::OriginalDestination { header: Some(name), .. } = &cluster.cluster.discovery {
        let value = exchange.request.find(name)?;
        return std::str::from_utf8(value).ok()?.parse().ok();
    }
    exchange.connection.original_destination()
}
