//! How load spreads over priorities, as Envoy computes it.
//!
//! A priority with fewer available endpoints than its share times the
//! overprovisioning factor gives load to the next one; when too few are
//! available at all, health says nothing any more and every endpoint counts
//! (panic).

use smallvec::SmallVec;

/// How many endpoints of one priority are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Endpoints that can be used.
    pub healthy: u32,
    /// Endpoints that are used when healthy ones do not suffice.
    pub degraded: u32,
    /// All of them.
    pub total: u32,
}

/// Which endpoints of a priority are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// Healthy ones.
    Healthy,
    /// Degraded ones.
    Degraded,
}

type Percentages = SmallVec<[u32; 4]>;

/// The share of each priority in percent, 100 together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Loads {
    healthy: Percentages,
    degraded: Percentages,
}

/// Loads, and which priorities panic.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spread {
    /// The loads.
    pub loads: Loads,
    /// Priorities whose endpoints are all used, whatever their health.
    pub panics: SmallVec<[bool; 4]>,
    health: Percentages,
    degraded_health: Percentages,
}

impl Loads {
    /// The priority that a number falls on. Consistent hashes decide the
    /// priority too, so that the same request comes to the same one.
    pub fn choose(&self, number: u64) -> (usize, Tier) {
        if let [_] = *self.healthy
            && self.degraded.first() == Some(&0)
        {
            return (0, Tier::Healthy);
        }
        let point = u32::try_from(number % 100).unwrap_or(0) + 1;
        let mut sum = 0;
        let tiers = [(&self.healthy, Tier::Healthy), (&self.degraded, Tier::Degraded)];
        for (loads, tier) in tiers {
            for (priority, load) in loads.iter().enumerate() {
                sum += load;
                if point <= sum {
                    return (priority, tier);
                }
            }
        }
        (0, Tier::Healthy)
    }

    /// Whether a priority gets any load.
    pub fn uses(&self, priority: usize) -> bool {
        [&self.healthy, &self.degraded].iter().any(|loads| loads.get(priority).is_some_and(|load| *load > 0))
    }
}

impl Spread {
    /// Spreads load over priorities. `overprovisioning` and `threshold` are
    /// in percent.
    pub fn of(counts: &[Counts], overprovisioning: u32, threshold: u8) -> Spread {
        let health = |part: u32, counts: &Counts| match counts.total {
            0 => 0,
            total => {
                let scaled = u64::from(overprovisioning) * u64::from(part) / u64::from(total);
                u32::try_from(scaled.min(100)).unwrap_or(100)
            }
        };
        let mut spread = Spread {
            health: counts.iter().map(|counts| health(counts.healthy, counts)).collect(),
            degraded_health: counts.iter().map(|counts| health(counts.degraded, counts)).collect(),
            loads: Loads { healthy: zeros(counts.len()), degraded: zeros(counts.len()) },
            panics: counts.iter().map(|_| false).collect(),
        };
        let available = total(&spread.health, &spread.degraded_health);
        if available > 0 {
            spread.loads = distribute(&spread.health, &spread.degraded_health, available);
        }
        spread.panic(counts, threshold, available);
        spread
    }

    fn panic(&mut self, counts: &[Counts], threshold: u8, available: u32) {
        if threshold == 0 && available == 0 {
            // The first priority stands for all; it has nobody to give.
            if let Some(first) = self.loads.healthy.first_mut() {
                *first = 100;
            }
            return;
        }
        for (panics, counts) in self.panics.iter_mut().zip(counts) {
            let usable = u64::from(counts.healthy + counts.degraded) * 100;
            let enough = counts.total > 0 && usable >= u64::from(threshold) * u64::from(counts.total);
            let enough = enough || threshold == 0;
            *panics = available != 100 && !enough;
        }
        if self.panics.iter().all(|panics| *panics) {
            self.loads.healthy = by_number(counts);
            self.loads.degraded = zeros(counts.len());
        }
    }

    /// The loads when certain priorities get none; `None` when no other one
    /// is available.
    pub fn without(&self, excluded: &[bool]) -> Option<Loads> {
        let masked = |health: &[u32]| -> Percentages {
            let keep = |priority: usize| !excluded.get(priority).copied().unwrap_or(false);
            health.iter().enumerate().map(|(at, health)| if keep(at) { *health } else { 0 }).collect()
        };
        let (healthy, degraded) = (masked(&self.health), masked(&self.degraded_health));
        match total(&healthy, &degraded) {
            0 => None,
            available => Some(distribute(&healthy, &degraded, available)),
        }
    }
}

fn zeros(count: usize) -> Percentages {
    std::iter::repeat_n(0, count).collect()
}

fn total(healthy: &[u32], degraded: &[u32]) -> u32 {
    healthy.iter().chain(degraded).sum::<u32>().min(100)
}

/// As much as possible to the first priorities; what rounding leaves over
/// goes to the first that is available.
fn distribute(healthy: &[u32], degraded: &[u32], available: u32) -> Loads {
    let mut left = 100;
    let mut fill = |health: &[u32]| -> Percentages {
        let share = |health: &u32| {
            let load = (health * 100 / available).min(left);
            left -= load;
            load
        };
        health.iter().map(share).collect()
    };
    let mut loads = Loads { healthy: fill(healthy), degraded: fill(degraded) };
    let first_healthy = healthy.iter().position(|health| *health > 0);
    let first_degraded = degraded.iter().position(|health| *health > 0);
    let takes_rest = match (first_healthy, first_degraded) {
        (Some(first), _) => loads.healthy.get_mut(first),
        (None, Some(first)) => loads.degraded.get_mut(first),
        (None, None) => None,
    };
    if let Some(load) = takes_rest {
        *load += left;
    }
    loads
}

/// Everybody panics: load follows the number of endpoints.
fn by_number(counts: &[Counts]) -> Percentages {
    let all: u64 = counts.iter().map(|counts| u64::from(counts.total)).sum();
    let mut loads = zeros(counts.len());
    if all == 0 {
        if let Some(first) = loads.first_mut() {
            *first = 100;
        }
        return loads;
    }
    let mut left = 100;
    for (load, counts) in loads.iter_mut().zip(counts) {
        *load = u32::try_from(u64::from(counts.total) * 100 / all).unwrap_or(100);
        left -= *load;
    }
    if let Some(first) = counts.iter().position(|counts| counts.total > 0) {
        loads[first] += left;
    }
    loads
}

#[cfg(test)]
mod tests;
