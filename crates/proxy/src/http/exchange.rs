//! One request and its response: what is known of them, and the decision
//! what happens.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::SystemTime;

use routing::decision::{Outcome, on_request};
use routing::headers::RequestHead as _;
use routing::route::{Priority, Route};
use routing::virtual_host::VirtualHost;
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::alarm::Alarm;
use crate::chain::HttpChain;
use crate::flags::{Flag, Flags};
use crate::http::body::Body;
use crate::http::connection::{Connection, Next};
use crate::http::ends::{Departure, Downstream};
use crate::http::fault::{Injected, inject};
use crate::http::local_reply::{self, LocalReply};
use crate::http::{cors, forward, record, request_head};
use crate::http1::head::Head;
use crate::http1::known::Known;
use crate::identities::PeerId;
use crate::overload::Pressure;
use crate::tls::certificate::TlsFacts;
use crate::upstream::ClusterState;
use crate::upstream::host::Host;

/// A request, its response, and what happened to them.
#[derive(Debug)]
pub struct Exchange<'c> {
    /// The client's connection.
    pub connection: &'c Connection,
    /// Its chain.
    pub http: &'c HttpChain,
    /// When the head had come.
    pub started: Instant,
    /// The same as wall-clock time.
    pub started_at: SystemTime,
    /// A random number that stands for the request.
    pub random: u64,
    /// The request's head, as changed so far.
    pub request: Head,
    /// How large it was when it came.
    pub request_head_size: u64,
    /// The request's body.
    pub body: Body,
    /// The client waits for `100 Continue`.
    pub expects_continue: bool,
    /// The client has got an interim response, so no other attempt follows.
    pub informed: bool,
    /// The protocol that the client wants to change to.
    pub upgrade: Option<Box<str>>,
    /// CONNECT: what follows the head belongs to another protocol.
    pub tunnel: Option<Tunnel>,
    /// The connection can be used for another request.
    pub keep_alive: bool,
    /// Who the client is, as far as trusted headers tell.
    pub remote: SocketAddr,
    /// The request counts as one from inside.
    pub is_internal: bool,
    /// The peer said who it is, in both headers.
    pub told: Told,
    /// The other side.
    pub peer: PeerId,
    /// The virtual host.
    pub virtual_host: Option<&'c VirtualHost>,
    /// The route.
    pub route: Option<&'c Route>,
    /// The cluster's name.
    pub cluster_name: Option<Cow<'c, str>>,
    /// The cluster.
    pub cluster: Option<Rc<ClusterState>>,
    /// The endpoint.
    pub host: Option<Rc<Host>>,
    /// Our own address towards the endpoint.
    pub upstream_local: Option<SocketAddr>,
    /// The TLS towards the endpoint.
    pub upstream_tls: Option<Rc<TlsFacts>>,
    /// How many attempts were made.
    pub attempts: u32,
    /// Why the upstream transport failed.
    pub transport_failure: String,
    /// The response's head as it was sent.
    pub response: Option<Head>,
    /// What followed its body.
    pub response_trailers: Option<Rc<Head>>,
    /// The response's status; zero when there was none.
    pub status: u16,
    /// What went wrong.
    pub flags: Flags,
    /// Why the response is what it is.
    pub details: Cow<'static, str>,
    /// The response is the proxy's own.
    pub answered_here: bool,
    /// Bytes of the response's body.
    pub sent: u64,
    /// Bytes of the response's head.
    pub response_head_size: u64,
    /// When the first byte of the response came.
    pub first_byte: Option<Instant>,
    /// When the last byte of the request had come.
    pub request_done: Option<Instant>,
    /// The status of gRPC, if it is gRPC.
    pub grpc_status: Option<u32>,
    /// How many messages of gRPC the response had.
    pub response_messages: u64,
    /// Which of the cluster's limits hold.
    pub priority: Priority,
    /// Cookies that were made for the client.
    pub cookies: SmallVec<[String; 1]>,
}

/// What a CONNECT comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tunnel {
    /// The upstream is asked in turn.
    Forwarded,
    /// It ends here: the upstream gets what is inside.
    Terminated,
}

/// What the peer said about itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Told {
    /// The id was there.
    pub id: bool,
    /// The metadata were there.
    pub metadata: bool,
}

/// Serves a request.
pub async fn run(
    connection: &Connection,
    http: &HttpChain,
    io: &mut Downstream<'_, '_>,
    alarm: &mut Alarm,
    head: Head,
    body: Body,
    is_last: bool,
) -> Next {
    let live = connection.worker.live();
    http.stats.rq_total.increment();
    http.stats.rq_active.add(1);
    let mut exchange = Exchange::new(connection, http, head, body);
    exchange.keep_alive &= !is_last;
    let next = serve(&mut exchange, &live, io, alarm).await;
    record::finish(exchange);
    http.stats.rq_active.add(-1);
    next
}

async fn serve<'c>(
    exchange: &mut Exchange<'c>,
    live: &'c crate::shared::Live,
    io: &mut Downstream<'_, '_>,
    alarm: &mut Alarm,
) -> Next {
    let worker = &exchange.connection.worker;
    if worker.shared.overload.pressure() >= Pressure::RefuseRequests {
        worker.stats.refused_requests.increment();
        exchange.flags.set(Flag::OverloadManager);
        let reply = LocalReply::new(503, "overload").with_body("envoy overloaded");
        return local_reply::send(exchange, io, None, reply).await;
    }
    if let Err(reply) = request_head::prepare(exchange) {
        note_route(exchange, live);
        exchange.keep_alive = false;
        return local_reply::send(exchange, io, None, reply).await;
    }
    let mut decision = on_request(&live.config, &exchange.http.manager, &exchange.request, exchange.random);
    exchange.virtual_host = decision.virtual_host;
    exchange.route = decision.route;
    if let Outcome::Forward(forwarding) = &decision.outcome {
        exchange.cluster_name = Some(forwarding.cluster_name.clone());
        exchange.priority = forwarding.options.priority;
        exchange.cluster = worker.cluster(live, &forwarding.cluster_name);
    }
    match inject(exchange, decision.fault, io).await {
        Injected::Nothing => {}
        Injected::Reply(reply) => {
            // The filter for origins comes later and does not know of the request.
            decision.cors = None;
            return local_reply::send(exchange, io, Some(&decision), reply).await;
        }
        Injected::Gone(departure) => {
            exchange.client_left(departure);
            return Next::Abort;
        }
    }
    if let Some(reply) = cors::preflight(exchange, &decision) {
        return local_reply::send(exchange, io, Some(&decision), reply).await;
    }
    match &decision.outcome {
        Outcome::NoRoute => {
            exchange.flags.set(Flag::NoRoute);
            local_reply::send(exchange, io, Some(&decision), LocalReply::new(404, "route_not_found")).await
        }
        Outcome::Redirect { status, location } => {
            let reply = LocalReply::new(*status, "direct_response").with("location", location);
            local_reply::send(exchange, io, Some(&decision), reply).await
        }
        Outcome::Respond(response) => {
            let reply = LocalReply::new(response.status, "direct_response").with_body(response.body.clone());
            let reply = with_own_location(reply, &exchange.request);
            local_reply::send(exchange, io, Some(&decision), reply).await
        }
        Outcome::Forward(forwarding) => {
            forward::forward(exchange, &decision, forwarding, live, io, alarm).await
        }
    }
}

/// Something that was made, or is elsewhere, is where it was asked for: a
/// fixed response says no other place, and Envoy says this one.
fn with_own_location(reply: LocalReply, request: &Head) -> LocalReply {
    if reply.status != 201 && !(300..400).contains(&reply.status) {
        return reply;
    }
    reply.with("location", &format!("{}://{}{}", request.scheme(), request.authority(), request.path()))
}

/// Whose request it was that is refused before a route is looked for, as far
/// as Envoy would tell: it finds no route without `x-forwarded-proto`, which
/// it has not set by then.
fn note_route<'c>(exchange: &mut Exchange<'c>, live: &'c crate::shared::Live) {
    if !exchange.request.has(Known::XForwardedProto) {
        return;
    }
    let decision = on_request(&live.config, &exchange.http.manager, &exchange.request, exchange.random);
    exchange.virtual_host = decision.virtual_host;
    exchange.route = decision.route;
    if let Outcome::Forward(forwarding) = &decision.outcome {
        exchange.cluster = exchange.connection.worker.cluster(live, &forwarding.cluster_name);
    }
}

impl<'c> Exchange<'c> {
    /// An exchange in which nothing has happened, with a head that is no
    /// request's.
    pub fn nothing(
        connection: &'c Connection,
        http: &'c HttpChain,
        request: Head,
        body: Body,
    ) -> Exchange<'c> {
        Exchange::new(connection, http, request, body)
    }

    fn new(connection: &'c Connection, http: &'c HttpChain, request: Head, body: Body) -> Exchange<'c> {
        let started = Instant::now();
        let wants_close = request.has(Known::Connection) && request.lists(Known::Connection, "close");
        let stays_open = !request.is_http_10 || request.lists(Known::Connection, "keep-alive");
        Exchange {
            connection,
            http,
            started,
            started_at: SystemTime::now(),
            random: fastrand::u64(..),
            request_head_size: 0,
            expects_continue: false,
            informed: false,
            upgrade: None,
            tunnel: None,
            keep_alive: stays_open && !wants_close,
            remote: connection.peer,
            is_internal: false,
            told: Told::default(),
            peer: PeerId::UNKNOWN,
            virtual_host: None,
            route: None,
            cluster_name: None,
            cluster: None,
            host: None,
            upstream_local: None,
            upstream_tls: None,
            attempts: 0,
            transport_failure: String::new(),
            response: None,
            response_trailers: None,
            status: 0,
            flags: Flags::default(),
            details: Cow::Borrowed(""),
            answered_here: false,
            sent: 0,
            response_head_size: 0,
            first_byte: None,
            request_done: body.is_done().then_some(started),
            grpc_status: None,
            response_messages: 0,
            priority: Priority::Normal,
            cookies: SmallVec::new(),
            request,
            body,
        }
    }

    /// The client went away before it had everything.
    pub fn client_left(&mut self, departure: Departure) {
        let (flag, details) = match departure {
            Departure::Connection => (Flag::DownstreamConnectionTermination, "downstream_remote_disconnect"),
            Departure::Stream => (Flag::DownstreamRemoteReset, "http2.remote_reset"),
            Departure::Refused => (Flag::DownstreamRemoteReset, "http2.remote_refuse"),
        };
        self.flags.set(flag);
        self.details = details.into();
    }

    /// Whether the response must end the connection.
    pub fn must_close(&self) -> bool {
        let pressure = self.connection.worker.shared.overload.pressure();
        !self.keep_alive
            || !self.body.is_done()
            || self.connection.is_draining()
            || pressure >= Pressure::EndConnections
    }

    /// What follows the head may belong to another protocol.
    pub fn is_tunnel(&self) -> bool {
        self.upgrade.is_some() || self.tunnel.is_some()
    }

    /// The request is one for the head only.
    pub fn is_head_request(&self) -> bool {
        self.request.method() == "HEAD"
    }
}
