//! One thread of the data path, and everything that belongs to it alone.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use routing::filter_chain::FilterChain;
use routing::listener::Listener;
use tokio::time::Instant;

use crate::buffer::Pool;
use crate::chain::Chain;
use crate::http::mirror::Running;
use crate::http1::head::{Field, Head};
use crate::identities::Identities;
use crate::logs::Logs;
use crate::shared::{Live, Shared};
use crate::stats::ConnectionStats;
use crate::upstream::{ClusterState, Upstreams};

/// How often idle connections and caches are looked through.
const SWEEP: Duration = Duration::from_secs(1);
/// The least time between two lines of one kind in the log.
const SAY_AGAIN: Duration = Duration::from_secs(1);

/// A worker thread's state. It is never shared with another thread.
#[derive(Debug)]
pub struct Worker {
    /// What all threads share.
    pub shared: Arc<Shared>,
    /// Free buffers.
    pub buffers: Rc<Pool>,
    /// Clusters in use.
    pub upstreams: Upstreams,
    /// Peers and services as numbers.
    pub identities: Identities,
    /// Buffers of access logs.
    pub logs: Logs,
    /// What is counted about connections.
    pub stats: ConnectionStats,
    /// Copies of requests that are under way.
    pub mirrors: Running,
    live: RefCell<Rc<Live>>,
    chains: RefCell<HashMap<usize, Rc<Chain>, RandomState>>,
    fields: RefCell<Vec<Vec<Field>>>,
    date: RefCell<(u64, String)>,
    connections: Cell<u64>,
    said: Cell<Option<Instant>>,
}

impl Worker {
    /// The state of a new thread.
    pub fn new(shared: Arc<Shared>) -> Rc<Worker> {
        Rc::new(Worker {
            buffers: Rc::default(),
            upstreams: Upstreams::default(),
            identities: Identities::default(),
            logs: Logs::new(shared.logs.clone()),
            stats: ConnectionStats::new(&shared.registry),
            mirrors: Running::default(),
            live: RefCell::new(shared.live()),
            chains: RefCell::default(),
            fields: RefCell::default(),
            date: RefCell::default(),
            connections: Cell::new(0),
            said: Cell::new(None),
            shared,
        })
    }

    /// The configuration in use at this moment.
    pub fn live(&self) -> Rc<Live> {
        let current = self.live.borrow();
        if current.generation == self.shared.generation() {
            return current.clone();
        }
        drop(current);
        let live = self.shared.live();
        self.live.replace(live.clone());
        self.forget_chains(&live);
        live
    }

    /// Chains that the configuration no longer has ask their connections to
    /// close and are forgotten here.
    fn forget_chains(&self, live: &Live) {
        let listeners = live.config.listeners.active.values();
        let current: hashbrown::HashSet<usize, RandomState> =
            listeners.flat_map(|entry| entry.value.all_chains()).map(key).collect();
        self.chains.borrow_mut().retain(|key, chain| {
            let keep = current.contains(key);
            chain.current.set(keep);
            if !keep {
                chain.gone.notify_waiters();
            }
            keep
        });
    }

    /// What the worker knows about a filter chain.
    pub fn chain(self: &Rc<Self>, listener: &Listener, chain: &Arc<FilterChain>) -> Rc<Chain> {
        if let Some(known) = self.chains.borrow().get(&key(chain)) {
            return known.clone();
        }
        let made = Rc::new(Chain::new(self, listener, chain));
        self.chains.borrow_mut().insert(key(chain), made.clone());
        made
    }

    /// A cluster as the configuration has it now.
    pub fn cluster(&self, live: &Live, name: &str) -> Option<Rc<ClusterState>> {
        self.upstreams.find(name, live, &self.identities, &self.shared)
    }

    /// Memory for the list of a head's fields.
    pub fn take_fields(&self) -> Vec<Field> {
        self.fields.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(32))
    }

    /// Takes a head's memory back.
    pub fn give_head(&self, head: Head) {
        let (bytes, fields) = head.into_parts();
        self.buffers.give_block(bytes);
        let mut free = self.fields.borrow_mut();
        if fields.capacity() <= 128 && free.len() < 256 {
            free.push(fields);
        }
    }

    /// An empty response head.
    pub fn response(&self, status: u16) -> Head {
        let (block, _) = self.buffers.take().into_block();
        Head::response(block, self.take_fields(), status)
    }

    /// Lends the value of a `date` header.
    pub fn with_date(&self, time: SystemTime, use_it: impl FnOnce(&str)) {
        let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut date = self.date.borrow_mut();
        if date.0 != seconds {
            let timestamp = jiff::Timestamp::try_from(time).unwrap_or_default();
            let zoned = timestamp.to_zoned(jiff::tz::TimeZone::UTC);
            *date = (seconds, zoned.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
        }
        use_it(&date.1);
    }

    /// A connection begins.
    pub fn connection_opened(&self) {
        self.connections.set(self.connections.get() + 1);
        self.stats.accepted.increment();
        self.stats.active.add(1);
    }

    /// A connection ended.
    pub fn connection_closed(&self) {
        self.connections.set(self.connections.get().saturating_sub(1));
        self.stats.active.add(-1);
    }

    /// A client's handshake failed. Said seldom: who attacks shall not fill
    /// the log.
    pub fn turned_away(&self, listener: &str, peer: SocketAddr, reason: &str) {
        if self.said.get().is_none_or(|last| last.elapsed() >= SAY_AGAIN) {
            self.said.set(Some(Instant::now()));
            tracing::info!("listener `{listener}`: {peer} was turned away: {reason}");
        }
    }

    /// Looks through idle connections for ever.
    pub async fn sweep(self: Rc<Self>) {
        let mut ticks = tokio::time::interval(SWEEP);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let live = self.live();
            self.upstreams.sweep(&live, Instant::now());
            if self.connections.get() == 0 {
                self.buffers.shrink();
            }
        }
    }
}

fn key(chain: &Arc<FilterChain>) -> usize {
    Arc::as_ptr(chain) as usize
}
