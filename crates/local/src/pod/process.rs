//! Starting a container's process, and commands beside it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use rustix::fs::{Gid, Uid};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::Child;
use tokio::task::spawn_local;

use super::Pod;
use crate::channel::Channel;
use crate::container::plan::{Identity, Process, UserSpace};
use crate::container::silent_streams;
use crate::failure::{Failure, Step};
use crate::kubelet::credentials::CONTAINER;
use crate::stage::{self, Stage};

/// A log is turned over when it has grown to this.
const LOG_LIMIT: u64 = 32 * 1024 * 1024;

/// A process of a container, killed with all that it started when it is dropped.
pub(super) struct Started {
    child: Child,
    pid: Pid,
}

impl Started {
    /// Its process, as the world numbers it.
    pub(super) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().cast_unsigned()
    }

    /// Waits for its end, and ends what it left behind.
    pub(super) async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        let status = self.child.wait().await;
        self.kill();
        status
    }

    /// Asks it to end.
    pub(super) fn terminate(&self) {
        // It may have ended by itself.
        let _ = kill_process(self.pid, Signal::TERM);
    }

    /// Ends it and all that it started.
    pub(super) fn kill(&self) {
        let _ = kill_process_group(self.pid, Signal::KILL);
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts the main process of a container; what it writes goes to its log.
pub(super) async fn start(pod: &Pod, name: &str, process: &Process) -> Result<Started, Failure> {
    let log = Log::open(pod.plan.logs.join(format!("{name}.log")))?;
    let (reader, writer) = std::io::pipe().step("make a pipe for the container's log")?;
    let writer = OwnedFd::from(writer);
    give_to(&writer, &process.identity)?;
    let reader = pipe::Receiver::from_owned_fd(reader.into()).step("read the container's output")?;
    spawn_local(log.follow(reader));
    let copy = writer.try_clone().step("share the container's log")?;
    let credentials = pod.credentials.as_ref().filter(|_| name == CONTAINER);
    let credentials = credentials.map(OwnedFd::try_clone).transpose().step("share the proxy's credential")?;
    spawn(process, Stdio::from(copy), Stdio::from(writer), credentials.as_slice()).await
}

/// Runs a command in a container and returns its exit code.
pub(super) async fn execute(
    pod: &Pod,
    container: &str,
    command: Vec<String>,
    descriptors: Vec<OwnedFd>,
) -> Result<i32, String> {
    let plans = pod.plan.containers.iter().chain(&pod.plan.init_containers);
    let plan = plans
        .clone()
        .find(|plan| plan.name == container)
        .ok_or_else(|| format!("pod `{}` has no container `{container}`", pod.plan.name))?;
    let process = Process { command, ..plan.process.clone() };
    run_beside(&process, descriptors).await.map_err(|failure| failure.to_string())
}

/// Runs a command with a container's mounts and user, to its end.
pub(super) async fn run_beside(process: &Process, descriptors: Vec<OwnedFd>) -> Result<i32, Failure> {
    let streams = match descriptors.len() {
        3 => descriptors,
        _ => silent_streams().step("open `/dev/null`")?.into(),
    };
    let mut started = spawn(process, Stdio::null(), Stdio::null(), &streams).await?;
    drop(streams);
    started.wait().await.map(exit_code).step("wait for the command")
}

/// The code that a shell would show.
pub(super) fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

async fn spawn(
    process: &Process,
    output: Stdio,
    errors: Stdio,
    inherited: &[OwnedFd],
) -> Result<Started, Failure> {
    let (link, child_link) = Channel::pair().step("make the channel to the container")?;
    let command = stage::command(Stage::Container, "lateen: container", child_link);
    let mut command = tokio::process::Command::from(command);
    let child =
        command.stdout(output).stderr(errors).kill_on_drop(true).spawn().step("start the container")?;
    // The write ends of the log belong to the child alone from here on.
    drop(command);
    let pid = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
    let pid = pid.ok_or_else(|| Failure::new("start the container", "it ended at once"))?;
    let started = Started { child, pid };
    let link = link.into_async().step("watch the container's start")?;
    let descriptors: Vec<_> = inherited.iter().map(AsFd::as_fd).collect();
    link.send(process, &descriptors).await.step("tell the container what to run")?;
    match link.receive::<Failure>().await.step("watch the container's start")? {
        // The channel ends when the program takes over.
        None => Ok(started),
        Some(received) => Err(received.message),
    }
}

/// Lets the container's user open its own output again, as `/dev/stdout`.
fn give_to(writer: &OwnedFd, identity: &Identity) -> Result<(), Failure> {
    match identity.space {
        UserSpace::Own => Ok(()),
        UserSpace::World => {
            let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
            rustix::fs::fchown(writer, Some(uid), Some(gid)).step("give the container its output")
        }
    }
}

/// The log of a container: the file, and the one before it.
struct Log {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Log {
    fn open(path: PathBuf) -> Result<Log, Failure> {
        let step = || format!("open the log `{}`", path.display());
        if let Some(parent) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(parent).step(step())?;
        }
        let file = append_to(&path).step(step())?;
        let length = file.metadata().step(step())?.len();
        Ok(Log { path, file, length })
    }

    /// Writes down what comes, until every process that could write has ended.
    async fn follow(mut self, mut reader: pipe::Receiver) {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match reader.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                // A full disk must not stop the container; what cannot be written is lost.
                Ok(length) => drop(self.write(&buffer[..length])),
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if self.length >= LOG_LIMIT {
            std::fs::rename(&self.path, self.path.with_extension("log.1"))?;
            self.file = append_to(&self.path)?;
            self.length = 0;
        }
        self.length += bytes.len() as u64;
        self.file.write_all(bytes)
    }
}

fn append_to(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}
