//! Keeps the packet filter as the Services say.

use std::sync::Arc;

use tokio::sync::watch;

use crate::failure::Failure;
use crate::network::filter::{self, Backend};
use crate::network::rules::{Rules, iptables, nftables};

/// Puts `rules` in place of those before.
pub(super) async fn apply(backend: Backend, rules: &Rules) -> Result<(), Failure> {
    match backend {
        Backend::Nftables => filter::feed("nft", &["-f", "-"], &nftables(rules)).await,
        Backend::Iptables => filter::feed("iptables-restore", &[], &iptables(rules)).await,
    }
}

/// Applies every change, the latest when several came together.
pub(super) async fn follow(backend: Backend, mut rules: watch::Receiver<Arc<Rules>>) {
    while rules.changed().await.is_ok() {
        let latest = Arc::clone(&rules.borrow_and_update());
        if let Err(failure) = apply(backend, &latest).await {
            tracing::error!("{failure}");
        }
    }
}
