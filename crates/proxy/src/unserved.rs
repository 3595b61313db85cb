//! Connections that no filter chain takes, or whose handshake failed: a line in the listener's own access
//! log, and nothing else.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use routing::access_log::{LogFacts, Moment};
use routing::listener::Listener;
use telemetry::access_log::Record;

use crate::flags::Flag;
use crate::worker::Worker;

/// A connection without a filter chain.
#[derive(Debug)]
pub struct Unserved<'u> {
    /// The listener that has no chain for it.
    pub listener: &'u Listener,
    /// When it came.
    pub started_at: SystemTime,
    /// Where it wanted to go.
    pub local: SocketAddr,
    /// Where it arrived.
    pub accepted_at: SocketAddr,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// The server name of TLS.
    pub server_name: &'u str,
    /// Why it was not served, when there was a chain.
    pub failure: Option<&'u str>,
}

impl Unserved<'_> {
    fn flags(&self) -> &'static str {
        if self.failure.is_some() { "-" } else { Flag::NoRoute.short() }
    }

    /// Writes the listener's access logs. Such connections are rare enough for
    /// formats to be compiled when they come.
    pub fn log(&self, worker: &Worker) {
        let facts = LogFacts {
            status: 0,
            duration: 0,
            flags: self.flags(),
            random: fastrand::u64(..),
            moment: Moment::ConnectionEnd,
        };
        for log in &worker.logs.compile(&self.listener.access_log) {
            log.write(self, &facts);
        }
    }
}

impl Record for Unserved<'_> {
    fn start_time(&self) -> SystemTime {
        self.started_at
    }

    fn response_flags(&self) -> Option<&str> {
        Some(self.flags())
    }

    fn response_code_details(&self) -> Option<&str> {
        self.failure.is_none().then_some("filter_chain_not_found")
    }

    fn downstream_transport_failure_reason(&self) -> Option<&str> {
        self.failure
    }

    fn duration(&self) -> Option<Duration> {
        self.started_at.elapsed().ok()
    }

    fn downstream_local_address(&self) -> Option<SocketAddr> {
        Some(self.local)
    }

    fn downstream_remote_address(&self) -> Option<SocketAddr> {
        Some(self.peer)
    }

    fn downstream_direct_remote_address(&self) -> Option<SocketAddr> {
        Some(self.peer)
    }

    fn downstream_direct_local_address(&self) -> Option<SocketAddr> {
        Some(self.accepted_at)
    }

    fn requested_server_name(&self) -> Option<&str> {
        (!self.server_name.is_empty()).then_some(self.server_name)
    }

    fn metadata(&self, owner: &str, namespace: &str, key: &str) -> Option<&str> {
        let origin = self.listener.origin.as_ref().filter(|_| matches!(owner, "LISTENER" | "DYNAMIC"))?;
        match (namespace, key) {
            ("lateen", "object") | ("istio", "config") => Some(&origin.object),
            ("lateen", "path") => (!origin.path.is_empty()).then_some(&origin.path),
            _ => None,
        }
    }
}
