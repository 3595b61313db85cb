//! One proxy on one stream: requests in, replies out, and the newest snapshot
//! as its target.

use std::sync::Arc;
use std::time::Duration;

use telemetry::status::{ProxyStatus, RejectionStatus, TypeStatus};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tonic::Status;
use translation::node::{Kind, Node};
use xds::envoy::config::core::v3;
use xds::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use xds::resource::ResourceSet;
use xds::subscription::Protocol;
use xds::subscription::server::{Event, Reply, Stream, Summary};

use crate::caller::Caller;
use crate::mesh::{Mesh, Published};
use crate::registry::Place;

/// How long types wait for each other when a proxy does not ask for what would
/// end the wait.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A request of either form.
#[derive(Debug)]
pub(crate) enum Request {
    /// State of the world.
    StateOfTheWorld(Box<DiscoveryRequest>),
    /// Delta.
    Delta(Box<DeltaDiscoveryRequest>),
}

impl Request {
    fn node(&self) -> Option<&v3::Node> {
        match self {
            Self::StateOfTheWorld(request) => request.node.as_ref(),
            Self::Delta(request) => request.node.as_ref(),
        }
    }
}

/// Where requests come from: `None` is the stream's end.
pub(crate) trait Requests: Send {
    fn next(&mut self) -> impl Future<Output = Result<Option<Request>, Status>> + Send;
}

/// Serves one stream until it ends; replies go to `replies`.
pub(crate) async fn serve(
    mesh: Arc<Mesh>,
    protocol: Protocol,
    caller: Caller,
    mut requests: impl Requests,
    replies: mpsc::Sender<Result<Reply, Status>>,
) {
    match begin(&mesh, protocol, &caller, &mut requests).await {
        Ok(Some(mut connection)) => {
            if let Err(status) = connection.run(&mut requests, &replies).await {
                let _ = replies.send(Err(status)).await;
            }
            connection.end();
        }
        Ok(None) => {}
        Err(status) => {
            let _ = replies.send(Err(status)).await;
        }
    }
}

/// The first request says who is there.
async fn begin(
    mesh: &Arc<Mesh>,
    protocol: Protocol,
    caller: &Caller,
    requests: &mut impl Requests,
) -> Result<Option<Connection>, Status> {
    let Some(first) = requests.next().await? else { return Ok(None) };
    let told = first.node().ok_or_else(|| Status::invalid_argument("the first request names no node"))?;
    let node = Node::from_xds(told).map_err(|error| Status::invalid_argument(error.to_string()))?;
    caller.check(&node)?;
    let status = status_of(&node, told, protocol);
    tracing::info!(node = node.id, agent = status.user_agent, "proxy connected");
    let published = mesh.subscribe();
    let client = format!("{} {}", node.id, told.user_agent_name);
    let stream = Stream::new(protocol, "lateen", mesh.registry.recall(&client));
    let place = Place::enter(mesh, node.clone(), status);
    let mut connection = Connection {
        mesh: Arc::clone(mesh),
        node,
        client,
        stream,
        place,
        published,
        target: ResourceSet::default(),
        changed_generation: 0,
        release_at: None,
    };
    connection.retarget();
    connection.take(first);
    Ok(Some(connection))
}

struct Connection {
    mesh: Arc<Mesh>,
    node: Node,
    /// Its node id and program.
    client: String,
    stream: Stream,
    place: Place,
    published: watch::Receiver<Arc<Published>>,
    target: ResourceSet,
    changed_generation: u64,
    release_at: Option<Instant>,
}

impl Connection {
    async fn run(
        &mut self,
        requests: &mut impl Requests,
        replies: &mpsc::Sender<Result<Reply, Status>>,
    ) -> Result<(), Status> {
        loop {
            while let Some(reply) = self.stream.next_reply() {
                self.mesh.metrics.count_push(&reply);
                if replies.send(Ok(reply)).await.is_err() {
                    return Ok(());
                }
            }
            self.tell();
            let release_at = self.release_at();
            tokio::select! {
                request = requests.next() => match request? {
                    Some(request) => self.take(request),
                    None => return Ok(()),
                },
                changed = self.published.changed() => match changed {
                    Ok(()) => self.retarget(),
                    Err(_) => return Ok(()),
                },
                () = sleep_until(release_at.unwrap_or_else(Instant::now)), if release_at.is_some() => {
                    self.release_at = None;
                    self.stream.stop_waiting();
                }
            }
        }
    }

    /// When waiting between types ends, while there is any.
    fn release_at(&mut self) -> Option<Instant> {
        if !self.stream.is_behind() {
            self.release_at = None;
        }
        self.release_at
    }

    fn take(&mut self, request: Request) {
        let event = match &request {
            Request::StateOfTheWorld(request) => self.stream.on_state_of_the_world(request),
            Request::Delta(request) => self.stream.on_delta(request),
        };
        match event {
            Event::Rejected(rejections) => {
                for rejection in &rejections {
                    self.mesh.metrics.count_rejection();
                    tracing::warn!(
                        node = self.node.id,
                        resource = rejection.name,
                        reason = rejection.message,
                        "proxy refuses a resource"
                    );
                }
            }
            Event::RejectedUnnamed(message) => {
                tracing::warn!(node = self.node.id, message, "proxy refuses a push, and is asked one by one");
            }
            Event::Subscribed | Event::Acknowledged | Event::Stale => {}
        }
    }

    /// Makes the newest snapshot the target.
    fn retarget(&mut self) {
        let published = Arc::clone(&self.published.borrow_and_update());
        let target = self.mesh.generate(&published.snapshot, &self.node);
        if !is_same(&self.target, &target) {
            self.changed_generation = published.generation;
        }
        self.target = target.clone();
        self.stream.set_target(published.generation, target);
        self.release_at = Some(Instant::now() + LONGEST_WAIT);
    }

    fn tell(&self) {
        let held = self.stream.settled_generation();
        let changed = self.changed_generation;
        let types: Vec<TypeStatus> = self.stream.summaries().into_iter().map(type_status).collect();
        self.place.update(|status| {
            status.held_generation = held;
            status.changed_generation = changed;
            status.types = types;
        });
    }

    fn end(self) {
        tracing::info!(node = self.node.id, "proxy disconnected");
        self.mesh.registry.remember(&self.client, self.stream.into_memory());
    }
}

/// Whether two targets hold the same versions.
fn is_same(left: &ResourceSet, right: &ResourceSet) -> bool {
    let count = |set: &ResourceSet| set.iter().map(|(_, named)| named.len()).sum::<usize>();
    count(left) == count(right)
        && right.iter().all(|(type_url, named)| {
            left.get(type_url).is_some_and(|other| {
                Arc::ptr_eq(other, named)
                    || named.iter().all(|(name, resource)| {
                        other.get(name).is_some_and(|known| known.version == resource.version)
                    })
            })
        })
}

fn status_of(node: &Node, told: &v3::Node, protocol: Protocol) -> ProxyStatus {
    ProxyStatus {
        node: node.id.clone(),
        name: node.name.clone(),
        namespace: node.facets.namespace.clone(),
        kind: match node.facets.kind {
            Kind::Sidecar => "sidecar",
            Kind::Router => "router",
        }
        .to_owned(),
        user_agent: told.user_agent_name.clone(),
        protocol: match protocol {
            Protocol::Delta => "delta",
            Protocol::StateOfTheWorld => "sotw",
        }
        .to_owned(),
        ..ProxyStatus::default()
    }
}

fn type_status(summary: Summary) -> TypeStatus {
    TypeStatus {
        type_url: summary.type_url,
        held: summary.held,
        sent: summary.sent,
        acknowledged: summary.acknowledged,
        version: summary.version,
        rejections: summary
            .rejections
            .into_iter()
            .map(|rejection| RejectionStatus {
                name: rejection.name,
                version: rejection.version,
                message: rejection.message,
            })
            .collect(),
    }
}
