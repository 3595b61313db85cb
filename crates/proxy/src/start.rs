//! Starting, steering and stopping the data path.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use routing::compile::{Changes, Rejection};
use telemetry::log_writer::LogWriter;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use xds::envoy::config::core::v3::Node;
use xds::istio::nds::NameTable;

use crate::control::Control;
use crate::identity::Identity;
use crate::secrets::Secrets;
use crate::shared::Shared;
use crate::sockets::Sockets;
use crate::supervisor::{self, Order, Supervisor};
use crate::thread;

/// Where a control plane listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum XdsAddress {
    /// Host and port.
    Tcp(String),
    /// A Unix socket.
    Unix(PathBuf),
}

/// How to run.
#[derive(Debug, Clone, Default)]
pub struct ProxyOptions {
    /// Who this proxy is.
    pub node: Node,
    /// The control plane; none runs on static resources alone.
    pub xds: Option<XdsAddress>,
    /// Listeners and clusters that are there from the start.
    pub static_resources: Changes,
    /// Where the admin endpoint listens.
    pub admin: Option<SocketAddr>,
    /// How many workers; zero: one per core.
    pub concurrency: usize,
    /// The type of service of upstream connections, by which capture rules
    /// know them.
    pub upstream_tos: Option<u32>,
    /// How much memory may be used, in bytes; none: as much as the control
    /// group allows.
    pub memory_limit: Option<u64>,
    /// How many connections clients may have; none: as many as there are
    /// descriptors for.
    pub connection_limit: Option<u32>,
    /// Changes what is logged, for `/logging`.
    pub set_log_level: Option<SetLogLevel>,
    /// Where the mesh's names go, when somebody answers questions about them.
    pub names: Option<NameTables>,
    /// Certificates, keys and roots by name: the agent's, and those that the
    /// control plane sends.
    pub secrets: Secrets,
    /// Every listening socket: those of a process before this one are used
    /// again.
    pub sockets: Arc<Sockets>,
}

/// Hears of every table of names that the control plane sends.
pub type NameTables = watch::Sender<Arc<NameTable>>;

/// Changes what is logged.
#[derive(Clone)]
pub struct SetLogLevel(Arc<Set>);

type Set = dyn Fn(&str) -> Result<(), String> + Send + Sync;

impl SetLogLevel {
    /// By calling this with a level or a list of directives.
    pub fn new(set: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static) -> SetLogLevel {
        SetLogLevel(Arc::new(set))
    }

    /// Changes it, or says why not.
    pub fn set(&self, level: &str) -> Result<(), String> {
        (self.0)(level)
    }
}

impl std::fmt::Debug for SetLogLevel {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("SetLogLevel")
    }
}

/// Why the data path cannot run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A thread could not be started.
    #[error("start a thread")]
    Thread(#[source] std::io::Error),
    /// The admin endpoint could not be opened.
    #[error("listen on `{address}` for the admin endpoint")]
    Admin {
        /// Its address.
        address: SocketAddr,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// A static resource is wrong.
    #[error("{} `{}` cannot be used: {}", kind(.0), .0.name, .0.reason)]
    Static(Box<Rejection>),
}

fn kind(rejection: &Rejection) -> &'static str {
    match rejection.kind {
        routing::compile::Kind::Cluster => "cluster",
        routing::compile::Kind::Endpoints => "load assignment",
        routing::compile::Kind::Listener => "listener",
        routing::compile::Kind::Routes => "route configuration",
    }
}

/// A running data path.
#[derive(Debug)]
pub struct Handle {
    shared: Arc<Shared>,
    ready: Arc<AtomicBool>,
    orders: UnboundedSender<Order>,
    listening: Vec<(Arc<str>, SocketAddr)>,
    admin: Option<SocketAddr>,
    threads: Vec<JoinHandle<()>>,
}

/// Starts the data path on threads of its own.
pub fn start(options: ProxyOptions) -> Result<Handle, StartError> {
    let logs = LogWriter::start().map_err(StartError::Thread)?;
    let shared = Arc::new(Shared::new(
        Identity::new(options.node.clone()),
        logs,
        options.upstream_tos,
        options.memory_limit,
        options.connection_limit,
        options.secrets,
    ));
    let mut threads = Vec::new();
    let mut workers = Vec::new();
    for number in 0..worker_count(options.concurrency) {
        let (commands, received) = unbounded_channel();
        threads.push(thread::spawn(number, shared.clone(), received).map_err(StartError::Thread)?);
        workers.push(commands);
    }
    let mut control = Control::new(shared.clone(), workers, options.sockets.clone());
    let applied = control.apply(&options.static_resources);
    if let Some(rejection) = applied.rejections.into_iter().next() {
        control.stop();
        return Err(StartError::Static(Box::new(rejection)));
    }
    let admin = match options.admin {
        Some(address) => {
            let listener = options
                .sockets
                .listener(address, std::net::TcpListener::bind)
                .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
                .map_err(|source| StartError::Admin { address, source })?;
            Some(listener)
        }
        None => None,
    };
    let (orders, received) = unbounded_channel();
    let ready = Arc::new(AtomicBool::new(false));
    let listening = control.listening();
    let bound_admin = admin.as_ref().and_then(|listener| listener.local_addr().ok());
    let supervisor = Supervisor {
        shared: shared.clone(),
        control,
        ready: ready.clone(),
        orders: orders.clone(),
        xds: options.xds,
        admin,
        static_resources: options.static_resources,
        set_log_level: options.set_log_level,
        names: options.names,
    };
    threads.push(supervisor::spawn(supervisor, received).map_err(StartError::Thread)?);
    Ok(Handle { shared, ready, orders, listening, admin: bound_admin, threads })
}

fn worker_count(concurrency: usize) -> usize {
    match concurrency {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count,
    }
}

impl Handle {
    /// Whether everything that was received first is in use.
    pub fn ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Asks connections to close; new ones are still served.
    pub fn drain(&self) {
        self.shared.drain();
    }

    /// Accepts no more connections and asks those that are there to close:
    /// another process has the sockets.
    pub fn retire(&self) {
        self.shared.drain();
        // A supervisor that has ended accepts nothing.
        let _ = self.orders.send(Order::Retire);
    }

    /// Whether no worker accepts any more.
    pub fn has_retired(&self) -> bool {
        self.shared.has_retired()
    }

    /// Returns when the data path has ended.
    pub async fn ended(&self) {
        self.orders.closed().await;
    }

    /// Asks it to end; the process may exit without waiting.
    pub fn order_stop(&self) {
        // A supervisor that has ended has stopped the workers.
        let _ = self.orders.send(Order::Stop);
    }

    /// All metrics in Prometheus' text form.
    pub fn stats_text(&self) -> String {
        self.shared.registry.prometheus()
    }

    /// Connections that are open.
    pub fn active_connections(&self) -> i64 {
        self.shared.registry.level("envoy_server_total_connections")
    }

    /// The addresses that static listeners listen on.
    pub fn listening(&self) -> &[(Arc<str>, SocketAddr)] {
        &self.listening
    }

    /// Where the admin endpoint listens.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Ends all threads and waits for them.
    pub fn stop(self) {
        // A supervisor that has ended has stopped the workers.
        let _ = self.orders.send(Order::Stop);
        self.wait();
    }

    /// Waits until the data path ends, which `/quitquitquit` makes it do.
    pub fn wait(self) {
        for thread in self.threads {
            // A panic has been printed where it happened.
            let _ = thread.join();
        }
        self.shared.logs.flush();
    }
}

/// Starts the data path and waits until it ends.
pub fn run(options: ProxyOptions) -> Result<(), StartError> {
    start(options).map(Handle::wait)
}
