//! One endpoint as a worker sees it, with its idle connections.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use routing::istio::AlpnOverride;
use routing::tls::{ClientTls, Transport};
use tokio::time::Instant;

use crate::http2::client::Pool;
use crate::identities::PeerId;
use crate::io::is_quiet;
use crate::stream::Stream;
use crate::upstream::pool::{Queue, Slot};
use crate::upstream::vitals::Vitals;

/// One endpoint.
#[derive(Debug)]
pub struct Host {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its host name, if it has one.
    pub hostname: Box<str>,
    /// The workload behind it.
    pub peer: PeerId,
    /// How bytes travel to it.
    pub transport: Transport<ClientTls>,
    /// When it became known.
    pub since: Instant,
    /// How many requests it is serving for this worker.
    pub active: Cell<u32>,
    /// Used last are taken first, so that surplus ones grow old.
    idle: RefCell<Vec<Idle>>,
    retired: Cell<bool>,
    /// Zero is the first choice.
    pub priority: u32,
    /// What all workers know of it.
    pub vitals: Arc<Vitals>,
    /// Requests that wait for one of its connections.
    pub queue: Rc<Queue>,
    /// Connections that many requests share.
    pub http2: Pool,
}

/// A connection to a host.
#[derive(Debug)]
pub struct Upstream {
    /// The bytes.
    pub stream: Stream,
    /// The application protocols that were asked for in place of the
    /// cluster's.
    pub alpn: Option<Arc<AlpnOverride>>,
    /// Our own address.
    pub local: SocketAddr,
    /// How many requests it has served.
    pub served: u32,
    /// When it was made.
    pub opened: Instant,
    /// Its place among the connections of the cluster.
    pub slot: Option<Slot>,
}

#[derive(Debug)]
struct Idle {
    upstream: Upstream,
    since: Instant,
}

impl Host {
    /// A host without connections.
    pub fn new(
        address: SocketAddr,
        hostname: &str,
        peer: PeerId,
        transport: Transport<ClientTls>,
        vitals: Arc<Vitals>,
    ) -> Host {
        Host {
            address,
            hostname: hostname.into(),
            peer,
            transport,
            since: Instant::now(),
            active: Cell::new(0),
            idle: RefCell::default(),
            retired: Cell::new(false),
            priority: 0,
            vitals,
            queue: Rc::default(),
            http2: Pool::default(),
        }
    }

    /// An idle connection that can still be used, and how many turned out
    /// to be closed. Where application protocols are asked for, it is one
    /// that asked for the same.
    pub fn take_idle(&self, alpn: Option<&Arc<AlpnOverride>>) -> (Option<Upstream>, u64) {
        let mut closed = 0;
        let mut idle = self.idle.borrow_mut();
        let mut from = idle.len();
        while let Some(at) = idle[..from].iter().rposition(|idle| idle.upstream.alpn.as_ref() == alpn) {
            let Idle { upstream, .. } = idle.remove(at);
            if is_quiet(&upstream.stream) {
                return (Some(upstream), closed);
            }
            closed += 1;
            from = at;
        }
        (None, closed)
    }

    /// Keeps a connection for later. False when it was closed instead.
    pub fn keep(&self, upstream: Upstream, now: Instant) -> bool {
        if self.retired.get() {
            return false;
        }
        let Some(upstream) = self.queue.offer(upstream) else { return true };
        self.idle.borrow_mut().push(Idle { upstream, since: now });
        true
    }

    /// Whether there are idle connections.
    pub fn has_idle(&self) -> bool {
        !self.idle.borrow().is_empty() || !self.http2.is_empty()
    }

    /// How many idle connections there are.
    pub fn idle_count(&self) -> usize {
        self.idle.borrow().len()
    }

    /// The host is no longer of the cluster: connections are not kept.
    pub fn retire(&self) {
        self.retired.set(true);
        self.idle.borrow_mut().clear();
        self.http2.retire();
    }

    /// Closes connections that were idle for too long or that the peer
    /// closed; says how many.
    pub fn sweep(&self, now: Instant, limit: Duration) -> u64 {
        self.http2.sweep(now, limit);
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        idle.retain(|idle| now.duration_since(idle.since) < limit && is_quiet(&idle.upstream.stream));
        (before - idle.len()) as u64
    }
}
