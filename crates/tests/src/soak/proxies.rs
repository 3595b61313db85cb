//! Proxies as processes of the binary under test, each in its pod.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use super::Options;
use super::network::{self, Capture, STATUS_PORT};
use crate::namespace::Namespace;

/// A proxy that has not done by then what it has to do never will.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether something has come about.
const BEAT: Duration = Duration::from_millis(20);

/// What a proxy is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Carries what is sent to services.
    Client,
    /// Takes what comes from outside.
    Gateway,
    /// In front of an application.
    Server,
}

/// A pod's proxy: the process that serves, and those before it that still
/// have connections.
pub struct Proxy {
    /// Its pod's name.
    pub name: String,
    role: Role,
    address: Ipv4Addr,
    namespace: Arc<Namespace>,
    folder: TempDir,
    parent_shutdown: Duration,
    running: Vec<Process>,
    started: usize,
}

struct Process {
    child: Child,
    log: PathBuf,
}

impl Proxy {
    /// Makes the pod and starts its proxy.
    pub fn start(name: &str, role: Role, address: Ipv4Addr, options: &Options) -> Result<Self> {
        let capture = match role {
            Role::Client => Capture::Outbound,
            Role::Gateway => Capture::Nothing,
            Role::Server => Capture::Inbound,
        };
        let mut proxy = Self {
            name: name.to_owned(),
            role,
            address,
            namespace: Arc::new(network::pod(address, capture)?),
            folder: tempfile::tempdir()?,
            parent_shutdown: options.grace(),
            running: Vec::new(),
            started: 0,
        };
        proxy.spawn()?;
        Ok(proxy)
    }

    /// The pod's network.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    fn spawn(&mut self) -> Result<()> {
        self.started += 1;
        let path = |kind: &str| self.folder.path().join(format!("{kind}-{}.log", self.started));
        let (lines, log) = (path("access"), path("proxy"));
        let (out, error) = (File::create(&lines)?, File::create(&log)?);
        let mut command = Command::new(crate::mesh::binary()?);
        let role = if self.role == Role::Gateway { "router" } else { "sidecar" };
        let labels =
            if self.role == Role::Gateway { json!({"istio": "front"}) } else { json!({"app": self.name}) };
        let config = json!({
            "discoveryAddress": network::CONTROL_PLANE.to_string(),
            "concurrency": 1,
            "parentShutdownDuration": format!("{}s", self.parent_shutdown.as_secs()),
        });
        command
            .args(["proxy", role])
            .env("POD_NAME", &self.name)
            .env("POD_NAMESPACE", "default")
            .env("INSTANCE_IP", self.address.to_string())
            .env("PROXY_CONFIG", config.to_string())
            .env("LATEEN_RUN", self.folder.path())
            .env("LATEEN_LOG", "info")
            .env("EXIT_ON_ZERO_ACTIVE_CONNECTIONS", "true")
            .env("MINIMUM_DRAIN_DURATION", "10s")
            .env("ISTIO_METAJSON_LABELS", labels.to_string())
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(error);
        let child = self.namespace.run(move || command.spawn())?.context("start a proxy")?;
        self.running.push(Process { child, log });
        Ok(())
    }

    /// Returns when it takes traffic.
    pub async fn ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !is_ready(SocketAddr::from((self.address, STATUS_PORT))).await {
            self.check()?;
            ensure!(Instant::now() < deadline, "{} does not get ready:\n{}", self.name, self.log());
            tokio::time::sleep(BEAT).await;
        }
        Ok(())
    }

    /// Starts the next process; returns when it has taken the sockets over.
    pub async fn replace(&mut self) -> Result<()> {
        let socket = self.folder.path().join("hot-restart.sock");
        let deadline = Instant::now() + PATIENCE;
        let mut before = inode(&socket);
        while before.is_none() {
            ensure!(Instant::now() < deadline, "{} cannot be replaced:\n{}", self.name, self.log());
            tokio::time::sleep(BEAT).await;
            before = inode(&socket);
        }
        self.spawn()?;
        while inode(&socket) == before {
            self.check()?;
            ensure!(Instant::now() < deadline, "{} does not take over:\n{}", self.name, self.log());
            tokio::time::sleep(BEAT).await;
        }
        Ok(())
    }

    /// Asks it to end, as a kubelet does.
    pub fn terminate(&self) -> Result<()> {
        let newest = self.running.last().context("it runs")?;
        let pid = Pid::from_raw(i32::try_from(newest.child.id())?);
        kill(pid, Signal::SIGTERM).context("send SIGTERM")
    }

    /// Returns when all of it has ended by itself.
    pub async fn ended(&mut self) -> Result<()> {
        self.first_ended(self.running.len()).await
    }

    /// Returns when every process but the one that serves has ended.
    pub async fn alone(&mut self) -> Result<()> {
        self.first_ended(self.running.len().saturating_sub(1)).await
    }

    async fn first_ended(&mut self, count: usize) -> Result<()> {
        let deadline = Instant::now() + self.parent_shutdown + PATIENCE;
        for index in 0..count {
            loop {
                match self.running[index].child.try_wait()? {
                    Some(status) if status.success() => break,
                    Some(status) => bail!("{} ended with {status}:\n{}", self.name, self.log()),
                    None => {}
                }
                ensure!(Instant::now() < deadline, "{} does not end:\n{}", self.name, self.log());
                tokio::time::sleep(BEAT).await;
            }
        }
        Ok(())
    }

    /// An error when the process that serves has ended, or one before it
    /// ended badly.
    pub fn check(&mut self) -> Result<()> {
        let newest = self.running.len().saturating_sub(1);
        for index in 0..self.running.len() {
            let ended = self.running[index].child.try_wait()?;
            if let Some(status) = ended.filter(|status| index == newest || !status.success()) {
                bail!("{} ended with {status}:\n{}", self.name, self.log());
            }
        }
        Ok(())
    }

    /// Lines of the access log that tell of anything but success.
    pub fn complaints(&self) -> Vec<String> {
        let files = (1..=self.started).map(|number| self.folder.path().join(format!("access-{number}.log")));
        let text = files.map(|path| std::fs::read_to_string(path).unwrap_or_default());
        let lines = text.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
        lines.filter(|line| is_complaint(line)).map(|line| format!("{}: {line}", self.name)).collect()
    }

    fn log(&self) -> String {
        self.running.last().map(|process| tail(&process.log)).unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        for process in &mut self.running {
            // It may have ended; either way it is gone then.
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

/// `… 200 - via_upstream …`, in Istio's format: the words behind the request
/// line are the status and the flags.
fn is_complaint(line: &str) -> bool {
    let Some((_, rest)) = line.split_once("\" ") else { return false };
    let mut words = rest.split(' ');
    let (status, flags) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    !matches!(status, "200" | "0") || flags != "-"
}

fn inode(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().map(|found| found.ino())
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

async fn is_ready(address: SocketAddr) -> bool {
    let ask = async {
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        stream.write_all(b"GET /healthz/ready HTTP/1.1\r\nhost: pod\r\nconnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer.starts_with("HTTP/1.1 200 "))
    };
    matches!(tokio::time::timeout(Duration::from_secs(5), ask).await, Ok(Ok(true)))
}
