//! The programs of a local mesh, wired together in its supervisor: objects from
//! the home's folder, the control plane, injection, and the answers on the
//! control socket.

mod apply;
mod authority;
mod explain;
mod objects;
mod platform;
mod routes;
mod settings;
mod workload;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use config_store::directory::Directory;
use config_store::memory::Memory;
use config_store::merge::{Merged, merge};
use config_store::{Objects, State};
use control_plane::{ControlPlane, Options};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use resources::{Kind, ObjectKey};
use tokio::sync::watch;

pub use settings::{DataPlane, Settings};

/// Port of plain xDS.
const XDS_PORT: u16 = 15010;

/// Port of xDS and certificates over TLS.
const SECURED_PORT: u16 = 15012;

/// Port of metrics, readiness and debug pages.
const MONITORING_PORT: u16 = 15014;

/// What `local` starts in the supervisor.
pub struct MeshPrograms;

impl local::Programs for MeshPrograms {
    fn start(&self, world: local::World) -> BoxFuture<'static, Result<local::Parts, String>> {
        async move { start(world).await.map_err(|error| format!("{error:#}")) }.boxed()
    }
}

/// A running mesh, as its routes see it.
pub(crate) struct Mesh {
    /// What a person applied.
    pub(crate) directory: Directory,
    /// What the control plane was given, and the revision of each source.
    pub(crate) merged: watch::Receiver<Arc<Merged>>,
    /// The control plane.
    pub(crate) control_plane: ControlPlane,
}

/// Place of [`Mesh::directory`] among the merged sources.
pub(crate) const DIRECTORY: usize = 1;

async fn start(world: local::World) -> anyhow::Result<local::Parts> {
    let settings: Settings = serde_json::from_value(world.settings.clone())?;
    let directory = Directory::open(&world.home.join("resources"))?;
    settings::first_objects(&settings, &directory)?;
    let builtin = Memory::holding(platform::objects());

    let wanted = merge(vec![(builtin.subscribe(), every), (directory.subscribe(), every)]);
    let cluster = as_states(world.cluster.clone());
    let merged = merge(vec![
        (builtin.subscribe(), is_not_the_clusters),
        (directory.subscribe(), is_not_the_clusters),
        (cluster, is_the_clusters),
    ]);
    let at = |port| SocketAddr::new(IpAddr::V4(local::CONTROL_PLANE_ADDRESS), port);
    let ca = authority::open(&world.home)?;
    let options = Options {
        xds: Some(at(XDS_PORT)),
        secured: Some(at(SECURED_PORT)),
        ca: Some(Arc::clone(&ca)),
        monitoring: Some(at(MONITORING_PORT)),
    };
    let control_plane = ControlPlane::start(states_of(merged.clone()), &options).await?;

    let mesh = Arc::new(Mesh { directory, merged, control_plane });
    Ok(local::Parts {
        objects: objects_of(wanted),
        routes: routes::of(&mesh),
        admit: platform::injection(&settings, world.proxy_match),
        credentials: Some(authority::credentials(ca)),
    })
}

fn every(_: &ObjectKey) -> bool {
    true
}

/// Services get their addresses, and pods their status, from the cluster.
fn is_the_clusters(key: &ObjectKey) -> bool {
    matches!(key.kind, Kind::Service | Kind::Pod)
}

fn is_not_the_clusters(key: &ObjectKey) -> bool {
    !is_the_clusters(key)
}

/// Objects as states, numbered as they come.
fn as_states(mut objects: watch::Receiver<Arc<Objects>>) -> watch::Receiver<Arc<State>> {
    let first = State { revision: 1, objects: (**objects.borrow_and_update()).clone(), ..State::default() };
    let (sender, receiver) = watch::channel(Arc::new(first));
    tokio::spawn(async move {
        while objects.changed().await.is_ok() {
            let revision = sender.borrow().revision + 1;
            let objects = (**objects.borrow_and_update()).clone();
            if sender.send(Arc::new(State { revision, objects, ..State::default() })).is_err() {
                return;
            }
        }
    });
    receiver
}

fn states_of(mut merged: watch::Receiver<Arc<Merged>>) -> watch::Receiver<Arc<State>> {
    let (sender, receiver) = watch::channel(Arc::clone(&merged.borrow_and_update().state));
    tokio::spawn(async move {
        while merged.changed().await.is_ok() {
            let state = Arc::clone(&merged.borrow_and_update().state);
            if sender.send(state).is_err() {
                return;
            }
        }
    });
    receiver
}

fn objects_of(mut merged: watch::Receiver<Arc<Merged>>) -> watch::Receiver<Arc<Objects>> {
    let objects = |merged: &Merged| Arc::new(merged.state.objects.clone());
    let first = objects(&merged.borrow_and_update());
    let (sender, receiver) = watch::channel(first);
    tokio::spawn(async move {
        while merged.changed().await.is_ok() {
            let now = objects(&merged.borrow_and_update());
            if sender.send(now).is_err() {
                return;
            }
        }
    });
    receiver
}
