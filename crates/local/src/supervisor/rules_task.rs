//! Keeps the packet filter as the Services say.

use std::sync::Arc;

use tokio::sync::watch;

use crate::failure::Failure;
use crate::kubelet::PodSummary;
use crate::network::filter::{self, Backend};
use crate::network::rules::{Rules, iptables, nftables};

/// Puts `rules` in place of those before.
pub(super) async fn apply(backend: Backend, rules: &Rules) -> Result<(), Failure> {
    match backend {
        Backend::Nftables => filter::feed("nft", &["-f", "-"], &nftables(rules)).await,
        Backend::Iptables => filter::feed("iptables-restore", &[], &iptables(rules)).await,
    }
}

/// Applies every change, the latest when several came together; `applied` shows how far it has come.
pub(super) async fn follow(
    backend: Backend,
    mut rules: watch::Receiver<Arc<Rules>>,
    applied: watch::Sender<Arc<Rules>>,
) {
    while rules.changed().await.is_ok() {
        let latest = Arc::clone(&rules.borrow_and_update());
        if let Err(failure) = apply(backend, &latest).await {
            tracing::error!("{failure}");
        }
        applied.send_replace(latest);
    }
}

/// Passes pods on when the rules that follow from them are applied: whoever sees a ready pod can reach it.
pub(super) async fn settle(
    mut pods: watch::Receiver<Arc<Vec<PodSummary>>>,
    rules: watch::Receiver<Arc<Rules>>,
    mut applied: watch::Receiver<Arc<Rules>>,
    settled: watch::Sender<Arc<Vec<PodSummary>>>,
) {
    while pods.changed().await.is_ok() {
        let latest = Arc::clone(&pods.borrow_and_update());
        // Rules are told before the pods from which they follow.
        if applied.wait_for(|applied| Arc::ptr_eq(applied, &rules.borrow())).await.is_err() {
            return;
        }
        settled.send_replace(latest);
    }
}
