//! What a Deployment does next: which pods to make, which to let go.

use resources::deployment::Deployment;
use serde_json::Value;

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The number of pods.
    pub(crate) replicas: usize,
    /// The hash of their template.
    pub(crate) hash: String,
    /// How old pods give way.
    pub(crate) strategy: Strategy,
    /// Whether a change of the template is held back.
    pub(crate) is_paused: bool,
}

/// How old pods give way to new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// All old ones first.
    Recreate,
    /// A few at a time.
    Rolling {
        /// Pods above the wanted number.
        surge: usize,
        /// Pods below the wanted number.
        unavailable: usize,
    },
}

/// A pod of the Deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Existing {
    /// Its name.
    pub(crate) name: String,
    /// The hash of its template.
    pub(crate) hash: String,
    /// Whether it has been ready long enough to count.
    pub(crate) is_available: bool,
    /// Whether it is ending.
    pub(crate) is_ending: bool,
}

/// What to do now; the rest follows when this has happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Steps {
    /// So many new pods.
    pub(crate) create: usize,
    /// These pods end.
    pub(crate) delete: Vec<String>,
}

impl Wanted {
    /// What a Deployment wants, when its template has this hash.
    pub(crate) fn of(deployment: &Deployment, hash: String) -> Wanted {
        let replicas = usize::try_from(deployment.replicas()).unwrap_or(usize::MAX);
        let strategy = deployment.spec.strategy.as_ref();
        let text = |field: &str| strategy.and_then(|strategy| strategy.get(field)?.as_str());
        let bound = |field: &str| strategy.and_then(|strategy| strategy.get("rollingUpdate")?.get(field));
        let strategy = if text("type") == Some("Recreate") {
            Strategy::Recreate
        } else {
            let surge = share(bound("maxSurge"), replicas, usize::div_ceil);
            let unavailable = share(bound("maxUnavailable"), replicas, |whole, parts| whole / parts);
            // With neither, nothing could ever move.
            let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable };
            Strategy::Rolling { surge, unavailable }
        };
        Wanted { replicas, hash, strategy, is_paused: deployment.spec.paused }
    }
}

/// A number of pods, or a percentage of them; a quarter when not said.
fn share(written: Option<&Value>, replicas: usize, divide: fn(usize, usize) -> usize) -> usize {
    let percent = |percent: usize| divide(replicas * percent, 100);
    match written {
        Some(Value::Number(number)) => number.as_u64().and_then(|number| number.try_into().ok()).unwrap_or(0),
        Some(Value::String(text)) => match text.strip_suffix('%') {
            Some(number) => percent(number.parse().unwrap_or(25)),
            None => text.parse().unwrap_or(0),
        },
        _ => percent(25),
    }
}

/// The next steps towards what is wanted.
pub(crate) fn next(wanted: &Wanted, existing: &[Existing]) -> Steps {
    let alive: Vec<&Existing> = existing.iter().filter(|pod| !pod.is_ending).collect();
    let (new, old): (Vec<&Existing>, Vec<&Existing>) = alive.iter().partition(|pod| pod.hash == wanted.hash);
    if wanted.is_paused && !old.is_empty() {
        return scale(alive.len(), wanted.replicas, &old, 0);
    }
    let missing = wanted.replicas.saturating_sub(new.len());
    let mut steps = scale(new.len(), wanted.replicas, &new, 0);
    match wanted.strategy {
        Strategy::Recreate => {
            let anything_old = existing.iter().any(|pod| pod.hash != wanted.hash);
            steps.create = if anything_old { 0 } else { missing };
            steps.delete.extend(old.iter().map(|pod| pod.name.clone()));
        }
        Strategy::Rolling { surge, unavailable } => {
            let room = (wanted.replicas + surge).saturating_sub(alive.len());
            steps.create = missing.min(room);
            let available = alive.iter().filter(|pod| pod.is_available).count();
            let spare = available.saturating_sub(wanted.replicas.saturating_sub(unavailable));
            // Pods that serve nobody go first and cost nothing.
            let broken = old.iter().filter(|pod| !pod.is_available);
            let serving = old.iter().filter(|pod| pod.is_available).take(spare);
            steps.delete.extend(broken.chain(serving).map(|pod| pod.name.clone()));
        }
    }
    steps
}

/// Takes away what is too much; those that serve nobody first, then the youngest.
fn scale(count: usize, replicas: usize, pods: &[&Existing], create: usize) -> Steps {
    let mut candidates: Vec<&&Existing> = pods.iter().collect();
    candidates.reverse();
    candidates.sort_by_key(|pod| pod.is_available);
    let excess = count.saturating_sub(replicas);
    Steps { create, delete: candidates.into_iter().take(excess).map(|pod| pod.name.clone()).collect() }
}

#[cfg(test)]
mod tests;
