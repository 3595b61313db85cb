//! Staying alive: so many connections and so much memory, and what is turned
//! away beyond that.
//!
//! The newest goes first: who is being served is served to the end. Levels
//! are those of Envoy's edge guide: with memory running out connections are
//! not kept any longer, then requests are refused, then connections.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How much memory is in use, in parts of what there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Pressure {
    /// There is enough.
    #[default]
    None,
    /// Connections end with their response.
    EndConnections,
    /// Requests are refused.
    RefuseRequests,
    /// Connections are refused.
    RefuseConnections,
}

/// How often memory is looked at.
pub const LOOK: Duration = Duration::from_millis(250);
/// Descriptors that are not for connections.
const OWN_DESCRIPTORS: u64 = 64;

impl Pressure {
    /// The level for so many bytes of so many.
    pub fn of(used: u64, limit: u64) -> Pressure {
        let part = used as f64 / limit.max(1) as f64;
        match part {
            _ if part >= 0.98 => Pressure::RefuseConnections,
            _ if part >= 0.95 => Pressure::RefuseRequests,
            _ if part >= 0.92 => Pressure::EndConnections,
            _ => Pressure::None,
        }
    }

    fn from_number(number: u8) -> Pressure {
        match number {
            0 => Pressure::None,
            1 => Pressure::EndConnections,
            2 => Pressure::RefuseRequests,
            _ => Pressure::RefuseConnections,
        }
    }
}

/// What the process as a whole may take.
#[derive(Debug)]
pub struct Overload {
    connections: AtomicU32,
    most_connections: u32,
    memory: Option<u64>,
    pressure: AtomicU8,
}

/// A connection that counts; counted out when dropped.
#[derive(Debug)]
pub struct Admitted<'o>(&'o Overload);

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Overload {
    /// With a limit of memory in bytes and one of connections; none: what the
    /// control group and the number of descriptors allow.
    pub fn new(memory: Option<u64>, connections: Option<u32>) -> Overload {
        Overload {
            connections: AtomicU32::new(0),
            most_connections: most_connections(raise_descriptors()).min(connections.unwrap_or(u32::MAX)),
            memory: memory.or_else(group_limit),
            pressure: AtomicU8::new(0),
        }
    }

    /// Takes one more connection in, or says that there are too many.
    pub fn admit(&self) -> Option<Admitted<'_>> {
        if self.pressure() == Pressure::RefuseConnections {
            return None;
        }
        let before = self.connections.fetch_add(1, Ordering::AcqRel);
        let admitted = Admitted(self);
        (before < self.most_connections).then_some(admitted)
    }

    /// How much memory is in use.
    pub fn pressure(&self) -> Pressure {
        Pressure::from_number(self.pressure.load(Ordering::Relaxed))
    }

    /// Whether there is a limit of memory to watch.
    pub fn watches_memory(&self) -> bool {
        self.memory.is_some()
    }

    /// Looks at the memory in use; says so when it became too much or
    /// enough again.
    pub fn look(&self) {
        let Some(limit) = self.memory else { return };
        let now = Pressure::of(resident().unwrap_or(0), limit);
        let before = Pressure::from_number(self.pressure.swap(now as u8, Ordering::Relaxed));
        if now > before {
            tracing::warn!("memory is running out: {now:?}, the limit is {limit} bytes");
        } else if now < before {
            tracing::info!("memory pressure is now {now:?}");
        }
    }
}

/// As many descriptors as the kernel lets us have, without being asked to.
fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX).min(1 << 20);
    let wanted = Rlimit { current: Some(most), maximum: limit.maximum };
    match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => most,
        Err(_) => limit.current.unwrap_or(most),
    }
}

/// Each connection of a client may need one to an endpoint.
fn most_connections(descriptors: u64) -> u32 {
    u32::try_from(descriptors.saturating_sub(OWN_DESCRIPTORS) / 2).unwrap_or(u32::MAX).max(8)
}

/// What the control group of this process may use.
fn group_limit() -> Option<u64> {
    let files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let read = |file: &&str| std::fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    // Without a limit the older form says a number near the largest.
    files.iter().find_map(read).filter(|limit| *limit < 1 << 60)
}

/// The resident memory of this process.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_grows_in_steps() {
        let table = [
            (0, Pressure::None),
            (919, Pressure::None),
            (920, Pressure::EndConnections),
            (950, Pressure::RefuseRequests),
            (980, Pressure::RefuseConnections),
            (2000, Pressure::RefuseConnections),
        ];
        for (used, expected) in table {
            assert_eq!(Pressure::of(used, 1000), expected, "{used}");
        }
    }

    #[test]
    fn half_of_the_descriptors_are_for_clients() {
        assert_eq!(most_connections(1024), 480);
        assert_eq!(most_connections(64), 8);
    }

    #[test]
    fn what_is_beyond_the_limit_is_not_taken_in() {
        let overload = Overload::new(Some(u64::MAX), Some(2));
        let first = overload.admit();
        let second = overload.admit();
        assert!(first.is_some() && second.is_some());
        assert!(overload.admit().is_none());
        drop(first);
        assert!(overload.admit().is_some());
        let starved = Overload::new(Some(1), None);
        starved.look();
        assert!(starved.admit().is_none());
    }
}
