//! The control plane as a process of its own, told what to hold through its
//! standard input.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use config_store::directory::Directory;
use control_plane::{ControlPlane, Options};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

/// Says that this process is the control plane.
pub const CONTROL_PLANE: &str = "--control-plane";

/// A change is held by then: proxies that were left alone connect again
/// within half of it.
const LIMIT: Duration = Duration::from_secs(60);

/// A running control plane.
pub struct Control {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Control {
    /// Starts one that keeps what it is told in `folder`.
    pub async fn start(folder: &Path, address: SocketAddr) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(CONTROL_PLANE)
            .arg(folder)
            .arg(address.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("start the control plane")?;
        let input = child.stdin.take().context("its input")?;
        let output = BufReader::new(child.stdout.take().context("its output")?).lines();
        let mut control = Self { child, input, output };
        control.answer().await.context("the control plane does not start")?;
        Ok(control)
    }

    /// Takes what is in `put` and gives up what is in `remove`, both YAML;
    /// returns when `proxies` are connected and all of them hold it.
    pub async fn change(&mut self, put: &str, remove: &str, proxies: usize) -> Result<()> {
        let order = json!({"put": put, "remove": remove, "proxies": proxies}).to_string();
        self.input.write_all(order.as_bytes()).await.context("tell the control plane")?;
        self.input.write_all(b"\n").await?;
        let answer: Value = serde_json::from_str(&self.answer().await?)?;
        ensure!(answer["problem"] == Value::Null, "{}", answer["problem"]);
        Ok(())
    }

    async fn answer(&mut self) -> Result<String> {
        let line = tokio::time::timeout(LIMIT * 2, self.output.next_line()).await.context("no answer")??;
        line.context("the control plane ended")
    }

    /// Kills it.
    pub async fn kill(mut self) -> Result<()> {
        self.child.kill().await.context("kill the control plane")
    }

    /// Makes it hang.
    pub fn hang(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets it go on.
    pub fn go_on(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.child.id().context("it ended")?;
        kill(Pid::from_raw(i32::try_from(pid)?), signal).with_context(|| format!("send {signal}"))
    }
}

/// What the process is that [`CONTROL_PLANE`] starts.
pub fn run(folder: &str, address: &str) -> Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(serve(Path::new(folder), address.parse()?))
}

async fn serve(folder: &Path, address: SocketAddr) -> Result<()> {
    let directory = Directory::open(folder)?;
    let options = Options { xds: Some(address), ..Options::default() };
    let control = ControlPlane::start(directory.subscribe(), &options).await?;
    println!("{{}}");
    let mut orders = orders();
    while let Some(order) = orders.recv().await {
        let order: Value = serde_json::from_str(&order)?;
        let problem = match obey(&directory, &control, &order).await {
            Ok(()) => Value::Null,
            Err(error) => json!(format!("{error:#}")),
        };
        println!("{}", json!({ "problem": problem }));
    }
    Ok(())
}

/// The lines of the standard input.
fn orders() -> mpsc::UnboundedReceiver<String> {
    let (sender, orders) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(std::io::Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    orders
}

async fn obey(directory: &Directory, control: &ControlPlane, order: &Value) -> Result<()> {
    let objects = |which: &str| -> Result<_> {
        let parsed = resources::parse(which, order[which].as_str().unwrap_or_default(), "default");
        ensure!(!parsed.has_errors(), "{:?}", parsed.problems);
        Ok(parsed.objects)
    };
    let (put, removed) = (objects("put")?, objects("remove")?);
    let keys: Vec<_> = removed.iter().map(|object| object.key.clone()).collect();
    let mut revision = directory.state().revision;
    if !put.is_empty() {
        revision = directory.put(&put)?;
    }
    if !keys.is_empty() {
        revision = directory.remove(&keys)?;
    }
    let proxies = usize::try_from(order["proxies"].as_u64().unwrap_or_default())?;
    let deadline = tokio::time::Instant::now() + LIMIT;
    while control.status().proxies.len() < proxies {
        let connected = control.status().proxies.len();
        ensure!(
            tokio::time::Instant::now() < deadline,
            "only {connected} proxies of {proxies} are connected"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let delivery = control.wait_for(revision, LIMIT).await;
    let missing: Vec<_> = delivery.missing.iter().map(|it| format!("{}: {}", it.proxy, it.why)).collect();
    ensure!(missing.is_empty(), "not held by all: {}", missing.join("; "));
    Ok(())
}
