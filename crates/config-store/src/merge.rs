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
/// A source that is gone stays as it was.
pub fn merge(sources: Vec<(watch::Receiver<Arc<State>>, Filter)>) -> watch::Receiver<Arc<Merged>> {
    let mut sources: Vec<Source> =
        sources.into_iter().map(|(states, filter)| Source { states, filter, is_open: true }).collect();
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

struct Source {
    states: watch::Receiver<Arc<State>>,
    filter: Filter,
    is_open: bool,
}

/// Waits for any source; false when all are gone.
async fn changed(sources: &mut [Source]) -> bool {
    loop {
        let open = sources.iter_mut().filter(|source| source.is_open);
        let waits: Vec<_> = open
            .map(|source| {
                Box::pin(async {
                    source.is_open = source.states.changed().await.is_ok();
                    source.is_open
                })
            })
            .collect();
        if waits.is_empty() {
            return false;
        }
        if futures_util::future::select_all(waits).await.0 {
            return true;
        }
    }
}

fn join(sources: &mut [Source], revision: u64) -> Merged {
    let mut objects = Objects::new();
    let mut problems = Vec::new();
    let mut revisions = Vec::with_capacity(sources.len());
    for source in sources {
        let state = source.states.borrow_and_update();
        revisions.push(state.revision);
        problems.extend(state.problems.iter().cloned());
        let chosen = state.objects.iter().filter(|(key, _)| (source.filter)(key));
        objects.extend(chosen.map(|(key, object)| (key.clone(), Arc::clone(object))));
    }
    Merged { state: Arc::new(State { revision, objects, problems }), sources: revisions }
}

#[cfg(test)]
mod tests;
