//! The process that holds a pod: its network, its containers, their probes and hooks.

mod action;
pub(crate) mod back_off;
mod board;
mod lifecycle;
pub(crate) mod plan;
mod process;
mod runner;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use tokio::sync::{oneshot, watch};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::Instant;

use crate::channel::{AsyncChannel, Channel, Received};
use crate::failure::{Failure, Step};
use crate::network::links;
use board::Board;
use plan::{FromPod, Grace, Manner, PodPlan, ToPod};

/// What all parts of a pod share.
struct Pod {
    plan: PodPlan,
    channel: Rc<AsyncChannel>,
    board: Board,
    /// The order to end.
    stop: watch::Sender<Option<Stop>>,
    /// Seconds between SIGTERM and SIGKILL where nobody says otherwise.
    grace: Grace,
    /// What the pod's proxy proves its identity with.
    credentials: Option<OwnedFd>,
}

/// An order to end.
#[derive(Clone, Copy)]
struct Stop {
    /// When patience ends.
    deadline: Instant,
    /// How it is asked until then.
    manner: Manner,
}

impl Stop {
    /// Counted from now.
    fn after(grace: Grace) -> Stop {
        Stop { deadline: Instant::now() + Duration::from_secs(grace.seconds), manner: grace.manner }
    }
}

/// The pod's whole life.
pub(crate) fn main(link: Channel) -> ExitCode {
    // A session of its own, so that signals to containers' groups never reach it. A fresh child leads none.
    let _ = rustix::process::setsid();
    match run(link) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("pod: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(link: Channel) -> Result<(), Failure> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS).step("make the pod's namespaces")?;
    let namespace = File::open("/proc/self/ns/net").step("open the pod's network namespace")?;
    link.send(&FromPod::Namespaces, &[namespace.as_fd()]).step("reach the supervisor")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .step("start the pod's runtime")?;
    let local = LocalSet::new();
    local.block_on(&runtime, async move {
        let channel = Rc::new(link.into_async().step("watch the supervisor")?);
        attend(channel).await
    })
}

/// Does what the supervisor says, until it is gone or the pod has ended.
async fn attend(channel: Rc<AsyncChannel>) -> Result<(), Failure> {
    let mut pod: Option<Rc<Pod>> = None;
    let mut ended: Option<oneshot::Receiver<()>> = None;
    let commands: Commands = Rc::default();
    loop {
        let received = tokio::select! {
            received = channel.receive::<ToPod>() => received.step("hear from the supervisor")?,
            // Told already; nothing is left to do.
            () = end_of(&mut ended) => return Ok(()),
        };
        let Some(Received { message, descriptors }) = received else { return Ok(()) };
        match message {
            ToPod::Run(plan, grace) => {
                match begin(&channel, *plan, grace, descriptors.into_iter().next()).await {
                    Ok((begun, end)) => (pod, ended) = (Some(begun), Some(end)),
                    Err(failure) => {
                        channel
                            .send(&FromPod::Failed(failure.clone()), &[])
                            .await
                            .step("reach the supervisor")?;
                        return Err(failure);
                    }
                }
            }
            ToPod::Terminate(grace) => match &pod {
                Some(pod) => drop(pod.stop.send_replace(Some(Stop::after(grace)))),
                None => return Ok(()),
            },
            ToPod::Exec { number, container, command } => {
                if let Some(pod) = &pod {
                    execute(pod, &commands, number, &container, command, descriptors);
                }
            }
            ToPod::Kill(number) => drop(commands.borrow_mut().remove(&number)),
        }
    }
}

async fn end_of(ended: &mut Option<oneshot::Receiver<()>>) {
    match ended {
        // A sender that was dropped means the same.
        Some(ended) => drop(ended.await),
        None => std::future::pending().await,
    }
}

/// Commands that run, each ended when its sender is dropped.
type Commands = Rc<RefCell<HashMap<u64, oneshot::Sender<()>>>>;

/// Configures the pod's namespaces and starts its containers.
async fn begin(
    channel: &Rc<AsyncChannel>,
    plan: PodPlan,
    grace: Grace,
    credentials: Option<OwnedFd>,
) -> Result<(Rc<Pod>, oneshot::Receiver<()>), Failure> {
    rustix::system::sethostname(plan.hostname.as_bytes()).step("set the pod's host name")?;
    let handle = links::connect()?;
    links::configure_pod(&handle, plan.address).await?;
    // Containers listen on any port without being root, as they are used to.
    let setting = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    std::fs::write(setting, "0").step(format!("write `{setting}`"))?;
    std::fs::create_dir_all(&plan.logs).step(format!("make `{}`", plan.logs.display()))?;
    let pod = Rc::new(Pod {
        board: Board::new(&plan),
        plan,
        channel: Rc::clone(channel),
        stop: watch::Sender::new(None),
        grace,
        credentials,
    });
    let (sender, ended) = oneshot::channel();
    spawn_local(board::publish(Rc::clone(&pod)));
    let running = Rc::clone(&pod);
    spawn_local(async move {
        lifecycle::run(&running).await;
        let reports = running.board.reports();
        // The supervisor sees the end of the channel when it does not see this.
        let _ = running.channel.send(&FromPod::Status(reports), &[]).await;
        let _ = running.channel.send(&FromPod::Finished, &[]).await;
        let _ = sender.send(());
    });
    Ok((pod, ended))
}

/// Runs a command in a container for somebody outside.
fn execute(
    pod: &Rc<Pod>,
    commands: &Commands,
    number: u64,
    container: &str,
    command: Vec<String>,
    descriptors: Vec<OwnedFd>,
) {
    let (pod, commands, container) = (Rc::clone(pod), Rc::clone(commands), container.to_owned());
    let (sender, cancelled) = oneshot::channel();
    commands.borrow_mut().insert(number, sender);
    spawn_local(async move {
        let outcome = tokio::select! {
            outcome = process::execute(&pod, &container, command, descriptors) => outcome,
            // The client is gone; dropping the other branch has killed the command.
            _ = cancelled => Err("the client is gone".to_owned()),
        };
        commands.borrow_mut().remove(&number);
        let _ = pod.channel.send(&FromPod::Executed { number, outcome }, &[]).await;
    });
}
