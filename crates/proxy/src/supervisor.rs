//! The thread that steers: it talks to the control plane, resolves names,
//! answers the admin endpoint, and puts configuration into use.

use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use routing::compile::{Changes, Resolution};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::control::Control;
use crate::dns::Resolver;
use crate::shared::Shared;
use crate::start::XdsAddress;

/// What the thread is asked to do.
#[derive(Debug)]
pub enum Order {
    /// End everything.
    Stop,
    /// Accept no more connections.
    CloseListeners,
}

/// What the thread works with.
#[derive(Debug)]
pub struct Supervisor {
    /// What all threads share.
    pub shared: Arc<Shared>,
    /// Puts configuration into use.
    pub control: Control,
    /// Whether everything that was received first is in use.
    pub ready: Arc<AtomicBool>,
    /// For whoever gives orders.
    pub orders: UnboundedSender<Order>,
    /// The control plane.
    pub xds: Option<XdsAddress>,
    /// The admin endpoint.
    pub admin: Option<StdListener>,
    /// What is there from the start.
    pub static_resources: Changes,
}

/// Starts the thread.
pub fn spawn(
    supervisor: Supervisor,
    orders: UnboundedReceiver<Order>,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name("supervisor".to_owned()).spawn(move || {
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(supervise(supervisor, orders)),
            Err(error) => {
                tracing::error!("the supervisor has no runtime: {error}");
                supervisor.control.stop();
            }
        }
    })
}

async fn supervise(mut supervisor: Supervisor, mut orders: UnboundedReceiver<Order>) {
    let (found, mut resolutions) = unbounded_channel();
    let mut resolver = Resolver::new(found);
    resolver.follow(&supervisor.shared.config());
    if let Some(listener) = supervisor.admin.take() {
        match TcpListener::from_std(listener) {
            Ok(_listener) => {}
            Err(error) => tracing::error!("admin endpoint: {error}"),
        }
    }
    loop {
        supervisor.note_readiness();
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::CloseListeners) => supervisor.control.close_all(),
                Some(Order::Stop) | None => break,
            },
            Some(resolution) = resolutions.recv() => supervisor.resolved(resolution),
        }
        resolver.follow(&supervisor.shared.config());
    }
    supervisor.control.stop();
}

impl Supervisor {
    fn resolved(&mut self, resolution: Resolution) {
        self.control.apply(&Changes { resolutions: vec![resolution], ..Changes::default() });
    }

    fn note_readiness(&self) {
        if self.xds.is_none() && self.shared.config().is_warm() {
            self.ready.store(true, Ordering::Release);
        }
    }
}
