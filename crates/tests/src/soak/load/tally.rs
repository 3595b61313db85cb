//! What was sent and what failed, by kind and reason.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How one request ended.
pub enum Outcome {
    /// As it should.
    Fine,
    /// In this way.
    Failed(String),
}

/// What came of a load.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    kinds: BTreeMap<String, Kind>,
}

#[derive(Clone, Debug, Default)]
struct Kind {
    sent: u64,
    again: u64,
    reasons: BTreeMap<String, u64>,
}

impl Tally {
    /// Requests sent.
    pub fn sent(&self) -> u64 {
        self.kinds.values().map(|kind| kind.sent).sum()
    }

    /// Requests failed.
    pub fn failures(&self) -> u64 {
        self.kinds.values().flat_map(|kind| kind.reasons.values()).sum()
    }

    /// Whether some of every kind went.
    pub fn everything_went(&self) -> bool {
        self.kinds.len() == super::KINDS && self.kinds.values().all(|kind| kind.sent > 0)
    }

    /// Reasons of failures, for people.
    pub fn samples(&self) -> impl Iterator<Item = String> {
        self.kinds.iter().flat_map(|(name, kind)| {
            kind.reasons.iter().map(move |(reason, count)| format!("{name}: {count} times {reason}"))
        })
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} sent, {} failed", self.sent(), self.failures())?;
        for (name, kind) in &self.kinds {
            write!(out, "; {name} {}", kind.sent)?;
            if kind.again > 0 {
                write!(out, " ({} sent again after a good-bye)", kind.again)?;
            }
        }
        Ok(())
    }
}

/// A tally that many add to.
#[derive(Default)]
pub struct Counts(Mutex<Tally>);

impl Counts {
    /// Counts a request.
    pub fn add(&self, kind: &str, outcome: Outcome) {
        let mut tally = self.lock();
        let kind = tally.kinds.entry(kind.to_owned()).or_default();
        kind.sent += 1;
        if let Outcome::Failed(reason) = outcome {
            *kind.reasons.entry(reason).or_default() += 1;
        }
    }

    /// A request is sent again because the server said that it did nothing
    /// with it.
    pub fn again(&self, kind: &str) {
        self.lock().kinds.entry(kind.to_owned()).or_default().again += 1;
    }

    /// How many there were.
    pub fn sent(&self) -> u64 {
        self.lock().sent()
    }

    /// What came of it so far.
    pub fn tally(&self) -> Tally {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
