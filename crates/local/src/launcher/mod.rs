//! The host's side of a mesh: it starts the world, lends it sockets and stays until it ends.

mod answers;
mod detached;
pub(crate) mod sockets;

use std::fs::{DirBuilder, OpenOptions};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use crate::caller::Caller;
use crate::channel::{AsyncChannel, Channel, Received};
use crate::failure::{Failure, Step};
use crate::handover::{Handover, Settings};
use crate::home::{Home, HomeError, Lock};
use crate::host::{FromHost, ToHost};
use crate::progress::Progress;
use crate::stage::{self, Stage};

pub use detached::up_detached;
pub(crate) use detached::{detached_main, stop_and_wait};

/// How a mesh is started.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UpOptions {
    /// The mesh's directory.
    pub home: PathBuf,
    /// Where the ingress gateway listens on the host; port 0 takes a free one.
    pub gateway: SocketAddr,
    /// Further programs for containers, by the name under which they are found: `("envoy", "/opt/envoy")`.
    pub extra_binaries: Vec<(String, PathBuf)>,
    /// Passed to [`crate::Programs::start`] in the supervisor.
    pub programs: serde_json::Value,
}

/// Why a mesh did not start, or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// The directory cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// A step could not be taken.
    #[error(transparent)]
    Step(#[from] Failure),
    /// The world ended by itself.
    #[error("the mesh ended: {reason}; its log is `{}`", log.display())]
    Ended {
        /// How it ended.
        reason: String,
        /// Where to read more.
        log: PathBuf,
    },
}

/// How long an ordered end may take before the kernel ends the rest.
const ORDERED_END: Duration = Duration::from_secs(20);

/// Runs a mesh; returns when it was told to end by `down`, SIGINT, SIGTERM or SIGHUP.
///
/// Blocks the calling thread, which must be outside of any tokio runtime and outlive the mesh: the kernel ties the
/// world to it.
pub fn up(options: &UpOptions, progress: &mut dyn FnMut(&Progress)) -> Result<(), UpError> {
    let home = Home::open(&options.home)?;
    let lock = home.lock(Duration::from_secs(2))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(16)
        .build()
        .step("start the launcher's runtime")?;
    let (mut world, link, host) = start_world(options, &home, &lock)?;
    let ended = runtime.block_on(attend(&home, &mut world, host, progress));
    drop(link);
    // Whatever happened, nothing may be left.
    let _ = world.kill();
    let _ = world.wait();
    // A name that cannot be resolved may still be waited for.
    runtime.shutdown_background();
    sockets::remove(&home);
    ended
}

/// Starts the world and hands everything over.
fn start_world(options: &UpOptions, home: &Home, lock: &Lock) -> Result<(Child, Channel, Channel), UpError> {
    sockets::remove(home);
    let control = sockets::listen_unix(&home.control_socket(), sockets::Kind::Stream)?;
    let exec = sockets::listen_unix(&home.exec_socket(), sockets::Kind::Packets)?;
    let gateway = sockets::listen_tcp(options.gateway).map_err(|error| {
        Failure::new(format!("listen on {} for the ingress gateway", options.gateway), error)
            .remedy("choose another port, or a free one: `--gateway 127.0.0.1:0`")
    })?;
    let address = gateway.local_addr().step("read the gateway's address")?;
    let (host, host_end) = Channel::pair().step("make the channel to the world")?;
    let settings = Settings {
        home: home.root().to_owned(),
        caller: Caller::current(),
        binary: std::fs::read_link("/proc/self/exe").step("find this program's file")?,
        gateway: address,
        extra_binaries: options.extra_binaries.clone(),
        programs: options.programs.clone(),
    };
    let handover = Handover {
        settings,
        host: host_end.into(),
        lock: OwnedFd::from(lock.0.try_clone().step("share the lock")?),
        control,
        exec,
        gateway: gateway.into(),
    };
    let (link, child_link) = Channel::pair().step("make the channel to the world")?;
    forget_old_logs(home);
    let log = open_log(home)?;
    let world = stage::command(Stage::World, "lateen: world", child_link)
        .stdout(Stdio::from(log.try_clone().step("share the log")?))
        .stderr(Stdio::from(log))
        .spawn()
        .step("start the world")?;
    handover.send(&link).step("hand over to the world")?;
    Ok((world, link, host))
}

/// Longest log of a mesh that the next one goes on with.
const OLD_LOG_LIMIT: u64 = 8 * 1024 * 1024;

/// Removes the logs of pods that no longer exist, and turns a long log of the mesh over.
fn forget_old_logs(home: &Home) {
    // What cannot be removed is only in the way of nobody.
    for entry in std::fs::read_dir(home.logs()).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    let log = home.mesh_log();
    if std::fs::metadata(&log).is_ok_and(|metadata| metadata.len() > OLD_LOG_LIMIT) {
        let _ = std::fs::rename(&log, log.with_extension("log.1"));
    }
}

fn open_log(home: &Home) -> Result<std::fs::File, Failure> {
    let path = home.mesh_log();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(home.logs())
        .step(format!("make `{}`", home.logs().display()))?;
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&path)
        .step(format!("open the log `{}`", path.display()))
}

/// Serves the world until it ends.
async fn attend(
    home: &Home,
    world: &mut Child,
    host: Channel,
    progress: &mut dyn FnMut(&Progress),
) -> Result<(), UpError> {
    let host = Arc::new(host.into_async().step("watch the channel to the world")?);
    let mut interrupt = signal(SignalKind::interrupt()).step("watch for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).step("watch for SIGTERM")?;
    let mut hangup = signal(SignalKind::hangup()).step("watch for SIGHUP")?;
    let mut stopping = false;
    let mut failure = None;
    let deadline = tokio::time::sleep(Duration::MAX);
    tokio::pin!(deadline);
    loop {
        let asked_to_stop = tokio::select! {
            received = host.receive::<ToHost>() => match received {
                Ok(Some(received)) => {
                    attend_message(&host, received, world.id(), &mut failure, progress);
                    false
                }
                // The supervisor is gone, and with it the world.
                Ok(None) | Err(_) => break,
            },
            _ = interrupt.recv() => true,
            _ = terminate.recv() => true,
            _ = hangup.recv() => true,
            () = &mut deadline => break,
        };
        if asked_to_stop {
            if stopping || host.send(&FromHost::Stop, &[]).await.is_err() {
                break;
            }
            stopping = true;
            deadline.as_mut().reset(tokio::time::Instant::now() + ORDERED_END);
        }
    }
    if let Some(failure) = failure {
        return Err(UpError::Step(failure));
    }
    let status = end_of(world).await;
    match status {
        Some(status) if !stopping && !status.success() => {
            Err(UpError::Ended { reason: reason(status), log: home.mesh_log() })
        }
        _ => Ok(()),
    }
}

fn attend_message(
    host: &Arc<AsyncChannel>,
    received: Received<ToHost>,
    world: u32,
    failure: &mut Option<Failure>,
    progress: &mut dyn FnMut(&Progress),
) {
    match received.message {
        ToHost::Ask { number, question } => {
            tokio::spawn(answers::answer(Arc::clone(host), world, number, question));
        }
        ToHost::Progress(news) => progress(&news),
        ToHost::Failed(reason) => *failure = Some(reason),
    }
}

/// The world's exit status, once it has ended; `None` when it does not end by itself.
async fn end_of(world: &mut Child) -> Option<ExitStatus> {
    for _ in 0..100 {
        if let Ok(Some(status)) = world.try_wait() {
            return Some(status);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    None
}

fn reason(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("the world exited with code {code}"),
        (None, Some(signal)) => format!("the world was killed by signal {signal}"),
        (None, None) => "the world ended".to_owned(),
    }
}
