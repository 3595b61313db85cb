//! Several sources as one.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{Objects, State};

/// A joined state: its own revision, and those of the sources that are in it.
#[derive(Debug, Clone, Default)]
pub struct Merged {
    /// The joined state; where sources hold the same key, the later source's
    /// object.
    pub state: Arc<State>,
    /// The revision of each source, in their order.
    pub sources: Vec<u64>,
}

/// Which objects of a source count.
pub type Filter = fn(&resources::ObjectKey) -> bool;

/// Joins sources; the task ends when nobody reads, or all sources are gone.
pub fn merge(sources: Vec<(watch::Receiver<Arc<State>>, Filter)>) -> watch::Receiver<Arc<Merged>> {
    let mut sources = sources;
    let first = join(&mut sources, 1);
    let (sender, receiver) = watch::channel(Arc::new(first));
    tokio::spawn(async move {
        while changed(&mut sources).await {
            let revision = sender.borrow().state.revision + 1;
            let merged = join(&mut sources, revision);
            if sender.send(Arc::new(merged)).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Waits for any source; false when all are gone.
async fn changed(sources: &mut [(watch::Receiver<Arc<State>>, Filter)]) -> bool {
    let waits = sources.iter_mut().map(|(source, _)| Box::pin(source.changed()));
    match futures_util::future::select_all(waits.collect::<Vec<_>>()).await {
        (Ok(()), _, _) => true,
        (Err(_), _, _) => false,
    }
}

fn join(sources: &mut [(watch::Receiver<Arc<State>>, Filter)], revision: u64) -> Merged {
    let mut objects = Objects::new();
    let mut problems = Vec::new();
    let mut revisions = Vec::with_capacity(sources.len());
    for (source, filter) in sources {
        let state = source.borrow_and_update();
        revisions.push(state.revision);
        problems.extend(state.problems.iter().cloned());
        let chosen = state.objects.iter().filter(|(key, _)| filter(key));
        objects.extend(chosen.map(|(key, object)| (key.clone(), Arc::clone(object))));
    }
    Merged { state: Arc::new(State { revision, objects, problems }), sources: revisions }
}

#[cfg(test)]
mod tests;
