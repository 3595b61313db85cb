//! From the store's states to snapshots: each revision is a generation.

use std::collections::BTreeMap;
use std::sync::Arc;

use config_store::State;
use resources::{Object, ObjectKey};
use tokio::sync::watch;
use translation::snapshot::Change;

use crate::mesh::{Mesh, Published};

/// Publishes `state` as a whole.
pub(crate) fn take(mesh: &Mesh, state: &State) {
    advance(mesh, &BTreeMap::new(), state);
}

/// Publishes every state that follows, until the store is gone.
pub(crate) async fn follow(mesh: Arc<Mesh>, mut store: watch::Receiver<Arc<State>>) {
    let mut known = Arc::clone(&store.borrow());
    loop {
        let state = Arc::clone(&store.borrow_and_update());
        if state.revision != known.revision {
            advance(&mesh, &known.objects, &state);
            mesh.sweep();
            known = state;
        }
        if store.changed().await.is_err() {
            return;
        }
    }
}

fn advance(mesh: &Mesh, known: &BTreeMap<ObjectKey, Arc<Object>>, state: &State) {
    let changes = changes(known, &state.objects);
    let before = mesh.published();
    mesh.metrics.count_changes(&changes);
    mesh.publish(Published { generation: state.revision, snapshot: before.snapshot.apply(&changes) });
}

/// What leads from one set of objects to another.
fn changes(from: &BTreeMap<ObjectKey, Arc<Object>>, to: &BTreeMap<ObjectKey, Arc<Object>>) -> Vec<Change> {
    let removed = from.keys().filter(|key| !to.contains_key(key)).map(|key| Change::Remove(key.clone()));
    let upserted = to
        .iter()
        .filter(|(key, object)| from.get(key).is_none_or(|known| !Arc::ptr_eq(known, object)))
        .map(|(_, object)| Change::Upsert(Arc::clone(object)));
    removed.chain(upserted).collect()
}
