//! What all threads of the proxy share: the configuration, the registry of
//! metrics, and whether the proxy is draining.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwap;
use routing::config::Config;
use telemetry::log_writer::LogWriter;
use telemetry::metrics::Registry;
use tokio::sync::Notify;

use crate::connection_limits::ConnectionLimits;
use crate::identity::Identity;
use crate::overload::Overload;
use crate::secrets::Secrets;
use crate::tls::contexts::Contexts;
use crate::upstream::protection::Protections;

/// Shared by all threads. On the path of a request nothing in it is locked;
/// written are only the counts of clusters and of connections.
#[derive(Debug)]
pub struct Shared {
    config: ArcSwap<Config>,
    generation: AtomicU64,
    draining: AtomicBool,
    /// Tasks that accept connections.
    accepting: AtomicUsize,
    retired: AtomicBool,
    /// Draining has begun.
    pub drained: Notify,
    tells_reasons: AtomicBool,
    /// Who this proxy is.
    pub identity: Identity,
    /// All metrics.
    pub registry: Registry,
    /// Where access logs are written.
    pub logs: LogWriter,
    /// The type of service of upstream connections, by which capture rules
    /// know them.
    pub upstream_tos: Option<u32>,
    /// What the process as a whole may take.
    pub overload: Overload,
    /// What workers share about clusters.
    pub protections: Protections,
    /// What workers share about limited filter chains.
    pub connection_limits: ConnectionLimits,
    /// Configurations of TLS, and the secrets in them.
    pub tls: Contexts,
    /// When the proxy started.
    pub started: Instant,
    /// The same as wall-clock time.
    pub started_at: SystemTime,
}

/// A configuration in use by a worker.
#[derive(Debug)]
pub struct Live {
    /// Grows with each configuration.
    pub generation: u64,
    /// The configuration.
    pub config: Arc<Config>,
}

impl Shared {
    /// With an empty configuration.
    pub fn new(
        identity: Identity,
        logs: LogWriter,
        upstream_tos: Option<u32>,
        memory_limit: Option<u64>,
        connection_limit: Option<u32>,
        secrets: Secrets,
    ) -> Shared {
        Shared {
            config: ArcSwap::default(),
            generation: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            accepting: AtomicUsize::new(0),
            retired: AtomicBool::new(false),
            drained: Notify::new(),
            tells_reasons: AtomicBool::new(identity.tells_reasons()),
            identity,
            registry: Registry::default(),
            logs,
            upstream_tos,
            overload: Overload::new(memory_limit, connection_limit),
            protections: Protections::default(),
            connection_limits: ConnectionLimits::default(),
            tls: Contexts::new(secrets),
            started: Instant::now(),
            started_at: SystemTime::now(),
        }
    }

    /// Puts a configuration into use: every request that begins after this
    /// call sees it.
    pub fn publish(&self, config: Config) {
        self.config.store(Arc::new(config));
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// The configuration in use.
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// The number of the configuration in use.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The configuration in use, with its number.
    pub fn live(&self) -> Rc<Live> {
        // The number first: then it is never newer than the configuration.
        let generation = self.generation();
        Rc::new(Live { generation, config: self.config() })
    }

    /// From now on connections are asked to close.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.drained.notify_waiters();
    }

    /// Whether responses of our own say why they are given.
    pub fn tells_reasons(&self) -> bool {
        self.tells_reasons.load(Ordering::Relaxed)
    }

    /// From now on responses of our own say why they are given, or do not.
    pub fn tell_reasons(&self, tell: bool) {
        self.tells_reasons.store(tell, Ordering::Relaxed);
    }

    /// A task accepts connections from now on.
    pub fn accept_began(&self) {
        self.accepting.fetch_add(1, Ordering::SeqCst);
    }

    /// A task accepts no more connections.
    pub fn accept_ended(&self) {
        self.accepting.fetch_sub(1, Ordering::SeqCst);
    }

    /// Another process listens: tasks are being told.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
    }

    /// Whether another process listens and no task of this one accepts.
    pub fn has_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst) && self.accepting.load(Ordering::SeqCst) == 0
    }

    /// Whether connections are asked to close.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}
