//! Connections that go to a cluster as they are.

mod pump;
mod record;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use routing::access_log::{LogFacts, Moment};
use tokio::time::Instant;

use crate::alarm::{Alarm, earlier};
use crate::buffer::Buffer;
use crate::chain::{Kind, TcpChain};
use crate::flags::{Flag, Flags};
use crate::http::connection::Connection;
use crate::identities::{PeerId, ServiceId};
use crate::report::TcpKey;
use crate::stream::Stream;
use crate::tls::certificate::TlsFacts;
use crate::upstream::connect::{Announced, ConnectError, Purpose, Speaks};
use crate::upstream::host::{Host, Upstream};
use crate::upstream::vitals::Outcome;
use crate::upstream::{ClusterState, Wish, pool};
use pump::Pump;
use record::TcpRecord;

/// How often long connections report how much they moved.
const REPORT: Duration = Duration::from_secs(15);

/// A connection and what happened to it.
#[derive(Debug)]
struct Session {
    started: Instant,
    started_at: SystemTime,
    server_name: String,
    cluster: Option<Rc<ClusterState>>,
    host: Option<Rc<Host>>,
    upstream_local: Option<SocketAddr>,
    upstream_tls: Option<Rc<TlsFacts>>,
    attempts: u32,
    flags: Flags,
    transport_failure: String,
    /// From the client.
    received: u64,
    /// To the client.
    sent: u64,
    reported: (u64, u64),
}

/// Serves a connection to its end.
pub async fn serve(connection: Connection, mut stream: Stream, input: Option<Buffer>, server_name: String) {
    let Kind::Tcp(chain) = &connection.chain.kind else { return };
    let mut session = Session {
        started: Instant::now(),
        started_at: SystemTime::now(),
        server_name,
        cluster: None,
        host: None,
        upstream_local: None,
        upstream_tls: None,
        attempts: 0,
        flags: Flags::default(),
        transport_failure: String::new(),
        received: 0,
        sent: 0,
        reported: (0, 0),
    };
    if let Some(mut upstream) = open(&mut session, &connection, chain).await {
        count_opened(&session, &connection, chain);
        pump(&mut session, &connection, chain, &mut stream, input, &mut upstream).await;
        if let Some(cluster) = &session.cluster {
            cluster.stats.closed(1);
        }
    } else {
        count_opened(&session, &connection, chain);
    }
    finish(&mut session, &connection, chain);
}

/// The connection to the cluster's endpoint.
async fn open(session: &mut Session, connection: &Connection, chain: &TcpChain) -> Option<Upstream> {
    let worker = &connection.worker;
    let live = worker.live();
    let name = chain.proxy.cluster(fastrand::u64(..))?;
    let Some(cluster) = worker.cluster(&live, name) else {
        session.flags.set(Flag::NoClusterFound);
        return None;
    };
    session.cluster = Some(cluster.clone());
    for _ in 0..chain.proxy.max_connect_attempts {
        let Some(host) = cluster.choose(|| connection.original_destination(), &Wish::default()) else {
            session.flags.set(Flag::NoHealthyUpstream);
            cluster.stats.cx_none_healthy.increment();
            return None;
        };
        session.attempts += 1;
        session.host = Some(host.clone());
        let Some(slot) = pool::slot_within_limits(&cluster, &host) else {
            session.flags.set(Flag::UpstreamOverflow);
            return None;
        };
        match pool::dial(worker, &cluster, &host, slot, &purpose(connection, &cluster)).await {
            Ok(upstream) => {
                cluster.note(&host, Outcome::Served);
                session.upstream_local = Some(upstream.local);
                session.upstream_tls = upstream.stream.tls().map(|stream| stream.facts.clone());
                session.transport_failure.clear();
                return Some(upstream);
            }
            Err(error) => {
                let outcome = match error {
                    ConnectError::Timeout => Outcome::TimedOut,
                    _ => Outcome::Broken,
                };
                cluster.note(&host, outcome);
                session.transport_failure = error.reason().replace(' ', "_");
            }
        }
    }
    session.flags.set(Flag::UpstreamConnectionFailure);
    session.flags.set(Flag::UpstreamRetryLimitExceeded);
    None
}

fn purpose(connection: &Connection, cluster: &ClusterState) -> Purpose<'static> {
    Purpose {
        speaks: Speaks::Bytes,
        alpn: None,
        announced: cluster.cluster.proxy_protocol.map(|version| Announced {
            version,
            source: connection.peer,
            destination: connection.local,
        }),
    }
}

/// Moves bytes in both directions until both have ended, one has failed, or
/// nothing moved for too long.
async fn pump(
    session: &mut Session,
    connection: &Connection,
    chain: &TcpChain,
    stream: &mut Stream,
    input: Option<Buffer>,
    upstream: &mut Upstream,
) {
    let pool = &connection.worker.buffers;
    let (mut from_client, mut to_client) = stream.split();
    let (mut from_server, mut to_server) = upstream.stream.split();
    let mut up = Pump::new(input);
    let mut down = Pump::new(None);
    let mut alarm = Alarm::default();
    let mut moved_at = session.started;
    let mut report_at = session.started + REPORT;
    let end = chain.proxy.max_duration.map(|limit| session.started + limit);
    let went_well = poll_fn(|context| {
        let before = (up.moved(), down.moved());
        let up_done = up.poll(&mut from_client, &mut to_server, pool, context);
        let down_done = down.poll(&mut from_server, &mut to_client, pool, context);
        (session.received, session.sent) = (up.moved(), down.moved());
        match (up_done, down_done) {
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(true),
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => return Poll::Ready(false),
            _ => {}
        }
        let now = Instant::now();
        if before != (session.received, session.sent) {
            moved_at = now;
        }
        let idle = chain.proxy.idle_timeout.map(|limit| moved_at + limit);
        let over = earlier(idle, end);
        while alarm.poll(earlier(over, Some(report_at)), context).is_ready() {
            let now = Instant::now();
            if over.is_some_and(|over| over <= now) {
                if end.is_some_and(|end| end <= now) {
                    session.flags.set(Flag::MaxDurationTimeout);
                }
                return Poll::Ready(true);
            }
            report(session, connection, chain);
            report_at = Instant::now() + REPORT;
        }
        Poll::Pending
    })
    .await;
    up.release(pool);
    down.release(pool);
    if !went_well {
        stream.abandon();
        upstream.stream.abandon();
    }
}

fn key(session: &Session, connection: &Connection, chain: &TcpChain) -> Option<TcpKey> {
    let reporting = chain.reporting.as_ref()?;
    let of_cluster = session.cluster.as_ref().map_or(ServiceId::UNKNOWN, |cluster| cluster.service);
    let name = session.cluster.as_ref().map(|cluster| cluster.cluster.name.clone());
    let service = reporting.service(&connection.worker, of_cluster, name.as_deref(), None, "");
    let peer = match &session.host {
        Some(host) if !chain.is_inbound => host.peer,
        _ => PeerId::UNKNOWN,
    };
    let link = connection.worker.identities.link(match chain.is_inbound {
        true => connection.tls.as_deref(),
        false => session.upstream_tls.as_deref(),
    });
    Some(TcpKey { peer, service, flags: Flags::default(), link })
}

fn count_opened(session: &Session, connection: &Connection, chain: &TcpChain) {
    if let (Some(key), Some(reporting)) = (key(session, connection, chain), &chain.reporting) {
        reporting.connections(&connection.worker, &key).opened.increment();
    }
}

/// Reports what was moved since the last time.
fn report(session: &mut Session, connection: &Connection, chain: &TcpChain) {
    if let (Some(key), Some(reporting)) = (key(session, connection, chain), &chain.reporting) {
        let metrics = reporting.connections(&connection.worker, &key);
        metrics.received.add(session.received - session.reported.0);
        metrics.sent.add(session.sent - session.reported.1);
        session.reported = (session.received, session.sent);
    }
}

fn finish(session: &mut Session, connection: &Connection, chain: &TcpChain) {
    report(session, connection, chain);
    if let (Some(mut key), Some(reporting)) = (key(session, connection, chain), &chain.reporting) {
        key.flags = session.flags.clone();
        reporting.connections(&connection.worker, &key).closed.increment();
    }
    if let Some(cluster) = &session.cluster {
        cluster.stats.cx_tx_bytes.add(session.received);
        cluster.stats.cx_rx_bytes.add(session.sent);
    }
    if chain.logs.is_empty() {
        return;
    }
    let flags = session.flags.text();
    let duration = session.started.elapsed();
    let facts = LogFacts {
        status: 0,
        duration: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        flags: &flags,
        random: fastrand::u64(..),
        moment: Moment::ConnectionEnd,
    };
    let record = TcpRecord { session, connection, flags: &flags, duration };
    for log in &chain.logs {
        log.write(&record, &facts);
    }
}
