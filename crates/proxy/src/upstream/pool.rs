//! New connections within the limits of their cluster, and waiting for one
//! that is in use.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use routing::route::Priority;
use tokio::sync::oneshot;

use crate::upstream::ClusterState;
use crate::upstream::connect::{ConnectError, ConnectOptions, Purpose, connect};
use crate::upstream::host::{Host, Upstream};
use crate::upstream::protection::{Permit, Resource};
use crate::upstream::vitals::Vitals;
use crate::worker::Worker;

/// Requests that wait for a connection to one host, and how many
/// connections it has.
#[derive(Debug, Default)]
pub struct Queue {
    open: Cell<u32>,
    waiting: RefCell<VecDeque<oneshot::Sender<Option<Upstream>>>>,
}

/// A place among the connections of a host and cluster; given back when
/// dropped, and somebody who waits is told.
#[derive(Debug)]
pub struct Slot {
    queue: Rc<Queue>,
    permit: Permit,
    /// Where the open connection is counted.
    vitals: Option<Arc<Vitals>>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.queue.open.set(self.queue.open.get().saturating_sub(1));
        drop(std::mem::take(&mut self.permit));
        if let Some(vitals) = &self.vitals {
            vitals.cx_active.fetch_sub(1, Ordering::Relaxed);
        }
        while let Some(waiting) = self.queue.waiting.borrow_mut().pop_front() {
            if waiting.send(None).is_ok() {
                break;
            }
        }
    }
}

impl Queue {
    /// Hands a connection to the first who waits for one; gives it back when
    /// nobody does.
    pub fn offer(&self, upstream: Upstream) -> Option<Upstream> {
        let mut offered = Some(upstream);
        while let Some(waiting) = self.waiting.borrow_mut().pop_front() {
            match waiting.send(offered) {
                Ok(()) => return None,
                Err(back) => offered = back,
            }
        }
        offered
    }

    fn wait(&self) -> oneshot::Receiver<Option<Upstream>> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().push_back(sender);
        receiver
    }
}

/// A connection to a host, new unless somebody gave one back meanwhile; the
/// second result tells whether it was in use before.
pub async fn open(
    worker: &Worker,
    cluster: &ClusterState,
    host: &Host,
    priority: Priority,
    purpose: &Purpose<'_>,
) -> Result<(Upstream, bool), ConnectError> {
    let Some(pending) = cluster.admit(priority, Resource::Pending) else {
        cluster.stats.rare("upstream_rq_pending_overflow").increment();
        return Err(ConnectError::Overflow);
    };
    loop {
        match slot(cluster, host, priority) {
            Some(slot) => {
                let opened = dial(worker, cluster, host, slot, purpose).await;
                drop(pending);
                return opened.map(|upstream| (upstream, false));
            }
            None => {
                let given = host.queue.wait();
                if let Ok(Some(upstream)) = given.await {
                    if upstream.stream.tls().is_none() || upstream.alpn.as_ref() == purpose.alpn {
                        return Ok((upstream, true));
                    }
                    // It was made for something else: its place is free now.
                    cluster.stats.closed(1);
                }
            }
        }
    }
}

/// A place for one more connection. A host without any always gets one: what
/// waits for it would else wait for ever.
pub fn slot(cluster: &ClusterState, host: &Host, priority: Priority) -> Option<Slot> {
    let permit = match cluster.admit(priority, Resource::Connection) {
        Some(permit) => permit,
        None => {
            cluster.stats.rare("upstream_cx_overflow").increment();
            if host.queue.open.get() > 0 {
                return None;
            }
            cluster.protection.take(priority, Resource::Connection)
        }
    };
    host.queue.open.set(host.queue.open.get() + 1);
    Some(Slot { queue: host.queue.clone(), permit, vitals: None })
}

/// A place for a connection that is not shared: none beyond the limit.
pub fn slot_within_limits(cluster: &ClusterState, host: &Host) -> Option<Slot> {
    let Some(permit) = cluster.admit(Priority::Normal, Resource::Connection) else {
        cluster.stats.rare("upstream_cx_overflow").increment();
        return None;
    };
    host.queue.open.set(host.queue.open.get() + 1);
    Some(Slot { queue: host.queue.clone(), permit, vitals: None })
}

/// Connects to a host and counts how it went.
pub async fn dial(
    worker: &Worker,
    cluster: &ClusterState,
    host: &Host,
    mut slot: Slot,
    purpose: &Purpose<'_>,
) -> Result<Upstream, ConnectError> {
    let options = ConnectOptions {
        bind: cluster.cluster.bind,
        tos: worker.shared.upstream_tos,
        timeout: cluster.cluster.connect_timeout,
        keepalive: cluster.cluster.keepalive,
    };
    let connected = connect(host, &options, purpose, worker).await;
    match connected {
        Ok(mut upstream) => {
            host.vitals.cx_active.fetch_add(1, Ordering::Relaxed);
            slot.vitals = Some(host.vitals.clone());
            upstream.slot = Some(slot);
            if let Some(tls) = upstream.stream.tls() {
                cluster.tls_stats.opened(&tls.facts);
            }
            cluster.stats.cx_total.increment();
            cluster.stats.cx_active.add(1);
            host.vitals.cx_total.fetch_add(1, Ordering::Relaxed);
            Ok(upstream)
        }
        Err(error) => {
            cluster.stats.cx_connect_fail.increment();
            host.vitals.cx_connect_fail.fetch_add(1, Ordering::Relaxed);
            if let ConnectError::Tls { error, .. } = &error {
                cluster.tls_stats.failed(error);
            }
            if matches!(error, ConnectError::Timeout) {
                cluster.stats.cx_connect_timeout.increment();
            }
            Err(error)
        }
    }
}
