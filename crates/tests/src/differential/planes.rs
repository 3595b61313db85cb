//! The control plane and the four proxies: a sidecar and a gateway of each
//! data plane, running as long as the world does.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use config_store::State;
use control_plane::{ControlPlane, Options};
use resources::Object;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::envoy::{Envoy, Form, Launch, Network};
use tokio::net::{TcpStream, UnixListener};
use tokio::sync::watch;

use super::access_log::Lines;
use super::world::{self, GATEWAY, Plane, Pod, SIDECAR};

/// Says that this process is our proxy.
pub const PROXY: &str = "--proxy";

/// Nothing waits so long when all is well.
const LIMIT: Duration = Duration::from_secs(20);

/// Istio's line as soon as it is known, and nothing that lingers.
const ENVOY: [&str; 6] =
    ["--file-flush-interval-msec", "20", "--drain-time-s", "1", "--drain-strategy", "immediate"];

/// Who a proxy is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Sidecar,
    Gateway,
}

/// Everything that runs.
pub struct Planes {
    store: watch::Sender<Arc<State>>,
    control: ControlPlane,
    running: Vec<(Plane, Running)>,
    lines: Vec<(Plane, Lines)>,
}

enum Running {
    Envoy(Envoy),
    Lateen { child: Child, log: PathBuf, folder: TempDir, admin: u16 },
}

/// What became of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Everybody holds it.
    Held,
    /// Some proxy does not, and why.
    Refused(Vec<String>),
}

impl Planes {
    /// Starts them, each in the namespace of its data plane.
    pub async fn start(pods: &[(Plane, Pod)]) -> Result<Self> {
        let (store, receiver) = watch::channel(Arc::new(State::default()));
        let options = Options { xds: Some("127.0.0.1:0".parse()?), monitoring: None, ..Options::default() };
        let control = ControlPlane::start(receiver, &options).await?;
        let xds = control.xds_address().context("it listens")?;
        let (mut running, mut lines) = (Vec::new(), Vec::new());
        for (plane, pod) in pods {
            for role in [Role::Sidecar, Role::Gateway] {
                let (process, log) = start(*plane, role, pod, xds)?;
                running.push((*plane, process));
                lines.push((*plane, Lines::new(log)));
            }
        }
        let planes = Self { store, control, running, lines };
        planes.connected().await?;
        Ok(planes)
    }

    async fn connected(&self) -> Result<()> {
        let deadline = tokio::time::Instant::now() + LIMIT;
        while self.control.status().proxies.len() < self.running.len() {
            anyhow::ensure!(
                tokio::time::Instant::now() < deadline,
                "a proxy does not connect:\n{}",
                self.logs()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Gives everybody these objects and nothing else.
    pub async fn apply(&self, objects: Vec<Arc<Object>>) -> Applied {
        let revision = self.store.borrow().revision + 1;
        let objects =
            objects.into_iter().map(|object| (object.key.clone(), object)).collect::<BTreeMap<_, _>>();
        self.store.send_replace(Arc::new(State { revision, objects, problems: Vec::new() }));
        let delivery = self.control.wait_for(revision, LIMIT).await;
        if delivery.missing.is_empty() {
            return Applied::Held;
        }
        Applied::Refused(delivery.missing.into_iter().map(|it| format!("{}: {}", it.proxy, it.why)).collect())
    }

    /// The access logs of a data plane's proxies.
    pub fn lines(&mut self, plane: Plane) -> impl Iterator<Item = &mut Lines> {
        self.lines.iter_mut().filter(move |(of, _)| *of == plane).map(|(_, lines)| lines)
    }

    /// The metrics of a data plane's proxies, under Istio's names.
    pub async fn metrics(&self, plane: Plane, pod: &Pod) -> Result<String> {
        let mut page = String::new();
        for (_, running) in self.running.iter().filter(|(of, _)| *of == plane) {
            page.push_str(&match running {
                Running::Envoy(envoy) => {
                    proxy::agent::merged_metrics::from_envoy(&envoy.admin("/stats/prometheus").await?)
                }
                Running::Lateen { admin, .. } => {
                    let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, *admin));
                    pod.run(move || get(admin, "/stats/prometheus"))??
                }
            });
        }
        Ok(page)
    }

    /// The name of a process that ended, if one did.
    pub fn ended(&mut self) -> Option<String> {
        self.running.iter_mut().find_map(|(_, running)| match running {
            Running::Lateen { child, log, .. } => {
                let status = child.try_wait().ok()??;
                Some(format!("our proxy ended with {status}: {}", tail(log)))
            }
            Running::Envoy(_) => None,
        })
    }

    fn logs(&self) -> String {
        let logs = self.running.iter().map(|(_, running)| match running {
            Running::Envoy(envoy) => envoy.log(),
            Running::Lateen { log, .. } => tail(log),
        });
        logs.collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Self::Lateen { child, folder, .. } = self {
            // It may have ended; either way it is gone then.
            let _ = child.kill();
            let _ = child.wait();
            let _ = std::fs::remove_dir_all(folder.path());
        }
    }
}

fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.write_all(
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().rev().take(30).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
}

fn start(plane: Plane, role: Role, pod: &Pod, xds: SocketAddr) -> Result<(Running, PathBuf)> {
    let node = node(plane, role);
    let runtime = tokio::runtime::Handle::current();
    match plane {
        Plane::Envoy => {
            let envoy = pod.run(move || {
                let _relays_run_outside = runtime.enter();
                Envoy::launch(&Launch {
                    node: &node,
                    xds,
                    form: Form::Delta,
                    network: Network::Shared,
                    arguments: &ENVOY,
                })
            })??;
            let log = envoy.log_path();
            Ok((Running::Envoy(envoy), log))
        }
        Plane::Lateen => {
            let folder = tempfile::tempdir()?;
            let socket = folder.path().join("xds.sock");
            let listener = UnixListener::bind(&socket)?;
            runtime.spawn(relay(listener, xds));
            let admin = if role == Role::Sidecar { 15000 } else { 15100 };
            let (lines, log) = (folder.path().join("access.log"), folder.path().join("proxy.log"));
            let (out, error) = (std::fs::File::create(&lines)?, std::fs::File::create(&log)?);
            let child = pod.run(move || {
                Command::new(std::env::current_exe()?)
                    .arg(PROXY)
                    .arg(node.to_string())
                    .arg(socket)
                    .arg(admin.to_string())
                    .stdin(Stdio::null())
                    .stdout(out)
                    .stderr(error)
                    .spawn()
            })??;
            Ok((Running::Lateen { child, log, folder, admin }, lines))
        }
    }
}

fn node(plane: Plane, role: Role) -> Value {
    let name = plane.name();
    let (kind, address, app) = match role {
        Role::Sidecar => ("sidecar", SIDECAR, "probe"),
        Role::Gateway => ("router", GATEWAY, "front"),
    };
    json!({
        "id": format!("{kind}~{address}~{app}-{name}.default~default.svc.cluster.local"),
        "cluster": format!("{app}.default"),
        "metadata": {
            "NAMESPACE": "default",
            "LABELS": {"app": app, "version": "v1"},
            "WORKLOAD_NAME": app,
            "CLUSTER_ID": "Kubernetes",
        },
    })
}

/// Carries each connection to the control plane.
async fn relay(listener: UnixListener, xds: SocketAddr) {
    while let Ok((mut inner, _)) = listener.accept().await {
        tokio::spawn(async move {
            if let Ok(mut outer) = TcpStream::connect(xds).await {
                // Either side may go away at any time.
                let _ = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
            }
        });
    }
}

/// What the process is that [`PROXY`] starts: our proxy, with a node and the
/// socket of a control plane, and a port for its admin endpoint.
pub fn run_proxy(node: &str, socket: &str, admin: &str) -> Result<()> {
    let node: Value = serde_json::from_str(node).context("the node")?;
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    proxy::start::run(proxy::start::ProxyOptions {
        node: xds::json::decode(&node).context("the node")?,
        xds: Some(proxy::start::XdsAddress::Unix(socket.into())),
        admin: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, admin.parse()?))),
        concurrency: 1,
        ..Default::default()
    })?;
    Ok(())
}

/// Starts the servers on both sides of the proxies.
pub fn start_servers(pods: &[(Plane, Pod)], memory: &super::server::Memory) -> Result<()> {
    for (plane, pod) in pods {
        let plane = *plane;
        super::server::start(plane, memory, |port| world::listen(Some(plane), port))?;
        let (runtime, memory) = (tokio::runtime::Handle::current(), memory.clone());
        pod.run(move || {
            let _served_outside = runtime.enter();
            super::server::start(plane, &memory, |port| world::listen(None, port))
        })??;
    }
    Ok(())
}
