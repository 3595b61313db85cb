//! A real Envoy under a control plane, in a network namespace of its own, so
//! that the fixed ports of a sidecar are free.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// How an Envoy asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Everything each time.
    StateOfTheWorld,
    /// Changes only.
    Delta,
}

/// Where an Envoy runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// In a network namespace of its own, where only the control plane and its
    /// admin page are reached.
    Own,
    /// Where the test runs.
    Shared,
}

/// What an Envoy is told at its start.
#[derive(Debug, Clone, Copy)]
pub struct Launch<'a> {
    /// Its id and metadata, in JSON.
    pub node: &'a Value,
    /// Where the control plane listens.
    pub xds: SocketAddr,
    /// How it asks.
    pub form: Form,
    /// Where it runs.
    pub network: Network,
    /// More of its command line.
    pub arguments: &'a [&'a str],
}

/// A running Envoy; dropped, it is killed.
pub struct Envoy {
    child: Child,
    folder: TempDir,
    relay: Option<JoinHandle<()>>,
}

impl Envoy {
    /// Starts an Envoy that asks the control plane at `xds` as `node` (an id
    /// and metadata, in JSON).
    ///
    /// # Errors
    /// When Envoy is not installed or does not start.
    pub fn start(node: &Value, xds: SocketAddr, form: Form, network: Network) -> anyhow::Result<Self> {
        Self::launch(&Launch { node, xds, form, network, arguments: &[] })
    }

    /// Starts an Envoy; the process belongs to the namespaces of the calling
    /// thread.
    ///
    /// # Errors
    /// When Envoy is not installed or does not start.
    pub fn launch(launch: &Launch<'_>) -> anyhow::Result<Self> {
        let binary = crate::tools::envoy()?;
        let folder = tempfile::tempdir().context("make a folder")?;
        let socket = folder.path().join("xds.sock");
        let listener = UnixListener::bind(&socket).context("listen for xDS")?;
        let relay = tokio::spawn(relay(listener, launch.xds));
        let bootstrap = bootstrap_json(launch.node, folder.path(), launch.form);
        let child = spawn(&binary, &bootstrap, folder.path(), launch.network, launch.arguments)?;
        Ok(Self { child, folder, relay: Some(relay) })
    }

    /// Starts an Envoy on fixed resources, where the test runs: listeners and
    /// clusters as in a bootstrap's `static_resources`.
    ///
    /// # Errors
    /// When Envoy is not installed or does not start.
    pub fn fixed(resources: &Value) -> anyhow::Result<Self> {
        let binary = crate::tools::envoy()?;
        let folder = tempfile::tempdir().context("make a folder")?;
        let bootstrap = json!({
            "node": {"id": "fixed", "cluster": "fixed"},
            "admin": {"address": {"pipe": {"path": folder.path().join("admin.sock")}}},
            "static_resources": resources,
        });
        let child = spawn(&binary, &bootstrap, folder.path(), Network::Shared, &[])?;
        Ok(Self { child, folder, relay: None })
    }

    /// What the admin page at `path` says, once it answers.
    ///
    /// # Errors
    /// When Envoy does not answer within 20 seconds.
    pub async fn admin(&self, path: &str) -> anyhow::Result<String> {
        let socket = self.folder.path().join("admin.sock");
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            match get(&socket, path).await {
                Ok(body) => return Ok(body),
                Err(error) if tokio::time::Instant::now() > deadline => {
                    return Err(error.context(format!("ask admin for `{path}`: {}", self.log())));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// The parts of `/config_dump` by their type's short name:
    /// `ClustersConfigDump` and so on.
    ///
    /// # Errors
    /// When Envoy does not answer, or not with JSON.
    pub async fn config_dump(&self) -> anyhow::Result<Value> {
        let dump: Value = serde_json::from_str(&self.admin("/config_dump?include_eds").await?)?;
        let mut parts = json!({});
        for part in dump["configs"].as_array().into_iter().flatten() {
            let name = part["@type"].as_str().and_then(|name| name.rsplit('.').next()).unwrap_or_default();
            parts[name] = part.clone();
        }
        Ok(parts)
    }

    /// Where Envoy writes.
    pub fn log_path(&self) -> PathBuf {
        self.folder.path().join("envoy.log")
    }

    /// What Envoy wrote.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(relay) = &self.relay {
            relay.abort();
        }
    }
}

fn spawn(
    binary: &Path,
    bootstrap: &Value,
    folder: &Path,
    network: Network,
    arguments: &[&str],
) -> anyhow::Result<Child> {
    let file = folder.join("bootstrap.json");
    std::fs::write(&file, bootstrap.to_string())?;
    // Envoy opens its standard output once more for access logs.
    let log = std::fs::File::options().create(true).append(true).open(folder.join("envoy.log"))?;
    let mut command = match network {
        Network::Shared => Command::new(binary),
        Network::Own => {
            let mut command = Command::new("unshare");
            command.args(["--user", "--map-root-user", "--net", "--"]).arg(binary);
            command
        }
    };
    command
        .arg("--config-path")
        .arg(&file)
        .args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"])
        .args(["--component-log-level", "config:debug,upstream:info"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::from(log.try_clone()?))
        .stderr(Stdio::from(log));
    command.spawn().with_context(|| format!("start `{}`", binary.display()))
}

fn bootstrap_json(node: &Value, folder: &Path, form: Form) -> Value {
    let api_type = match form {
        Form::StateOfTheWorld => "GRPC",
        Form::Delta => "DELTA_GRPC",
    };
    let path = |name: &str| folder.join(name);
    json!({
        "node": node,
        "admin": {"address": {"pipe": {"path": path("admin.sock")}}},
        "dynamic_resources": {
            "ads_config": {
                "api_type": api_type,
                "transport_api_version": "V3",
                "set_node_on_first_message_only": true,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
            },
            "cds_config": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
            "lds_config": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
        },
        // Whoever asks the agent for a certificate of the mesh waits: there is none.
        "static_resources": {"clusters": [
            grpc_cluster("xds-grpc", &path("xds.sock")),
            grpc_cluster("sds-grpc", &path("sds.sock")),
        ]},
    })
}

fn grpc_cluster(name: &str, socket: &Path) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            },
        },
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{
            "endpoint": {"address": {"pipe": {"path": socket}}},
        }]}]},
    })
}

/// Carries each connection to the control plane.
async fn relay(listener: UnixListener, xds: SocketAddr) {
    while let Ok((mut inner, _)) = listener.accept().await {
        tokio::spawn(async move {
            if let Ok(mut outer) = TcpStream::connect(xds).await {
                // Either side may go away at any time; that is what tests do.
                let _ = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
            }
        });
    }
}

async fn get(socket: &Path, path: &str) -> anyhow::Result<String> {
    let mut stream = UnixStream::connect(socket).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").context("no end of the head")?;
    anyhow::ensure!(head.starts_with("HTTP/1.1 200"), "{}", head.lines().next().unwrap_or_default());
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return Ok(unchunked(body));
    }
    Ok(body.to_owned())
}

fn unchunked(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let Ok(size) = usize::from_str_radix(size.trim(), 16) else { break };
        if size == 0 || size > rest.len() {
            break;
        }
        text.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    text
}
