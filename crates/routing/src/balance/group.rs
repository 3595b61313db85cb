//! The endpoints of one priority, and how one of them is chosen.

use std::time::Duration;

use super::maglev::Table;
use super::queue::Queue;
use super::ring::Ring;
use super::weights::Parts;
use super::{Hosts, Tier, bounded, mix, numbered, tier};
use crate::cluster::{Cluster, Policy, SlowStart};
use crate::endpoint::{Endpoint, Endpoints};

/// How a cluster chooses; the same for all of its priorities.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) policy: Policy,
    slow_start: Option<SlowStart>,
    locality_weighted: bool,
    hash_by_hostname: bool,
    hash_balance: Option<u32>,
}

impl Shape {
    pub(super) fn of(cluster: &Cluster) -> Shape {
        Shape {
            policy: cluster.policy,
            slow_start: cluster.slow_start,
            locality_weighted: cluster.locality_weighted,
            hash_by_hostname: cluster.hash_by_hostname,
            hash_balance: cluster.hash_balance,
        }
    }

    /// What an endpoint weighs at this moment.
    fn weight(&self, own: u32, active: u32, age: Duration) -> f64 {
        let own = f64::from(own);
        let weight = match self.policy {
            Policy::LeastRequest { bias, .. } if bias > 0.0 => own / (f64::from(active) + 1.0).powf(bias),
            _ => own,
        };
        match &self.slow_start {
            Some(slow_start) => weight * slow_start.factor(age),
            None => weight,
        }
    }
}

/// The endpoints of one priority.
#[derive(Debug)]
pub(super) struct Group {
    /// Usable ones, or all of them in panic.
    healthy: Members,
    degraded: Members,
    /// Where localities have weights that count.
    localities: Option<Localities>,
    hashed: Option<Hashed>,
}

#[derive(Debug)]
enum Hashed {
    Ring(Ring, Parts),
    Maglev(Table, Parts),
}

/// Localities by their weights; the queues hold their places.
#[derive(Debug)]
struct Localities {
    healthy: Queue,
    degraded: Queue,
    places: Box<[Place]>,
}

#[derive(Debug)]
struct Place {
    healthy: Members,
    degraded: Members,
    healthy_weight: f64,
    degraded_weight: f64,
}

/// Endpoints that take turns.
#[derive(Debug, Default)]
struct Members {
    numbers: Box<[u32]>,
    weights: Box<[u32]>,
    turn: usize,
    /// Where not all weigh the same. It holds positions.
    queue: Option<Queue>,
}

impl Members {
    fn new(shape: &Shape, list: &[(u32, &Endpoint)], random: u64) -> Members {
        let numbers: Box<[u32]> = list.iter().map(|(number, _)| *number).collect();
        let weights: Box<[u32]> = list.iter().map(|(_, endpoint)| endpoint.weight).collect();
        let even = weights.windows(2).all(|pair| pair[0] == pair[1]);
        let takes_turns = matches!(shape.policy, Policy::RoundRobin | Policy::LeastRequest { .. });
        let queue = (takes_turns && numbers.len() > 1 && !(even && shape.slow_start.is_none())).then(|| {
            let idle = |at: u32| match usize::try_from(at).ok().and_then(|at| weights.get(at)) {
                Some(own) => shape.weight(*own, 0, Duration::ZERO),
                None => 0.0,
            };
            Queue::new((0u32..).zip(weights.iter()).map(|(at, _)| (at, idle(at))), idle, random)
        });
        let turn = usize::try_from(random % (numbers.len().max(1) as u64)).unwrap_or(0);
        Members { numbers, weights, turn, queue }
    }

    fn next(&mut self, shape: &Shape, random: u64, hosts: &impl Hosts) -> Option<u32> {
        let count = self.numbers.len();
        if count <= 1 {
            return self.numbers.first().copied();
        }
        if let Some(queue) = &mut self.queue {
            let (numbers, weights) = (&self.numbers, &self.weights);
            let at = queue.pick(|at| {
                let Ok(at) = usize::try_from(at) else { return 0.0 };
                let (Some(number), Some(own)) = (numbers.get(at), weights.get(at)) else { return 0.0 };
                shape.weight(*own, hosts.active(*number), hosts.age(*number))
            })?;
            return numbers.get(usize::try_from(at).ok()?).copied();
        }
        match shape.policy {
            Policy::LeastRequest { choices, .. } => self.least_busy(random, choices, hosts),
            Policy::Random | Policy::RingHash(_) | Policy::Maglev { .. } => self.drawn(random),
            Policy::RoundRobin | Policy::ClusterProvided => {
                let at = self.turn % count;
                self.turn = at + 1;
                self.numbers.get(at).copied()
            }
        }
    }

    fn drawn(&self, random: u64) -> Option<u32> {
        let at = usize::try_from(random % (self.numbers.len().max(1) as u64)).ok()?;
        self.numbers.get(at).copied()
    }

    fn least_busy(&self, random: u64, choices: u32, hosts: &impl Hosts) -> Option<u32> {
        let mut draw = random;
        let mut best: Option<(u32, u32)> = None;
        for _ in 0..choices {
            let drawn = self.drawn(draw)?;
            let busy = hosts.active(drawn);
            if best.is_none_or(|(_, least)| busy < least) {
                best = Some((drawn, busy));
            }
            draw = mix(draw);
        }
        best.map(|(drawn, _)| drawn)
    }
}

/// Endpoints with their numbers.
type List<'e> = Vec<(u32, &'e Endpoint)>;

fn only<'e>(list: &List<'e>, wanted: Tier, ejected: &impl Fn(u32) -> bool) -> List<'e> {
    list.iter()
        .filter(|(number, endpoint)| tier(endpoint, ejected(*number)) == Some(wanted))
        .copied()
        .collect()
}

impl Group {
    pub(super) fn new(
        shape: &Shape,
        endpoints: &Endpoints,
        priority: usize,
        panics: bool,
        ejected: &impl Fn(u32) -> bool,
        random: u64,
    ) -> Group {
        let is_mine =
            |endpoint: &Endpoint| usize::try_from(endpoint.priority).is_ok_and(|own| own == priority);
        let list: List<'_> = numbered(endpoints).filter(|(_, endpoint)| is_mine(endpoint)).collect();
        let usable = if panics { list.clone() } else { only(&list, Tier::Healthy, ejected) };
        let degraded = if panics { List::new() } else { only(&list, Tier::Degraded, ejected) };
        let by_locality =
            shape.locality_weighted && list.iter().any(|(_, endpoint)| endpoint.locality_weight > 0);
        let places = if by_locality { places(&list) } else { Vec::new() };
        let hashed = shape
            .policy
            .is_hashed()
            .then(|| Hashed::new(shape, endpoints, &usable, &places, panics, ejected))
            .flatten();
        let localities = (by_locality && !panics && hashed.is_none())
            .then(|| Localities::new(shape, &places, endpoints.overprovisioning, ejected, random));
        Group {
            healthy: Members::new(shape, &usable, random),
            degraded: Members::new(shape, &degraded, random),
            localities,
            hashed,
        }
    }

    /// The next endpoint in turn.
    pub(super) fn next(&mut self, shape: &Shape, tier: Tier, random: u64, hosts: &impl Hosts) -> Option<u32> {
        let at_place = self.localities.as_mut().and_then(|localities| localities.place(tier));
        let members = match (at_place, tier) {
            (Some(members), _) => members,
            (None, Tier::Healthy) => &mut self.healthy,
            (None, Tier::Degraded) => &mut self.degraded,
        };
        members.next(shape, random, hosts)
    }

    /// The endpoint that owns a hash.
    pub(super) fn by_hash(&self, shape: &Shape, hash: u64, attempt: u32, hosts: &impl Hosts) -> Option<u32> {
        let (owner, parts) = match self.hashed.as_ref()? {
            Hashed::Ring(ring, parts) => (ring.find(hash, attempt)?, parts),
            Hashed::Maglev(table, parts) => (table.find(hash, attempt)?, parts),
        };
        Some(match shape.hash_balance {
            Some(factor) => bounded::choose(owner, hash, factor, parts, hosts),
            None => owner,
        })
    }
}

impl Hashed {
    fn new(
        shape: &Shape,
        endpoints: &Endpoints,
        usable: &List<'_>,
        places: &[List<'_>],
        panics: bool,
        ejected: &impl Fn(u32) -> bool,
    ) -> Option<Hashed> {
        let endpoint = |number: u32| endpoints.list.get(usize::try_from(number).ok()?);
        let weight = |number: u32| endpoint(number).map_or(1, |endpoint| endpoint.weight);
        let numbers = |list: &List<'_>| -> Vec<u32> { list.iter().map(|(number, _)| *number).collect() };
        let parts = if places.is_empty() {
            Parts::flat(&numbers(usable), weight)
        } else {
            let weighted: Vec<(u32, Vec<u32>)> = places
                .iter()
                .map(|place| {
                    let own = place.first().map_or(0, |(_, endpoint)| endpoint.locality_weight);
                    (own, numbers(&if panics { place.clone() } else { only(place, Tier::Healthy, ejected) }))
                })
                .collect();
            Parts::by_locality(weighted.iter().map(|(own, list)| (*own, &list[..])), weight)
        };
        let key = |number: u32| match endpoint(number) {
            Some(Endpoint { hash_key: Some(key), .. }) => key.to_string(),
            Some(endpoint) if shape.hash_by_hostname => endpoint.hostname.to_string(),
            Some(endpoint) => endpoint.address.to_string(),
            None => String::new(),
        };
        match shape.policy {
            Policy::RingHash(size) => Some(Hashed::Ring(Ring::new(size, &parts, key), parts)),
            Policy::Maglev { table } => Some(Hashed::Maglev(Table::new(table, &parts, key), parts)),
            _ => None,
        }
    }
}

/// The endpoints of each locality, in the order of the localities' names.
fn places<'e>(list: &List<'e>) -> Vec<List<'e>> {
    let mut sorted: List<'e> = list.clone();
    sorted.sort_by(|(_, left), (_, right)| left.locality.cmp(&right.locality));
    sorted.chunk_by(|(_, left), (_, right)| left.locality == right.locality).map(<[_]>::to_vec).collect()
}

impl Localities {
    fn new(
        shape: &Shape,
        places: &[List<'_>],
        overprovisioning: u32,
        ejected: &impl Fn(u32) -> bool,
        random: u64,
    ) -> Localities {
        let places: Box<[Place]> = places
            .iter()
            .map(|list| {
                let (healthy, degraded) =
                    (only(list, Tier::Healthy, ejected), only(list, Tier::Degraded, ejected));
                let own = f64::from(list.first().map_or(0, |(_, endpoint)| endpoint.locality_weight));
                let share = |usable: &List<'_>| {
                    let available = usable.len() as f64 / list.len().max(1) as f64;
                    own * (available * f64::from(overprovisioning) / 100.0).min(1.0)
                };
                Place {
                    healthy_weight: share(&healthy),
                    degraded_weight: share(&degraded),
                    healthy: Members::new(shape, &healthy, random),
                    degraded: Members::new(shape, &degraded, random),
                }
            })
            .collect();
        let queue = |weight: fn(&Place) -> f64| {
            let weight = |at: u32| usize::try_from(at).ok().and_then(|at| places.get(at)).map_or(0.0, weight);
            Queue::new((0u32..).zip(places.iter()).map(|(at, _)| (at, weight(at))), weight, random)
        };
        Localities {
            healthy: queue(|place| place.healthy_weight),
            degraded: queue(|place| place.degraded_weight),
            places,
        }
    }

    /// The members of the locality whose turn it is.
    fn place(&mut self, tier: Tier) -> Option<&mut Members> {
        let places = &self.places;
        let place = |at: u32| usize::try_from(at).ok().and_then(|at| places.get(at));
        let at = match tier {
            Tier::Healthy => self.healthy.pick(|at| place(at).map_or(0.0, |place| place.healthy_weight)),
            Tier::Degraded => self.degraded.pick(|at| place(at).map_or(0.0, |place| place.degraded_weight)),
        }?;
        let place = self.places.get_mut(usize::try_from(at).ok()?)?;
        Some(match tier {
            Tier::Healthy => &mut place.healthy,
            Tier::Degraded => &mut place.degraded,
        })
    }
}
