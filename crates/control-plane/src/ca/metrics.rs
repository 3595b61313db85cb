//! What the authority counts, under Istio's names.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use identity::authority::Authority;
use identity::bundle::Bundle;
use identity::certificate;
use identity::instant;

/// Counters since the start, and when what is used ends.
#[derive(Default)]
pub(super) struct Metrics {
    requested: AtomicU64,
    unreadable: AtomicU64,
    unauthenticated: AtomicU64,
    unsigned: AtomicU64,
    issued: AtomicU64,
    root_expiry: AtomicU64,
    chain_expiry: AtomicU64,
}

impl Metrics {
    pub(super) fn requested(&self) {
        self.requested.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn unreadable(&self) {
        self.unreadable.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn unauthenticated(&self) {
        self.unauthenticated.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn unsigned(&self) {
        self.unsigned.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn issued(&self) {
        self.issued.fetch_add(1, Ordering::Relaxed);
    }

    /// When the roots and the signing chain end; the first root is the newest.
    pub(super) fn expiries(&self, authority: &Authority, bundle: &Bundle) {
        let root = certificate::first_expiry(bundle.roots().first());
        self.root_expiry.store(root.map_or(0, instant::seconds), Ordering::Relaxed);
        let chain = instant::seconds(authority.validity().not_after);
        self.chain_expiry.store(chain, Ordering::Relaxed);
    }

    /// Prometheus' text format.
    pub(super) fn text(&self, now: SystemTime) -> String {
        let mut text = String::new();
        let mut line = |name: &str, kind: &str, labels: &str, value: u64| {
            let _ = writeln!(text, "# TYPE {name} {kind}\n{name}{labels} {value}");
        };
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        line("citadel_server_csr_count", "counter", "", load(&self.requested));
        line("citadel_server_csr_parsing_err_count", "counter", "", load(&self.unreadable));
        line("citadel_server_authentication_failure_count", "counter", "", load(&self.unauthenticated));
        line(
            "citadel_server_csr_sign_err_count",
            "counter",
            "{error=\"cert_signing\"}",
            load(&self.unsigned),
        );
        line("citadel_server_success_cert_issuance_count", "counter", "", load(&self.issued));
        for (name, expiry) in
            [("root_cert", load(&self.root_expiry)), ("cert_chain", load(&self.chain_expiry))]
        {
            line(&format!("citadel_server_{name}_expiry_timestamp"), "gauge", "", expiry);
            let left = expiry.saturating_sub(instant::seconds(now));
            line(&format!("citadel_server_{name}_expiry_seconds"), "gauge", "", left);
        }
        text
    }
}
