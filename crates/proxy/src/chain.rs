//! A filter chain in use by a worker: its compiled logs, counters and metric
//! series beside its configuration.

use std::cell::Cell;
use std::sync::Arc;

use routing::filter_chain::{FilterChain, Terminal};
use routing::hcm::HttpConnectionManager;
use routing::listener::{Direction, Listener};
use routing::tcp_proxy::TcpProxy;
use routing::tls::Transport;
use tokio::sync::Notify;

use crate::connection_limits::Limit;
use crate::logs::Log;
use crate::report::Reporting;
use crate::stats::HttpStats;
use crate::tls::stats::{Owner, TlsStats};
use crate::worker::Worker;

/// A filter chain in use by a worker.
#[derive(Debug)]
pub struct Chain {
    /// Its configuration, which keeps its address while this lives.
    pub config: Arc<FilterChain>,
    /// Whether the configuration still has it.
    pub current: Cell<bool>,
    /// It no longer has it.
    pub gone: Notify,
    /// How many connections it may have.
    pub limit: Option<Limit>,
    /// What it does.
    pub kind: Kind,
    /// What is counted about TLS.
    pub tls: Option<TlsStats>,
}

/// What a chain does.
#[derive(Debug)]
pub enum Kind {
    /// HTTP.
    Http(Box<HttpChain>),
    /// Bytes to a cluster.
    Tcp(Box<TcpChain>),
    /// The connection is closed.
    Close,
}

/// HTTP on a chain.
#[derive(Debug)]
pub struct HttpChain {
    /// The configuration.
    pub manager: Arc<HttpConnectionManager>,
    /// Towards the workload.
    pub is_inbound: bool,
    /// The access logs.
    pub logs: Box<[Log]>,
    /// Envoy's counters.
    pub stats: HttpStats,
    /// Istio's metrics.
    pub reporting: Option<Reporting>,
}

/// Bytes on a chain.
#[derive(Debug)]
pub struct TcpChain {
    /// The configuration.
    pub proxy: Arc<TcpProxy>,
    /// Towards the workload.
    pub is_inbound: bool,
    /// The access logs.
    pub logs: Box<[Log]>,
    /// Istio's metrics.
    pub reporting: Option<Reporting>,
}

impl Chain {
    /// Makes what the configuration describes.
    pub fn new(worker: &Worker, listener: &Listener, config: &Arc<FilterChain>) -> Chain {
        let is_inbound = listener.direction == Direction::Inbound;
        let reporting = |stats: Option<&_>| stats.map(|stats| Reporting::new(stats, is_inbound));
        let kind = match &config.terminal {
            Terminal::Http(manager) => Kind::Http(Box::new(HttpChain {
                manager: manager.clone(),
                is_inbound,
                logs: worker.logs.compile(&manager.access_log),
                stats: HttpStats::new(&worker.shared.registry, &manager.stat_prefix),
                reporting: reporting(manager.filters.stats.as_ref()),
            })),
            Terminal::Tcp(proxy) => Kind::Tcp(Box::new(TcpChain {
                proxy: proxy.clone(),
                is_inbound,
                logs: worker.logs.compile(&proxy.access_log),
                reporting: reporting(config.stats.as_ref()),
            })),
            Terminal::Close => Kind::Close,
        };
        Chain {
            config: config.clone(),
            current: Cell::new(true),
            gone: Notify::new(),
            limit: Limit::new(
                &worker.shared.connection_limits,
                &worker.shared.registry,
                &listener.name,
                config,
            ),
            kind,
            tls: matches!(config.transport, Transport::Tls(_))
                .then(|| TlsStats::new(&worker.shared.registry, Owner::Listener(listener))),
        }
    }
}
