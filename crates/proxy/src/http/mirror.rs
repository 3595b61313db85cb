//! Copies of requests that go to other clusters.
//!
//! Nobody waits for them and nobody sees their answers. A copy is made when
//! the whole request is there; one whose body was too large to be kept is not
//! made. Their number is bounded. They travel as HTTP/1.1, but to a cluster
//! that speaks HTTP/2 alone.

mod streams;

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use routing::cluster::Protocol;
use routing::decision::Forwarding;
use routing::route::Priority;
use smallvec::SmallVec;

use crate::buffer::Buffer;
use crate::http::exchange::Exchange;
use crate::http::upstream_head::empty_body_line;
use crate::http1::chunk::{ChunkReader, LAST_CHUNK, Step, write_chunk};
use crate::http1::framing::{Framing, of_response};
use crate::http1::head::Head;
use crate::http1::known::Known;
use crate::http1::parse::{self, Limits};
use crate::io::{poll_fill, write_all};
use crate::shared::Live;
use crate::stream::Stream;
use crate::upstream::connect::{Purpose, Speaks};
use crate::upstream::host::{Host, Upstream};
use crate::upstream::protection::Resource;
use crate::upstream::vitals::Outcome;
use crate::upstream::{ClusterState, Wish, pool};
use crate::worker::Worker;

/// So many copies may be under way on one worker.
const MOST: u32 = 1024;
/// How long a copy may take where the route sets no limit.
const LONGEST: Duration = Duration::from_secs(60);
const RESPONSE_LIMITS: Limits = Limits { max_head: 60 << 10, max_headers: 100, http_10: true };

/// Copies that wait for the request to be complete.
#[derive(Debug, Default)]
pub struct Copies {
    list: SmallVec<[Copy; 1]>,
}

#[derive(Debug)]
struct Copy {
    cluster: Rc<ClusterState>,
    keeps_host: bool,
    /// The head without the empty line, once it is written.
    head: Vec<u8>,
    is_head_request: bool,
    timeout: Duration,
}

/// Counts the copies under way on a worker.
#[derive(Debug, Default)]
pub struct Running(Cell<u32>);

/// Draws which copies are made of a request.
pub fn draw(exchange: &Exchange<'_>, forwarding: &Forwarding<'_>, live: &Live) -> Copies {
    let mut copies = Copies::default();
    for mirror in &forwarding.options.mirrors {
        if !mirror.share.happens(fastrand::u64(..)) {
            continue;
        }
        let worker = &exchange.connection.worker;
        let Some(cluster) = worker.cluster(live, &mirror.cluster) else { continue };
        if worker.mirrors.0.get() >= MOST {
            cluster.stats.rare("upstream_rq_shadow_dropped").increment();
            continue;
        }
        copies.list.push(Copy {
            cluster,
            keeps_host: mirror.keeps_host,
            head: Vec::new(),
            is_head_request: exchange.is_head_request(),
            timeout: forwarding.timeout.unwrap_or(LONGEST),
        });
    }
    copies
}

/// The request's head under another name, so that logs can tell, and said to
/// come from here.
fn head(request: &mut Head, keeps_host: bool, own_address: &str) -> Vec<u8> {
    let host = request.authority().to_owned();
    let forwarded = request.get(Known::XForwardedFor).map(<[u8]>::to_vec);
    let mut hops = forwarded.clone().unwrap_or_default();
    if !hops.is_empty() {
        hops.push(b',');
    }
    hops.extend_from_slice(own_address.as_bytes());
    request.set_known(Known::XForwardedFor, &hops);
    let internal = request.get(Known::XEnvoyInternal).map(<[u8]>::to_vec);
    if !keeps_host {
        request.set_authority(&shadowed(&host));
    }
    request.set_known(Known::XEnvoyInternal, b"true");
    let mut bytes = Vec::with_capacity(512);
    request.write_request(&mut bytes);
    request.set_authority(&host);
    restore(request, Known::XEnvoyInternal, internal);
    restore(request, Known::XForwardedFor, forwarded);
    bytes
}

fn restore(request: &mut Head, name: Known, value: Option<Vec<u8>>) {
    match value {
        Some(value) => request.set_known(name, &value),
        None => {
            request.remove(name);
        }
    }
}

fn shadowed(host: &str) -> String {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{name}-shadow:{port}")
        }
        _ => format!("{host}-shadow"),
    }
}

impl Copies {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Writes the copies' heads: the request's is as the upstream gets it.
    pub fn write(&mut self, exchange: &mut Exchange<'_>) {
        if self.list.is_empty() {
            return;
        }
        let worker = exchange.connection.worker.clone();
        let empty = empty_body_line(exchange);
        let own_address = worker.shared.identity.node_id().split('~').nth(1).unwrap_or_default();
        for copy in &mut self.list {
            copy.head = head(&mut exchange.request, copy.keeps_host, own_address);
            copy.head.extend_from_slice(empty);
        }
    }

    /// Sends the copies off if the request has come whole.
    pub fn send(&mut self, exchange: &Exchange<'_>) {
        let unwritten = self.list.iter().any(|copy| copy.head.is_empty());
        if self.list.is_empty() || unwritten || !exchange.body.is_done() {
            return;
        }
        let worker = &exchange.connection.worker;
        let body = exchange.body.replay();
        for copy in self.list.drain(..) {
            let Some(body) = body else {
                copy.cluster.stats.rare("upstream_rq_shadow_dropped").increment();
                continue;
            };
            let parcel = Parcel::new(&copy, exchange.body.framing(), body);
            let (cluster, timeout) = (copy.cluster, copy.timeout);
            let worker = worker.clone();
            worker.mirrors.0.set(worker.mirrors.0.get() + 1);
            tokio::task::spawn_local(async move {
                // Nobody asks how it went.
                let _ = tokio::time::timeout(timeout, deliver(&worker, &cluster, parcel)).await;
                worker.mirrors.0.set(worker.mirrors.0.get().saturating_sub(1));
            });
        }
    }
}

/// A copy that is complete.
enum Parcel {
    /// All of it as bytes.
    Bytes { request: Vec<u8>, is_head_request: bool },
    /// For a stream: the head as bytes, and the body.
    Stream { head: Vec<u8>, body: Bytes },
}

impl Parcel {
    fn new(copy: &Copy, framing: Framing, body: &[u8]) -> Parcel {
        let mut head = Vec::with_capacity(copy.head.len() + body.len() + 32);
        head.extend_from_slice(&copy.head);
        head.extend_from_slice(b"\r\n");
        if copy.cluster.cluster.protocol == Protocol::Http2 {
            return Parcel::Stream { head, body: Bytes::copy_from_slice(body) };
        }
        match framing {
            Framing::Chunked => {
                if !body.is_empty() {
                    write_chunk(body, &mut head);
                }
                head.extend_from_slice(LAST_CHUNK);
            }
            _ => head.extend_from_slice(body),
        }
        Parcel::Bytes { request: head, is_head_request: copy.is_head_request }
    }
}

/// Sends a request and reads its answer to the end.
async fn deliver(worker: &Rc<Worker>, cluster: &ClusterState, parcel: Parcel) -> Option<()> {
    let _permit = cluster.admit(Priority::Normal, Resource::Request)?;
    let host = cluster.choose(|| None, &Wish::default())?;
    cluster.stats.rq_total.increment();
    cluster.stats.rare("upstream_rq_shadow_total").increment();
    host.vitals.rq_total.fetch_add(1, Ordering::Relaxed);
    let answered = match parcel {
        Parcel::Bytes { request, is_head_request } => {
            over_bytes(worker, cluster, &host, &request, is_head_request).await
        }
        Parcel::Stream { head, body } => streams::converse(worker, cluster, &host, &head, body).await,
    };
    if let Some(status) = answered {
        cluster.stats.answered(status);
    }
    cluster.note(&host, answered.map_or(Outcome::Broken, Outcome::Answered));
    Some(())
}

/// Sends a request on a connection of its own and gives that back; the status.
async fn over_bytes(
    worker: &Rc<Worker>,
    cluster: &ClusterState,
    host: &Rc<Host>,
    request: &[u8],
    is_head: bool,
) -> Option<u16> {
    let mut upstream = connection(worker, cluster, host).await?;
    let answered = converse(worker, &mut upstream.stream, request, is_head).await;
    let Some((status, reusable)) = answered else {
        cluster.stats.closed(1);
        return None;
    };
    upstream.served += 1;
    let is_worn = cluster.is_worn(&upstream);
    if !reusable || is_worn || !host.keep(upstream, tokio::time::Instant::now()) {
        cluster.stats.closed(1);
    }
    Some(status)
}

async fn connection(worker: &Worker, cluster: &ClusterState, host: &Rc<Host>) -> Option<Upstream> {
    let (idle, closed) = host.take_idle(None);
    cluster.stats.closed(closed);
    if idle.is_some() {
        return idle;
    }
    let purpose = Purpose { speaks: Speaks::Http1, alpn: None, announced: None };
    let opened = pool::open(worker, cluster, host, Priority::Normal, &purpose).await;
    opened.ok().map(|(upstream, _)| upstream)
}

/// The status, and whether the connection can be used again.
async fn converse(
    worker: &Worker,
    stream: &mut Stream,
    request: &[u8],
    is_head: bool,
) -> Option<(u16, bool)> {
    let (mut reader, mut writer) = stream.split();
    write_all(&mut writer, request).await.ok()?;
    let mut input: Option<Buffer> = None;
    let mut fill = async |input: &mut Option<Buffer>| {
        poll_fn(|context| poll_fill(&mut reader, input, &worker.buffers, false, context)).await.ok()
    };
    let head = loop {
        if let Some(buffer) = input.as_mut().filter(|buffer| !buffer.is_empty()) {
            match parse::response(buffer.filled(), worker.take_fields(), &RESPONSE_LIMITS).ok()? {
                Some((length, parts)) if parts.status < 200 => {
                    buffer.consume(length);
                    continue;
                }
                Some((length, parts)) => {
                    let block = buffer.filled()[..length].to_vec();
                    buffer.consume(length);
                    break Head::new(block, length, parts);
                }
                None => {
                    buffer.grow(RESPONSE_LIMITS.max_head);
                }
            }
        }
        if fill(&mut input).await? == 0 {
            return None;
        }
    };
    let framing = of_response(&head, head.status, is_head, head.is_http_10).ok()?;
    let reusable = !head.is_http_10 && !head.lists(Known::Connection, "close");
    let status = head.status;
    let mut rest = Rest::new(framing);
    loop {
        if let Some(buffer) = input.as_mut() {
            rest.take(buffer)?;
        }
        if rest.is_done() {
            break;
        }
        if fill(&mut input).await? == 0 {
            return matches!(framing, Framing::UntilClose).then_some((status, false));
        }
    }
    let left_over = input.is_some_and(|buffer| {
        let left = !buffer.is_empty();
        worker.buffers.give(buffer);
        left
    });
    Some((status, reusable && !left_over))
}

/// A body that nobody reads.
enum Rest {
    Left(u64),
    Chunks(ChunkReader),
    UntilClose,
}

impl Rest {
    fn new(framing: Framing) -> Rest {
        match framing {
            Framing::None => Rest::Left(0),
            Framing::Length(length) => Rest::Left(length),
            Framing::Chunked => Rest::Chunks(ChunkReader::default()),
            Framing::UntilClose => Rest::UntilClose,
        }
    }

    fn is_done(&self) -> bool {
        matches!(self, Rest::Left(0))
    }

    fn take(&mut self, buffer: &mut Buffer) -> Option<()> {
        match self {
            Rest::Left(left) => {
                let taken = usize::try_from(*left).map_or(buffer.len(), |left| left.min(buffer.len()));
                buffer.consume(taken);
                *left -= taken as u64;
            }
            Rest::UntilClose => buffer.consume(buffer.len()),
            Rest::Chunks(chunks) => loop {
                match chunks.step(buffer.filled()).ok()? {
                    Step::More { skip } => {
                        buffer.consume(skip);
                        break;
                    }
                    Step::Data { skip, length } => buffer.consume(skip + length),
                    Step::End { skip } => {
                        buffer.consume(skip);
                        *self = Rest::Left(0);
                        break;
                    }
                }
            },
        }
        Some(())
    }
}
