//! What the control plane counts, under istiod's names.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use translation::snapshot::Change;
use xds::subscription::server::Reply;
use xds::type_url::{CLUSTER, ENDPOINT, LISTENER, ROUTE};

/// Counters since the start.
#[derive(Default)]
pub(crate) struct Metrics {
    pushes: [AtomicU64; 5],
    rejections: AtomicU64,
    changes: AtomicU64,
}

/// The label of each push counter.
const PUSH_TYPES: [&str; 5] = ["cds", "eds", "lds", "rds", "other"];

impl Metrics {
    /// Counts one reply to a proxy.
    pub(crate) fn count_push(&self, reply: &Reply) {
        let type_url = match reply {
            Reply::StateOfTheWorld(reply) => &reply.type_url,
            Reply::Delta(reply) => &reply.type_url,
        };
        let index =
            [CLUSTER, ENDPOINT, LISTENER, ROUTE].iter().position(|known| known == type_url).unwrap_or(4);
        self.pushes[index].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one resource that a proxy refused.
    pub(crate) fn count_rejection(&self) {
        self.rejections.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts changes of the mesh's objects.
    pub(crate) fn count_changes(&self, changes: &[Change]) {
        self.changes.fetch_add(changes.len() as u64, Ordering::Relaxed);
    }

    /// Prometheus' text format; gauges come in as arguments.
    pub(crate) fn text(&self, proxies: usize, services: usize) -> String {
        let mut text = String::from("# TYPE pilot_xds_pushes counter\n");
        for (label, count) in PUSH_TYPES.iter().zip(&self.pushes) {
            let _ = writeln!(text, "pilot_xds_pushes{{type=\"{label}\"}} {}", count.load(Ordering::Relaxed));
        }
        let mut line = |name: &str, kind: &str, value: u64| {
            let _ = writeln!(text, "# TYPE {name} {kind}\n{name} {value}");
        };
        line("pilot_total_xds_rejects", "counter", self.rejections.load(Ordering::Relaxed));
        line("pilot_k8s_cfg_events", "counter", self.changes.load(Ordering::Relaxed));
        line("pilot_xds", "gauge", proxies as u64);
        line("pilot_services", "gauge", services as u64);
        text
    }
}
