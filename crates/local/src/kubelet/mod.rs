//! The kubelet's part: Deployments become pods, pods become processes, and their status becomes objects.

pub(crate) mod addresses;
pub(crate) mod context;
pub(crate) mod credentials;
pub(crate) mod deployments;
mod entry;
pub(crate) mod environment;
pub mod images;
pub(crate) mod names;
pub(crate) mod pod_task;
mod pods;
mod publish;
pub(crate) mod resolve;
pub(crate) mod status;
pub(crate) mod summary;
pub(crate) mod volumes;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use resources::{Kind, Object, ObjectKey};
use rtnetlink::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use crate::caller::Caller;
use crate::dns::table::Table;
use crate::home::Home;
use crate::network::doors::Targets;
use crate::network::rules::Rules;
use crate::pod::plan::Grace;
use crate::services::{Addresses, Addressing};
use crate::supervisor::{Admit, Credentials};
use addresses::Places;
use entry::PodEntry;
use images::Images;
use pod_task::{Command, Execution, News};
use publish::ServiceCache;
pub(crate) use summary::PodSummary;

/// Objects by key.
pub(crate) type Objects = BTreeMap<ObjectKey, Arc<Object>>;

/// Namespace and name of a pod.
pub(crate) type PodName = (String, String);

/// What the kubelet's part tells everybody else.
#[derive(Debug)]
pub(crate) struct Outputs {
    /// Packet-filter rules.
    pub(crate) rules: watch::Sender<Arc<Rules>>,
    /// Names.
    pub(crate) table: watch::Sender<Arc<Table>>,
    /// Where doors lead.
    pub(crate) targets: watch::Sender<Arc<Targets>>,
    /// All objects, with pods and addresses.
    pub(crate) objects: watch::Sender<Arc<Objects>>,
    /// The pods, in short.
    pub(crate) pods: watch::Sender<Arc<Vec<PodSummary>>>,
    /// Objects of which no pod can be made, and why.
    pub(crate) refusals: watch::Sender<Arc<BTreeMap<String, String>>>,
}

/// How the kubelet's part is set up.
pub(crate) struct Setup {
    /// The mesh's directory.
    pub(crate) home: Home,
    /// Who runs the mesh.
    pub(crate) caller: Caller,
    /// The world's network configuration.
    pub(crate) netlink: Handle,
    /// What is done to a pod before it runs: injection.
    pub(crate) admit: Admit,
    /// What sidecars and gateways prove their identity with.
    pub(crate) credentials: Option<Credentials>,
}

/// A request to the kubelet's part.
pub(crate) enum Request {
    /// Run a command in a pod.
    Execute {
        /// The pod.
        pod: PodName,
        /// The command.
        execution: Execution,
    },
    /// End all pods; answered when nothing is left of them.
    End(oneshot::Sender<()>),
}

enum Event {
    Pod(String, News),
    /// A pod that was lost may start again.
    Due(String),
    /// A pod has been ready long enough.
    Aged,
}

/// The kubelet's part.
pub(crate) struct Kubelet {
    setup: Setup,
    outputs: Outputs,
    objects: Arc<Objects>,
    images: Images,
    images_file: PathBuf,
    /// By unique id.
    pods: BTreeMap<String, PodEntry>,
    places: Places,
    addresses: Addresses,
    addressing: BTreeMap<ObjectKey, Addressing>,
    service_cache: ServiceCache,
    /// Objects of which no pod can be made, and why; tried again when objects change.
    refusals: BTreeMap<String, String>,
    events: mpsc::UnboundedSender<Event>,
    ending: Option<oneshot::Sender<()>>,
}

impl Kubelet {
    /// Serves until everything has ended.
    pub(crate) async fn run(
        setup: Setup,
        outputs: Outputs,
        mut objects: watch::Receiver<Arc<Objects>>,
        mut requests: mpsc::UnboundedReceiver<Request>,
    ) {
        let (events, mut incoming) = mpsc::unbounded_channel();
        let images_file = setup.home.images();
        let images = load_images(&images_file);
        let current = Arc::clone(&objects.borrow_and_update());
        let mut kubelet = Kubelet {
            setup,
            outputs,
            objects: current,
            images,
            images_file,
            pods: BTreeMap::new(),
            places: Places::default(),
            addresses: Addresses::default(),
            addressing: BTreeMap::new(),
            service_cache: ServiceCache::default(),
            refusals: BTreeMap::new(),
            events,
            ending: None,
        };
        kubelet.objects_changed();
        let mut objects_live = true;
        loop {
            tokio::select! {
                changed = objects.changed(), if objects_live => match changed {
                    Ok(()) => {
                        kubelet.objects = Arc::clone(&objects.borrow_and_update());
                        kubelet.objects_changed();
                    }
                    Err(_) => objects_live = false,
                },
                Some(event) = incoming.recv() => {
                    kubelet.handle(event);
                    // Pods change in bursts; what follows from them is worked out once.
                    while let Ok(event) = incoming.try_recv() {
                        kubelet.handle(event);
                    }
                    kubelet.reconcile();
                    kubelet.publish();
                }
                Some(request) = requests.recv() => kubelet.answer(request),
            }
            if kubelet.pods.is_empty()
                && let Some(ended) = kubelet.ending.take()
            {
                let _ = ended.send(());
                return;
            }
        }
    }

    fn objects_changed(&mut self) {
        self.images = load_images(&self.images_file);
        self.refusals.clear();
        self.addressing = self.addresses.assign(&self.services());
        self.reconcile();
        self.refresh_volumes();
        self.publish();
    }

    fn services(&self) -> Vec<Arc<Object>> {
        self.of_kind(Kind::Service)
    }

    fn of_kind(&self, kind: Kind) -> Vec<Arc<Object>> {
        self.objects.values().filter(|object| object.key.kind == kind).map(Arc::clone).collect()
    }

    fn answer(&mut self, request: Request) {
        match request {
            Request::Execute { pod: (namespace, name), execution } => {
                let entry =
                    self.pods.values().find(|entry| entry.namespace == namespace && entry.name == name);
                match entry.and_then(PodEntry::commands) {
                    Some(commands) => drop(commands.send(Command::Execute(execution))),
                    None => drop(execution.outcome.send(Err(format!("pod `{name}` is not running")))),
                }
            }
            Request::End(ended) => {
                self.ending = Some(ended);
                self.objects = Arc::default();
                for entry in self.pods.values_mut() {
                    entry.end(Grace::AT_THE_END);
                }
                self.drop_ended();
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Pod(uid, News::Status(reports)) => {
                if let Some(entry) = self.pods.get_mut(&uid) {
                    entry.reported(reports);
                }
            }
            Event::Pod(uid, News::Finished) => {
                if let Some(entry) = self.pods.get_mut(&uid) {
                    entry.finished();
                }
            }
            Event::Pod(uid, News::Gone(failure)) => self.gone(&uid, failure),
            Event::Due(uid) => {
                if let Some(entry) = self.pods.get_mut(&uid) {
                    entry.due();
                }
            }
            Event::Aged => {}
        }
    }

    fn gone(&mut self, uid: &str, failure: Option<crate::failure::Failure>) {
        let Some(entry) = self.pods.get_mut(uid) else { return };
        if let Some(wait) = entry.lost(failure) {
            let (events, uid) = (self.events.clone(), uid.to_owned());
            tokio::task::spawn_local(async move {
                tokio::time::sleep(wait).await;
                // The kubelet's part may have ended meanwhile.
                let _ = events.send(Event::Due(uid));
            });
        }
        self.drop_ended();
    }

    /// Forgets pods of which nothing is left and nobody wants more.
    fn drop_ended(&mut self) {
        let places = &mut self.places;
        self.pods.retain(|_, entry| {
            let keep = !entry.is_over();
            if !keep {
                places.give_back(entry.place);
            }
            keep
        });
    }

    fn wake_after(&self, wait: Duration) {
        let events = self.events.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(wait).await;
            let _ = events.send(Event::Aged);
        });
    }
}

fn load_images(file: &std::path::Path) -> Images {
    Images::load(file).unwrap_or_else(|error| {
        tracing::warn!("{error}");
        Images::bundled()
    })
}
