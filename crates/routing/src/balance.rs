//! Choosing an endpoint.
//!
//! A [`Balancer`] belongs to one worker and one cluster; it is made anew
//! when the endpoints change. Random numbers and the load of each endpoint
//! come in as arguments.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::cluster::{Cluster, Policy};
use crate::endpoint::Endpoints;

/// The state of choosing among one set of endpoints.
#[derive(Debug)]
pub struct Balancer {
    policy: Policy,
    /// Numbers of the endpoints that are used.
    candidates: Box<[u32]>,
    turn: Turn,
}

#[derive(Debug)]
enum Turn {
    /// All weigh the same.
    Even(usize),
    /// Earliest deadline first: each comes back after 1/weight.
    Weighted(BinaryHeap<Due>),
}

#[derive(Debug)]
struct Due {
    deadline: f64,
    order: u64,
    candidate: usize,
    weight: f64,
}

impl PartialEq for Due {
    fn eq(&self, other: &Due) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Due) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    /// The greatest is due first.
    fn cmp(&self, other: &Due) -> Ordering {
        other.deadline.total_cmp(&self.deadline).then(other.order.cmp(&self.order))
    }
}

impl Balancer {
    /// A balancer over the endpoints that can be used; the random number
    /// says where it begins, so that proxies do not walk in step.
    pub fn new(cluster: &Cluster, endpoints: &Endpoints, random: u64) -> Balancer {
        let candidates = candidates(endpoints, cluster.panic_threshold);
        let weights: Vec<f64> =
            candidates.iter().map(|number| weight(endpoints, *number, cluster.locality_weighted)).collect();
        let even = weights.windows(2).all(|pair| pair[0] == pair[1]);
        let turn = if even {
            Turn::Even(usize::try_from(random % (candidates.len().max(1) as u64)).unwrap_or(0))
        } else {
            let due = |(candidate, weight): (usize, f64)| Due {
                deadline: 1.0 / weight,
                order: candidate as u64,
                candidate,
                weight,
            };
            Turn::Weighted(
                weights.into_iter().enumerate().filter(|(_, weight)| *weight > 0.0).map(due).collect(),
            )
        };
        Balancer { policy: cluster.policy, candidates, turn }
    }

    /// Numbers of the endpoints that are used.
    pub fn candidates(&self) -> &[u32] {
        &self.candidates
    }

    /// The number of the endpoint for the next request. `load` tells how
    /// many requests an endpoint is serving.
    pub fn pick(&mut self, random: u64, load: impl Fn(u32) -> u32) -> Option<u32> {
        let count = self.candidates.len();
        if count <= 1 {
            return self.candidates.first().copied();
        }
        match (self.policy, &mut self.turn) {
            (_, Turn::Weighted(queue)) => {
                let next = queue.pop()?;
                let candidate = next.candidate;
                queue.push(Due {
                    deadline: next.deadline + 1.0 / next.weight,
                    order: next.order + count as u64,
                    ..next
                });
                self.candidates.get(candidate).copied()
            }
            (Policy::LeastRequest { choices }, Turn::Even(_)) => self.least_busy(random, choices, load),
            (Policy::RoundRobin | Policy::ClusterProvided, Turn::Even(turn)) => {
                let at = *turn % count;
                *turn = (at + 1) % count;
                self.candidates.get(at).copied()
            }
            (Policy::Random | Policy::RingHash | Policy::Maglev, Turn::Even(_)) => self.drawn(random),
        }
    }

    fn drawn(&self, random: u64) -> Option<u32> {
        let at = usize::try_from(random % (self.candidates.len() as u64)).ok()?;
        self.candidates.get(at).copied()
    }

    fn least_busy(&self, random: u64, choices: u32, load: impl Fn(u32) -> u32) -> Option<u32> {
        let mut draw = random;
        let mut best: Option<(u32, u32)> = None;
        for _ in 0..choices.min(64) {
            let drawn = self.drawn(draw)?;
            let busy = load(drawn);
            if best.is_none_or(|(_, least)| busy < least) {
                best = Some((drawn, busy));
            }
            // The next draw comes from the same number, mixed (splitmix64).
            draw = mix(draw);
        }
        best.map(|(drawn, _)| drawn)
    }
}

/// One step of splitmix64.
pub fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The endpoints of the first priority that has one to use. When too few of
/// all are healthy, health says nothing and all of the first priority are
/// used.
pub fn candidates(endpoints: &Endpoints, panic_threshold: u8) -> Box<[u32]> {
    let numbered = || (0u32..).zip(endpoints.list.iter());
    let mut priorities: Vec<u32> = endpoints.list.iter().map(|endpoint| endpoint.priority).collect();
    priorities.sort_unstable();
    priorities.dedup();
    let available = endpoints.list.iter().filter(|endpoint| endpoint.health.is_available()).count();
    let panics = available * 100 < endpoints.list.len() * usize::from(panic_threshold);
    for priority in &priorities {
        let usable: Box<[u32]> = numbered()
            .filter(|(_, endpoint)| {
                endpoint.priority == *priority && (panics || endpoint.health.is_available())
            })
            .map(|(number, _)| number)
            .collect();
        if !usable.is_empty() {
            return usable;
        }
    }
    Box::default()
}

fn weight(endpoints: &Endpoints, number: u32, by_locality: bool) -> f64 {
    let Some(endpoint) = usize::try_from(number).ok().and_then(|number| endpoints.list.get(number)) else {
        return 0.0;
    };
    let own = f64::from(endpoint.weight);
    if !by_locality {
        return own;
    }
    let neighbours = endpoints
        .list
        .iter()
        .filter(|other| other.locality == endpoint.locality && other.priority == endpoint.priority)
        .filter(|other| other.health.is_available())
        .map(|other| f64::from(other.weight))
        .sum::<f64>();
    f64::from(endpoint.locality_weight) * own / neighbours.max(1.0)
}

#[cfg(test)]
mod tests;
