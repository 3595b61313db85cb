//! Noticing that files change.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{DirectoryError, Shared};

/// An editor writes a file in several steps; they are read as one.
const QUIET: Duration = Duration::from_millis(20);

/// A watch, and what it tells.
pub(super) struct Events {
    /// The watch lasts as long as this.
    _watcher: RecommendedWatcher,
    received: UnboundedReceiver<()>,
}

/// Begins to watch the folder and all below it.
pub(super) fn start(root: &Path) -> Result<Events, DirectoryError> {
    let failed = |source| DirectoryError::Watch { path: root.to_owned(), source };
    let (sender, received) = unbounded_channel();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // An error may mean lost events: reading again is the answer to both.
        if event.as_ref().map_or(true, |event| !matches!(event.kind, EventKind::Access(_))) {
            let _ = sender.send(());
        }
    })
    .map_err(failed)?;
    watcher.watch(root, RecursiveMode::Recursive).map_err(failed)?;
    Ok(Events { _watcher: watcher, received })
}

/// Reads the folder again after each burst of events.
pub(super) async fn follow(mut events: Events, shared: Arc<Shared>) {
    while events.received.recv().await.is_some() {
        while let Ok(Some(())) = tokio::time::timeout(QUIET, events.received.recv()).await {}
        if let Err(error) = shared.read_all() {
            tracing::warn!(%error, "the folder of resources could not be read; what was read before stays");
        }
    }
}
