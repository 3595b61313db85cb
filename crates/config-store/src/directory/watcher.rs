//! Noticing that files change.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{DirectoryError, Emptied, Reading, Shared};

/// An editor writes a file in several steps; they are read as one.
const QUIET: Duration = Duration::from_millis(20);
/// Files that never rest are read nevertheless.
const LONGEST: Duration = Duration::from_millis(500);
/// A file that was emptied is about to be written, or meant to be empty.
const EMPTY: Duration = Duration::from_millis(300);

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
    let mut emptied = Emptied::Wait;
    loop {
        match emptied {
            Emptied::Wait => {
                if events.received.recv().await.is_none() {
                    return;
                }
                let rest = events.rest();
                let _ = tokio::time::timeout(LONGEST, rest).await;
            }
            Emptied::Take => {
                // Another event is another reason to wait; silence means that the file is to be empty.
                if let Ok(received) = tokio::time::timeout(EMPTY, events.received.recv()).await {
                    if received.is_none() {
                        return;
                    }
                    let _ = tokio::time::timeout(LONGEST, events.rest()).await;
                    emptied = Emptied::Wait;
                }
            }
        }
        let reading = {
            let shared = Arc::clone(&shared);
            tokio::task::spawn_blocking(move || shared.read_all(emptied)).await
        };
        emptied = match reading {
            Ok(Ok(Reading::Waiting)) => Emptied::Take,
            Ok(Ok(Reading::Complete)) => Emptied::Wait,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the folder of resources could not be read; what was read before stays");
                Emptied::Wait
            }
            Err(_) => return,
        };
    }
}

impl Events {
    /// Returns when nothing has happened for a moment.
    async fn rest(&mut self) {
        while let Ok(Some(())) = tokio::time::timeout(QUIET, self.received.recv()).await {}
    }
}
