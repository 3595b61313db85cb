//! One pod process, from its start to the last trace of it.

use std::collections::HashMap;
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;
use std::time::Duration;

use rtnetlink::Handle;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::sync::{mpsc, oneshot};

use super::credentials::{self, Proofs};
use super::resolve::Resolved;
use super::volumes;
use crate::channel::{AsyncChannel, Channel, Received};
use crate::failure::{Failure, Step};
use crate::network::links;
use crate::place;
use crate::pod::plan::{ContainerReport, FromPod, Grace, ToPod};
use crate::processes;
use crate::stage::{self, Stage};

/// What somebody wants from a running pod.
pub(crate) enum Command {
    /// End it.
    Terminate(Grace),
    /// Run a command in a container.
    Execute(Execution),
}

/// A command to run in a container.
pub(crate) struct Execution {
    /// The container.
    pub(crate) container: String,
    /// The command.
    pub(crate) command: Vec<String>,
    /// Its standard streams.
    pub(crate) streams: Vec<OwnedFd>,
    /// Gets the exit code; when it is dropped before, the command is ended.
    pub(crate) outcome: oneshot::Sender<Result<i32, String>>,
}

/// What happens in a pod.
pub(crate) enum News {
    /// How its containers are.
    Status(Vec<ContainerReport>),
    /// Every container has ended for good.
    Finished,
    /// Nothing is left of it.
    Gone(Option<Failure>),
}

/// Everything to start a pod with.
pub(crate) struct Task {
    /// Its unique id.
    pub(crate) uid: String,
    /// Its place among links.
    pub(crate) place: u32,
    /// Its address.
    pub(crate) address: Ipv4Addr,
    /// What runs in it.
    pub(crate) resolved: Resolved,
    /// Group of its volumes.
    pub(crate) group: Option<u32>,
    /// Seconds between SIGTERM and SIGKILL.
    pub(crate) grace: Grace,
    /// The world's network configuration.
    pub(crate) netlink: Handle,
    /// What its proxy proves its identity with.
    pub(crate) proofs: Option<Proofs>,
}

/// How much longer than its grace a pod may take to end.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often a command's client is looked after.
const CLIENT_CHECK: Duration = Duration::from_millis(200);

/// Runs a pod; `tell` hears of everything, and last that it is gone.
pub(crate) async fn run(task: Task, mut commands: mpsc::UnboundedReceiver<Command>, tell: impl Fn(News)) {
    let mut process = None;
    let outcome = match start(&task, &mut process).await {
        Ok(channel) => attend(&channel, &mut commands, &tell).await,
        Err(failure) => Err(failure),
    };
    if let Some(Process { mut child, namespace }) = process {
        // It has ended, or will not by itself.
        let _ = child.start_kill();
        let _ = child.wait().await;
        bury(namespace).await;
    }
    links::detach_pod(&task.netlink, task.place).await;
    // Another pod never has this directory; what cannot be removed ends with the world.
    let _ = std::fs::remove_dir_all(place::pod(&task.uid));
    tell(News::Gone(outcome.err()));
}

/// A pod process and the number of its network namespace.
struct Process {
    child: Child,
    namespace: Option<u64>,
}

async fn start(task: &Task, process: &mut Option<Process>) -> Result<Rc<AsyncChannel>, Failure> {
    write_files(task)?;
    let (link, child_link) = Channel::pair().step("make the channel to the pod")?;
    let label = format!("lateen: pod {}/{}", task.resolved.plan.namespace, task.resolved.plan.name);
    let command = stage::command(Stage::Pod, &label, child_link);
    let child =
        tokio::process::Command::from(command).kill_on_drop(true).spawn().step("start the pod's process")?;
    let process = process.insert(Process { child, namespace: None });
    let channel = Rc::new(link.into_async().step("watch the pod")?);
    let hello = channel.receive::<FromPod>().await.step("hear from the pod")?;
    let namespace = hello
        .and_then(|received| received.descriptors.into_iter().next())
        .ok_or_else(|| Failure::new("start the pod", "its process ended early; the mesh's log says why"))?;
    let namespace = File::from(namespace);
    process.namespace = namespace.metadata().ok().map(|metadata| metadata.ino());
    links::attach_pod(&task.netlink, task.place, task.address, namespace.as_fd()).await?;
    let plan = Box::new(task.resolved.plan.clone());
    let socket =
        task.proofs.clone().map(credentials::offer).transpose().step("make the proxy's credential")?;
    let descriptors: Vec<_> = socket.iter().map(AsFd::as_fd).collect();
    channel.send(&ToPod::Run(plan, task.grace), &descriptors).await.step("tell the pod what to run")?;
    Ok(channel)
}

fn write_files(task: &Task) -> Result<(), Failure> {
    let directory = place::pod(&task.uid);
    let step = || format!("write the files of pod `{}`", task.resolved.plan.name);
    std::fs::create_dir_all(directory.join("volumes")).step(step())?;
    for (name, text) in &task.resolved.files {
        std::fs::write(directory.join(name), text).step(step())?;
    }
    for (name, content) in &task.resolved.volumes {
        volumes::write(&directory.join("volumes").join(name), content, task.group).step(step())?;
    }
    Ok(())
}

/// Carries news out and commands in until the pod has ended.
async fn attend(
    channel: &Rc<AsyncChannel>,
    commands: &mut mpsc::UnboundedReceiver<Command>,
    tell: &impl Fn(News),
) -> Result<(), Failure> {
    let mut executions: HashMap<u64, oneshot::Sender<Result<i32, String>>> = HashMap::new();
    let mut next = 0;
    let deadline = tokio::time::sleep(Duration::MAX);
    tokio::pin!(deadline);
    let mut clients = tokio::time::interval(CLIENT_CHECK);
    loop {
        tokio::select! {
            received = channel.receive::<FromPod>() => {
                let Some(Received { message, .. }) = received.step("hear from the pod")? else { return Ok(()) };
                match message {
                    FromPod::Namespaces => {}
                    FromPod::Failed(failure) => return Err(failure),
                    FromPod::Status(reports) => tell(News::Status(reports)),
                    FromPod::Finished => tell(News::Finished),
                    FromPod::Executed { number, outcome } => {
                        if let Some(waiting) = executions.remove(&number) {
                            // The client may have gone meanwhile.
                            let _ = waiting.send(outcome);
                        }
                    }
                }
            }
            command = commands.recv() => match command {
                Some(Command::Terminate(grace)) => {
                    deadline.as_mut().reset(tokio::time::Instant::now() + Duration::from_secs(grace.seconds) + PATIENCE);
                    channel.send(&ToPod::Terminate(grace), &[]).await.step("tell the pod to end")?;
                }
                Some(Command::Execute(Execution { container, command, streams, outcome })) => {
                    next += 1;
                    let descriptors: Vec<_> = streams.iter().map(AsFd::as_fd).collect();
                    let message = ToPod::Exec { number: next, container, command };
                    channel.send(&message, &descriptors).await.step("tell the pod what to run")?;
                    executions.insert(next, outcome);
                }
                None => return Ok(()),
            },
            _ = clients.tick(), if !executions.is_empty() => {
                let gone: Vec<u64> =
                    executions.iter().filter(|(_, client)| client.is_closed()).map(|(number, _)| *number).collect();
                for number in gone {
                    executions.remove(&number);
                    channel.send(&ToPod::Kill(number), &[]).await.step("end a command in the pod")?;
                }
            }
            () = &mut deadline => return Ok(()),
        }
    }
}

/// Ends every process that is left in a pod's network namespace.
///
/// The kernel ends a container with its pod, but not what the container started and left.
async fn bury(namespace: Option<u64>) {
    let Some(namespace) = namespace else { return };
    for _ in 0..100 {
        let left = processes::in_network_namespace(namespace);
        if left.is_empty() {
            return;
        }
        for pid in left.into_iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
