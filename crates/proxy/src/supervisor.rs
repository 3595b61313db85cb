//! The thread that steers: it talks to the control plane, resolves names,
//! answers the admin endpoint, and puts configuration into use.

use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use routing::compile::{Changes, Resolution};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;

use crate::admin::{self, Admin};
use crate::ads::{self, StreamEvent};
use crate::control::Control;
use crate::dns::Resolver;
use crate::extensions::introduce;
use crate::memory;
use crate::outliers;
use crate::shared::Shared;
use crate::start::{NameTables, SetLogLevel, XdsAddress};
use crate::subscriber::{SharedInventory, Subscriber, is_initialized};

/// What the thread is asked to do.
#[derive(Debug)]
pub enum Order {
    /// End everything.
    Stop,
    /// Accept no more connections.
    CloseListeners,
    /// Accept no more connections, and hear no more of the control plane:
    /// another process serves in this one's place.
    Retire,
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
    /// Changes what is logged.
    pub set_log_level: Option<SetLogLevel>,
    /// Where the mesh's names go.
    pub names: Option<NameTables>,
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
    let inventory = SharedInventory::default();
    // What ends when another process takes over.
    let mut conversations: Vec<AbortHandle> = supervisor.start_admin(&inventory).into_iter().collect();
    tokio::spawn(outliers::watch(supervisor.shared.clone()));
    let (events, mut stream) = unbounded_channel();
    let mut subscriber = supervisor.xds.take().map(|address| {
        let stream = ads::keep_open(address, supervisor.shared.upstream_tos, events.clone());
        conversations.push(tokio::spawn(stream).abort_handle());
        let node = introduce(supervisor.shared.identity.node.clone());
        Subscriber::new(node, inventory.clone(), supervisor.names.take())
    });
    loop {
        resolver.follow(&supervisor.shared.config());
        supervisor.note_readiness(subscriber.as_ref());
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::CloseListeners) => supervisor.control.close_all(),
                Some(Order::Retire) => {
                    supervisor.control.retire();
                    conversations.drain(..).for_each(|task| task.abort());
                }
                Some(Order::Stop) | None => break,
            },
            Some(resolution) = resolutions.recv() => supervisor.resolved(resolution),
            Some(event) = stream.recv() => {
                if let Some(subscriber) = &mut subscriber {
                    supervisor.heard(subscriber, event);
                }
            }
        }
    }
    supervisor.control.stop();
}

impl Supervisor {
    fn start_admin(&mut self, inventory: &SharedInventory) -> Option<AbortHandle> {
        let listener = self.admin.take()?;
        let admin = Admin {
            shared: self.shared.clone(),
            ready: self.ready.clone(),
            inventory: inventory.clone(),
            static_resources: Arc::new(std::mem::take(&mut self.static_resources)),
            orders: self.orders.clone(),
            concurrency: self.control.concurrency(),
            set_log_level: self.set_log_level.clone(),
        };
        match TcpListener::from_std(listener) {
            Ok(listener) => Some(tokio::spawn(admin::serve(admin, listener)).abort_handle()),
            Err(error) => {
                tracing::error!("admin endpoint: {error}");
                None
            }
        }
    }

    fn heard(&mut self, subscriber: &mut Subscriber, event: StreamEvent) {
        match event {
            StreamEvent::Open(requests) => subscriber.opened(requests),
            StreamEvent::Response(response) => subscriber.answered(*response, &mut self.control),
            StreamEvent::Closed => subscriber.closed(),
        }
    }

    fn resolved(&mut self, resolution: Resolution) {
        self.control.apply(&Changes { resolutions: vec![resolution], ..Changes::default() });
    }

    /// Once ready, always ready: what comes later warms beside what is in
    /// use.
    fn note_readiness(&self, subscriber: Option<&Subscriber>) {
        if self.ready.load(Ordering::Acquire) {
            return;
        }
        let config = self.shared.config();
        let ready = match subscriber {
            Some(subscriber) => is_initialized(subscriber, &config),
            None => config.is_warm(),
        };
        if ready {
            self.ready.store(true, Ordering::Release);
            match memory::drop_clean_pages() {
                Ok(bytes) => tracing::debug!(bytes, "dropped the pages of the start"),
                Err(error) => tracing::debug!("the pages of the start stay resident: {error}"),
            }
        }
    }
}
