//! Choosing an endpoint, as Envoy does.
//!
//! A [`Balancer`] belongs to one worker and one cluster; it is made anew
//! when the endpoints or their health change. Random numbers, the time and
//! what is known of each endpoint come in as arguments.

mod bounded;
mod group;
mod load;
mod maglev;
mod queue;
mod ring;
mod weights;

use std::time::Duration;

use smallvec::SmallVec;

use crate::cluster::Cluster;
use crate::endpoint::{Endpoint, Endpoints, Health};
use group::{Group, Shape};
pub use load::{Counts, Loads, Spread, Tier};
pub use ring::RingSize;

/// The state of choosing among one set of endpoints.
#[derive(Debug)]
pub struct Balancer {
    spread: Spread,
    shape: Shape,
    fails_on_panic: bool,
    groups: Box<[Group]>,
}

/// What is known of endpoints at this moment. They are numbered in the order
/// of configuration.
pub trait Hosts {
    /// How many requests an endpoint is serving.
    fn active(&self, number: u32) -> u32;
    /// How many requests the cluster is serving.
    fn total_active(&self) -> u32;
    /// For how long an endpoint has been usable.
    fn age(&self, number: u32) -> Duration;
}

/// What an endpoint is wanted for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Query<'q> {
    /// A hash of the request, where equal ones belong together.
    pub hash: Option<u64>,
    /// A random number that stands for the request.
    pub random: u64,
    /// Loads in place of the usual ones.
    pub loads: Option<&'q Loads>,
    /// How often the choice may be repeated to avoid an endpoint.
    pub repeats: u32,
}

impl Balancer {
    /// A balancer over the endpoints; `ejected` tells which are left out for
    /// a while, the random number where it begins, so that proxies do not
    /// walk in step.
    pub fn new(
        cluster: &Cluster,
        endpoints: &Endpoints,
        ejected: impl Fn(u32) -> bool,
        random: u64,
    ) -> Balancer {
        let spread = spread(cluster, endpoints, &ejected);
        let shape = Shape::of(cluster);
        let groups = (0..spread.panics.len())
            .map(|priority| {
                let panics = spread.panics[priority];
                Group::new(&shape, endpoints, priority, panics, &ejected, random)
            })
            .collect();
        Balancer { spread, shape, fails_on_panic: cluster.fails_on_panic, groups }
    }

    /// How load is spread over priorities.
    pub fn spread(&self) -> &Spread {
        &self.spread
    }

    /// The number of the endpoint for the next request. Those that `avoid`
    /// names are passed over as often as the query allows.
    pub fn pick(
        &mut self,
        query: &Query<'_>,
        hosts: &impl Hosts,
        avoid: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        let mut random = query.random;
        let mut chosen = None;
        for attempt in 0..=query.repeats {
            chosen = self.once(query, random, attempt, hosts);
            match chosen {
                Some(number) if avoid(number) => random = mix(random),
                _ => break,
            }
        }
        chosen
    }

    fn once(&mut self, query: &Query<'_>, random: u64, attempt: u32, hosts: &impl Hosts) -> Option<u32> {
        let by_hash = self.shape.policy.is_hashed();
        let number = if by_hash { query.hash.unwrap_or(query.random) } else { random };
        let (priority, tier) = query.loads.unwrap_or(&self.spread.loads).choose(number);
        if self.spread.panics.get(priority).copied()? && self.fails_on_panic {
            return None;
        }
        let group = self.groups.get_mut(priority)?;
        if by_hash {
            return group.by_hash(&self.shape, number, attempt, hosts);
        }
        group.next(&self.shape, tier, mix(random), hosts)
    }
}

/// One step of splitmix64.
pub fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Endpoints with their numbers.
fn numbered(endpoints: &Endpoints) -> impl Iterator<Item = (u32, &Endpoint)> {
    (0u32..).zip(endpoints.list.iter())
}

/// How an endpoint can be used.
fn tier(endpoint: &Endpoint, is_ejected: bool) -> Option<Tier> {
    match endpoint.health {
        _ if is_ejected => None,
        Health::Healthy => Some(Tier::Healthy),
        Health::Degraded => Some(Tier::Degraded),
        Health::Draining | Health::Unhealthy => None,
    }
}

/// How load is spread over the priorities of the endpoints.
pub fn spread(cluster: &Cluster, endpoints: &Endpoints, ejected: impl Fn(u32) -> bool) -> Spread {
    let mut counts: SmallVec<[Counts; 4]> = SmallVec::new();
    for (number, endpoint) in numbered(endpoints) {
        let priority = usize::try_from(endpoint.priority).unwrap_or(usize::MAX);
        while counts.len() <= priority {
            counts.push(Counts::default());
        }
        let counts = &mut counts[priority];
        counts.total += 1;
        match tier(endpoint, ejected(number)) {
            Some(Tier::Healthy) => counts.healthy += 1,
            Some(Tier::Degraded) => counts.degraded += 1,
            None => {}
        }
    }
    if counts.is_empty() {
        counts.push(Counts::default());
    }
    Spread::of(&counts, endpoints.overprovisioning, cluster.panic_threshold)
}

/// The endpoints that a request may come to when none is ejected.
pub fn candidates(cluster: &Cluster, endpoints: &Endpoints) -> Box<[u32]> {
    let spread = spread(cluster, endpoints, |_| false);
    numbered(endpoints)
        .filter(|(_, endpoint)| {
            let Ok(priority) = usize::try_from(endpoint.priority) else { return false };
            let panics = spread.panics.get(priority).copied().unwrap_or(false);
            let tier = tier(endpoint, false);
            spread.loads.uses(priority) && (tier.is_some() || panics && !cluster.fails_on_panic)
        })
        .map(|(number, _)| number)
        .collect()
}

#[cfg(test)]
mod tests;
