//! Lines on their way to a file or standard output, off the hot path.
//!
//! Workers collect lines in a buffer of their own and hand full buffers to
//! one thread that writes. When that thread falls behind, lines are dropped
//! and counted: a slow disk must not slow requests down.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file that is appended to and made when it is not there.
    File(PathBuf),
}

/// The thread that writes.
#[derive(Debug, Clone)]
pub struct LogWriter {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: SyncSender<Message>,
    targets: Mutex<Vec<Target>>,
    dropped: AtomicU64,
}

#[derive(Debug)]
enum Message {
    Lines(usize, Vec<u8>),
    Flush(SyncSender<()>),
}

/// A worker's buffer for one target.
#[derive(Debug)]
pub struct LogBuffer {
    shared: Arc<Shared>,
    target: usize,
    lines: Vec<u8>,
}

/// A buffer this full is handed over.
const FULL: usize = 64 << 10;
/// So many full buffers wait at most.
const QUEUE: usize = 256;

impl LogWriter {
    /// Starts the thread.
    pub fn start() -> std::io::Result<LogWriter> {
        let (queue, messages) = sync_channel(QUEUE);
        let shared = Arc::new(Shared { queue, targets: Mutex::default(), dropped: AtomicU64::new(0) });
        let weak = Arc::downgrade(&shared);
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || {
            write_all(&messages, |target| {
                let shared = weak.upgrade()?;
                let targets = shared.targets.lock().unwrap_or_else(PoisonError::into_inner);
                targets.get(target).cloned()
            });
        })?;
        Ok(LogWriter { shared })
    }

    /// A buffer of the caller's own for a target.
    pub fn buffer(&self, target: &Target) -> LogBuffer {
        let mut targets = self.shared.targets.lock().unwrap_or_else(PoisonError::into_inner);
        let place = targets.iter().position(|known| known == target).unwrap_or_else(|| {
            targets.push(target.clone());
            targets.len() - 1
        });
        LogBuffer { shared: self.shared.clone(), target: place, lines: Vec::new() }
    }

    /// Returns when everything that was handed over has been written.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.shared.queue.send(Message::Flush(done)).is_ok() {
            // The thread answers, or has ended.
            let _ = wait.recv();
        }
    }

    /// How many bytes were dropped.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

impl LogBuffer {
    /// Appends a line with the given function. True when the buffer was
    /// empty: then somebody has to call [`LogBuffer::flush`] before long.
    pub fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let was_empty = self.lines.is_empty();
        write(&mut self.lines);
        if self.lines.len() >= FULL {
            self.flush();
            return false;
        }
        was_empty && !self.lines.is_empty()
    }

    /// Hands the lines over.
    pub fn flush(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        let next = Vec::with_capacity(self.lines.len().min(FULL));
        let lines = std::mem::replace(&mut self.lines, next);
        let length = lines.len() as u64;
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.shared.queue.try_send(Message::Lines(self.target, lines))
        {
            self.shared.dropped.fetch_add(length, Ordering::Relaxed);
        }
    }
}

impl Drop for LogBuffer {
    fn drop(&mut self) {
        self.flush();
    }
}

fn write_all(messages: &Receiver<Message>, target_of: impl Fn(usize) -> Option<Target>) {
    let mut files: HashMap<usize, Option<File>> = HashMap::new();
    let mut targets: HashMap<usize, Target> = HashMap::new();
    while let Ok(message) = messages.recv() {
        match message {
            Message::Lines(number, lines) => {
                if !targets.contains_key(&number)
                    && let Some(target) = target_of(number)
                {
                    targets.insert(number, target);
                }
                if let Some(target) = targets.get(&number) {
                    write_lines(target, files.entry(number).or_default(), &lines);
                }
            }
            Message::Flush(done) => {
                // Whoever asked may have gone.
                let _ = done.try_send(());
            }
        }
    }
}

/// What cannot be written is lost: there is nobody to tell but the log.
fn write_lines(target: &Target, file: &mut Option<File>, lines: &[u8]) {
    let written = match target {
        Target::Stdout => std::io::stdout().lock().write_all(lines).and_then(|()| std::io::stdout().flush()),
        Target::Stderr => std::io::stderr().lock().write_all(lines),
        Target::File(path) => {
            if file.is_none() {
                match OpenOptions::new().create(true).append(true).open(path) {
                    Ok(opened) => *file = Some(opened),
                    Err(error) => tracing::warn!("access log `{}` cannot be opened: {error}", path.display()),
                }
            }
            match file {
                Some(file) => file.write_all(lines),
                None => Ok(()),
            }
        }
    };
    if let Err(error) = written {
        tracing::warn!("access log cannot be written: {error}");
        *file = None;
    }
}

#[cfg(test)]
mod tests;
