//! The mesh's centre, inside the world: network, names, pods, doors, and the programs that the caller adds.

pub mod control;
pub(crate) mod exec;
pub(crate) mod host_client;
mod rules_task;
mod waiting;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::LocalSet;

use crate::caller::Caller;
use crate::channel::Channel;
use crate::dns;
use crate::failure::{Failure, Step};
use crate::handover::{Handover, Settings};
use crate::home::Home;
use crate::kubelet::{Kubelet, Objects, Outputs, PodSummary, Request, Setup};
use crate::network::{DNS_ADDRESS, doors, egress, filter, links};
use crate::progress::{Doors, Progress};
use control::ControlRoutes;
use host_client::HostClient;

/// The programs that run in the supervisor, given by whoever links the mesh together.
///
/// It is called in a tokio runtime of several threads, when the world's network stands.
pub trait Programs {
    /// Starts the programs; what they return keeps them running.
    fn start(&self, world: World) -> futures_util::future::BoxFuture<'static, Result<Parts, String>>;
}

/// What the programs are given.
#[derive(Debug, Clone)]
pub struct World {
    /// The mesh's directory.
    pub home: PathBuf,
    /// What the caller of `up` said for them.
    pub settings: serde_json::Value,
    /// How capture rules know a proxy's own connections here.
    pub proxy_match: capture::ProxyMatch,
    /// Every object as the cluster shows it: Services with their addresses, pods with their status.
    pub cluster: watch::Receiver<Arc<Objects>>,
}

/// What is done to a pod before it runs: the pod as it shall be, or why it may not run.
pub type Admit = Box<dyn Fn(serde_json::Value, &Objects) -> Result<serde_json::Value, String>>;

/// Gives the line that proves, to whoever reads it first, that he is a service account: by namespace and name.
///
/// It is asked anew for each proof; what is in the line is between the programs and the proxy.
pub type Credentials = Arc<dyn Fn(&str, &str) -> String + Send + Sync>;

/// What the programs give.
pub struct Parts {
    /// What users wrote, and what is built in.
    pub objects: watch::Receiver<Arc<Objects>>,
    /// What they answer on the control socket.
    pub routes: ControlRoutes,
    /// What is done to a pod before it runs.
    pub admit: Admit,
    /// What sidecars and gateways prove their identity with.
    pub credentials: Option<Credentials>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// The supervisor's whole life.
pub(crate) fn main(link: &Channel, programs: &dyn Programs) -> ExitCode {
    let handover = match Handover::receive(link) {
        Ok(handover) => handover,
        Err(error) => {
            eprintln!("supervisor: {error}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("supervisor: {error}");
            return ExitCode::FAILURE;
        }
    };
    // The kernel ties a process to the thread that started it: everything that starts processes runs on this one.
    let local = LocalSet::new();
    local.block_on(&runtime, async move {
        let Handover { settings, host, lock: _lock, control, exec, gateway } = handover;
        let host = match Channel::from(host).into_async() {
            Ok(channel) => HostClient::start(channel),
            Err(error) => {
                eprintln!("supervisor: {error}");
                return ExitCode::FAILURE;
            }
        };
        match run(settings, Sockets { control, exec, gateway }, Arc::clone(&host), programs).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                eprintln!("supervisor: {failure}");
                host.failed(failure).await;
                ExitCode::FAILURE
            }
        }
    })
}

struct Sockets {
    control: OwnedFd,
    exec: OwnedFd,
    gateway: OwnedFd,
}

async fn run(
    settings: Settings,
    sockets: Sockets,
    host: Arc<HostClient>,
    programs: &dyn Programs,
) -> Result<(), Failure> {
    let netlink = links::connect()?;
    links::configure_world(&netlink).await?;
    let backend = filter::find().await?;
    let outputs = Outputs {
        rules: watch::Sender::default(),
        table: watch::Sender::default(),
        targets: watch::Sender::default(),
        objects: watch::Sender::default(),
        pods: watch::Sender::default(),
        refusals: watch::Sender::default(),
    };
    // The first rules show whether this machine takes any; their failure must reach the person who waits.
    rules_task::apply(backend, &outputs.rules.borrow()).await?;
    let applied = watch::Sender::new(Arc::clone(&outputs.rules.borrow()));
    let settled = watch::Sender::default();
    let pods = settled.subscribe();
    let (rules, news) = (outputs.rules.subscribe(), outputs.pods.subscribe());
    tokio::spawn(rules_task::settle(news, rules.clone(), applied.subscribe(), settled));
    tokio::task::spawn_local(rules_task::follow(backend, rules, applied));
    dns::server::serve(DNS_ADDRESS, outputs.table.subscribe(), Arc::clone(&host)).await?;
    egress::serve(Arc::clone(&host)).await?;

    let world = World {
        home: settings.home.clone(),
        settings: settings.programs.clone(),
        proxy_match: proxy_match(settings.caller),
        cluster: outputs.objects.subscribe(),
    };
    let started = programs.start(world).await;
    let Parts { objects, routes, admit, credentials } = started.step("start the mesh's programs")?;

    let opened = watch::Sender::new(Vec::new());
    let door = doors::listener(sockets.gateway).step("take over the gateway's door")?;
    let targets = outputs.targets.subscribe();
    tokio::spawn(doors::serve(door, settings.gateway, Arc::clone(&host), targets, opened.clone()));

    let (requests, incoming) = mpsc::unbounded_channel();
    let places = control::Places {
        home: settings.home.clone(),
        gateway: settings.gateway,
        doors: opened.subscribe(),
        refusals: outputs.refusals.subscribe(),
    };
    control::serve(sockets.control, routes, places, pods.clone(), Arc::clone(&host))?;
    exec::serve(sockets.exec, pods.clone(), requests.clone())?;

    let home = Home::opened(settings.home.clone());
    let setup = Setup { home, caller: settings.caller, netlink, admit, credentials };
    let waiting = waiting::Waiting {
        host: Arc::clone(&host),
        objects: objects.clone(),
        pods,
        refusals: outputs.refusals.subscribe(),
        gateway: settings.gateway,
        doors: opened.subscribe(),
    };
    let kubelet = tokio::task::spawn_local(Kubelet::run(setup, outputs, objects, incoming));
    let doors = Doors { gateway: settings.gateway, others: Vec::new() };
    host.progress(Progress::World(doors)).await;
    tokio::spawn(waiting.tell());

    // The sender lives as long as the client, which is held here.
    let _ = host.stopping().wait_for(|stop| *stop).await;
    let (sender, ended) = oneshot::channel();
    if requests.send(Request::End(sender)).is_ok() {
        let _ = ended.await;
    }
    kubelet.abort();
    Ok(())
}

/// With one mapped user the kernel refuses to match a socket's owner.
fn proxy_match(caller: Caller) -> capture::ProxyMatch {
    if caller.is_root() {
        return capture::ProxyMatch::Owner { uids: vec![capture::PROXY_ID], gids: vec![capture::PROXY_ID] };
    }
    capture::ProxyMatch::Dscp(capture::PROXY_DSCP)
}

/// The path of a mesh's file, as the supervisor and a command outside both see it.
pub(crate) fn log_path(home: &Path, pod: &PodSummary, container: &str) -> PathBuf {
    Home::opened(home.to_owned()).container_log(&pod.namespace, &pod.name, container)
}
