//! A connection as access logs see it.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use telemetry::access_log::{Fact, Record, Side};

use super::Session;
use crate::http::connection::Connection;

/// A finished connection.
pub(super) struct TcpRecord<'s> {
    pub(super) session: &'s Session,
    pub(super) connection: &'s Connection,
    pub(super) flags: &'s str,
    pub(super) duration: Duration,
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

impl Record for TcpRecord<'_> {
    fn start_time(&self) -> SystemTime {
        self.session.started_at
    }

    fn response_flags(&self) -> Option<&str> {
        Some(self.flags)
    }

    fn upstream_transport_failure_reason(&self) -> Option<&str> {
        some(&self.session.transport_failure)
    }

    fn tls(&self, side: Side, fact: Fact) -> Option<Cow<'_, str>> {
        let facts = match side {
            Side::Downstream => self.connection.tls.as_deref(),
            Side::Upstream => self.session.upstream_tls.as_deref(),
        };
        facts?.tell(fact)
    }

    fn bytes_received(&self) -> u64 {
        self.session.received
    }

    fn bytes_sent(&self) -> u64 {
        self.session.sent
    }

    fn duration(&self) -> Option<Duration> {
        Some(self.duration)
    }

    fn upstream_host(&self) -> Option<SocketAddr> {
        self.session.host.as_ref().map(|host| host.address)
    }

    fn upstream_local_address(&self) -> Option<SocketAddr> {
        self.session.upstream_local
    }

    fn upstream_cluster(&self) -> Option<&str> {
        Some(&self.session.cluster.as_ref()?.cluster.stat_name)
    }

    fn upstream_cluster_raw(&self) -> Option<&str> {
        Some(&self.session.cluster.as_ref()?.cluster.name)
    }

    fn downstream_local_address(&self) -> Option<SocketAddr> {
        Some(self.connection.local)
    }

    fn downstream_remote_address(&self) -> Option<SocketAddr> {
        Some(self.connection.peer)
    }

    fn downstream_direct_remote_address(&self) -> Option<SocketAddr> {
        Some(self.connection.peer)
    }

    fn requested_server_name(&self) -> Option<&str> {
        some(&self.session.server_name)
    }

    fn attempt_count(&self) -> u32 {
        self.session.attempts
    }

    fn metadata(&self, owner: &str, namespace: &str, key: &str) -> Option<&str> {
        let origin = match owner {
            "CLUSTER" => self.session.cluster.as_ref()?.cluster.origin.as_ref(),
            "LISTENER_FILTER_CHAIN" => self.connection.chain.config.origin.as_ref(),
            "LISTENER" => self.connection.listener.origin.as_ref(),
            _ => None,
        }?;
        match (namespace, key) {
            ("lateen", "object") | ("istio", "config") => Some(&origin.object),
            ("lateen", "path") => some(&origin.path),
            _ => None,
        }
    }

    fn filter_chain_name(&self) -> Option<&str> {
        some(&self.connection.chain.config.name)
    }

    fn log_type(&self) -> &'static str {
        "TcpConnectionEnd"
    }

    fn downstream_direct_local_address(&self) -> Option<SocketAddr> {
        Some(self.connection.accepted_at)
    }
}
