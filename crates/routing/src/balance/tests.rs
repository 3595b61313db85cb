use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn cluster(extra: Value) -> Cluster {
    let mut json = json!({"name": "c", "type": "EDS"});
    json.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    Cluster::compile(&xds::json::decode(&json).expect("a test's own JSON")).expect("it compiles")
}

/// Endpoints as (weight, priority, health), each in its own group.
fn endpoints(list: &[(u32, u32, &str)]) -> Endpoints {
    let groups: Vec<_> = list
        .iter()
        .enumerate()
        .map(|(number, (weight, priority, health))| {
            json!({"priority": priority, "lb_endpoints": [endpoint(number, *weight, health)]})
        })
        .collect();
    assignment(json!({"cluster_name": "c", "endpoints": groups}))
}

fn endpoint(number: usize, weight: u32, health: &str) -> Value {
    json!({"health_status": health, "load_balancing_weight": weight,
        "endpoint": {"address": {"socket_address": {"address": "10.0.0.1", "port_value": number + 1}}}})
}

fn assignment(json: Value) -> Endpoints {
    Endpoints::compile(&xds::json::decode(&json).expect("a test's own JSON")).expect("it compiles")
}

/// What the hosts are doing: requests under way, and ages.
#[derive(Default)]
struct World {
    active: RefCell<BTreeMap<u32, u32>>,
    ages: BTreeMap<u32, Duration>,
}

impl Hosts for World {
    fn active(&self, number: u32) -> u32 {
        self.active.borrow().get(&number).copied().unwrap_or(0)
    }

    fn total_active(&self) -> u32 {
        self.active.borrow().values().sum()
    }

    fn age(&self, number: u32) -> Duration {
        self.ages.get(&number).copied().unwrap_or(Duration::MAX)
    }
}

fn balancer(extra: Value, endpoints: &Endpoints) -> Balancer {
    Balancer::new(&cluster(extra), endpoints, |_| false, 0)
}

fn picks(balancer: &mut Balancer, world: &World, count: u64) -> Vec<u32> {
    let query = |random| Query { random: mix(random), ..Query::default() };
    (0..count).filter_map(|number| balancer.pick(&query(number), world, |_| false)).collect()
}

fn shares(picks: &[u32]) -> BTreeMap<u32, usize> {
    picks.iter().fold(BTreeMap::new(), |mut shares, number| {
        *shares.entry(*number).or_default() += 1;
        shares
    })
}

#[test]
fn round_robin_goes_in_turn_and_by_weight() {
    let even = endpoints(&[(1, 0, "HEALTHY"), (1, 0, "HEALTHY"), (1, 0, "HEALTHY")]);
    let mut begins_at_one = Balancer::new(&cluster(json!({})), &even, |_| false, 1);
    assert_eq!(picks(&mut begins_at_one, &World::default(), 6), [1, 2, 0, 1, 2, 0]);
    let weighted = endpoints(&[(3, 0, "HEALTHY"), (1, 0, "HEALTHY")]);
    let picked = picks(&mut balancer(json!({}), &weighted), &World::default(), 400);
    assert_eq!(shares(&picked)[&0], 300);
    // Spread out, not in a row.
    assert!(picked.windows(2).all(|pair| pair != [1, 1]), "{picked:?}");
}

#[test]
fn least_request_prefers_the_less_busy() {
    let even = endpoints(&[(1, 0, "HEALTHY"), (1, 0, "HEALTHY")]);
    let world = World { active: RefCell::new([(0, 9)].into()), ..World::default() };
    let picked = picks(&mut balancer(json!({"lb_policy": "LEAST_REQUEST"}), &even), &world, 400);
    // Both draws fall on the busy one a quarter of the time.
    let busy = shares(&picked)[&0];
    assert!((70..130).contains(&busy), "{busy}");
    let more = json!({"lb_policy": "LEAST_REQUEST", "least_request_lb_config": {"choice_count": 10}});
    let picked = picks(&mut balancer(more, &even), &world, 400);
    assert!(shares(&picked).get(&0).copied().unwrap_or(0) < 5);
}

#[test]
fn least_request_with_weights_counts_what_is_under_way() {
    let weighted = endpoints(&[(2, 0, "HEALTHY"), (1, 0, "HEALTHY")]);
    let config = |bias: f64| {
        json!({"lb_policy": "LEAST_REQUEST",
        "least_request_lb_config": {"active_request_bias": {"default_value": bias, "runtime_key": "k"}}})
    };
    let world = World { active: RefCell::new([(0, 3)].into()), ..World::default() };
    // 2 / (3 + 1) against 1 / (0 + 1).
    let picked = picks(&mut balancer(config(1.0), &weighted), &world, 300);
    assert!((95..=105).contains(&shares(&picked)[&0]), "{:?}", shares(&picked));
    let picked = picks(&mut balancer(config(0.0), &weighted), &world, 300);
    assert!((195..=205).contains(&shares(&picked)[&0]), "{:?}", shares(&picked));
}

#[test]
fn health_and_priority_decide_who_is_asked() {
    type Listed<'a> = &'a [(u32, u32, &'a str)];
    let table: [(Listed<'_>, u8, &[u32]); 8] = [
        (&[(1, 0, "HEALTHY"), (1, 0, "UNHEALTHY"), (1, 0, "UNKNOWN")], 0, &[0, 2]),
        (&[(1, 0, "DRAINING"), (1, 1, "HEALTHY")], 0, &[1]),
        (&[(1, 1, "HEALTHY"), (1, 0, "HEALTHY")], 50, &[1]),
        (&[(1, 0, "UNHEALTHY"), (1, 0, "UNHEALTHY")], 50, &[0, 1]),
        (&[(1, 0, "UNHEALTHY"), (1, 0, "UNHEALTHY")], 0, &[]),
        (&[(1, 0, "DEGRADED"), (1, 0, "HEALTHY"), (1, 0, "HEALTHY"), (1, 0, "HEALTHY")], 50, &[0, 1, 2, 3]),
        (&[(1, 0, "HEALTHY"), (1, 0, "UNHEALTHY"), (1, 1, "HEALTHY")], 0, &[0, 2]),
        (&[], 50, &[]),
    ];
    for (list, panic, expected) in table {
        let cluster = cluster(json!({"common_lb_config": {"healthy_panic_threshold": {"value": panic}}}));
        let endpoints = endpoints(list);
        let mut listed = candidates(&cluster, &endpoints).to_vec();
        // Degraded ones get nothing while healthy ones suffice.
        if list.len() == 4 {
            listed = expected[1..].to_vec();
        }
        let mut balancer = Balancer::new(&cluster, &endpoints, |_| false, 0);
        let picked: Vec<u32> = shares(&picks(&mut balancer, &World::default(), 1000)).into_keys().collect();
        assert_eq!(picked, listed, "{list:?}");
    }
}

#[test]
fn ejected_endpoints_are_left_out_until_too_few_are_left() {
    let four = endpoints(&[(1, 0, "HEALTHY"); 4]);
    let without = |ejected: &'static [u32]| {
        let mut balancer = Balancer::new(&cluster(json!({})), &four, |number| ejected.contains(&number), 0);
        shares(&picks(&mut balancer, &World::default(), 100)).into_keys().collect::<Vec<_>>()
    };
    assert_eq!(without(&[1]), [0, 2, 3]);
    assert_eq!(without(&[1, 2]), [0, 3]);
    assert_eq!(without(&[1, 2, 3]), [0, 1, 2, 3]);
}

#[test]
fn localities_get_what_they_weigh() {
    let place = |region: &str, weight: u32, first: usize, health: &[&str]| {
        let list: Vec<_> =
            health.iter().enumerate().map(|(at, health)| endpoint(first + at, 1, health)).collect();
        json!({"locality": {"region": region}, "load_balancing_weight": weight, "lb_endpoints": list})
    };
    let weighted = json!({"common_lb_config": {"locality_weighted_lb_config": {}}});
    let both = assignment(json!({"cluster_name": "c", "endpoints": [
        place("a", 80, 0, &["HEALTHY"; 2]), place("b", 20, 2, &["HEALTHY"; 4])]}));
    let of_first = |extra: &Value, endpoints: &Endpoints| {
        let picked = picks(&mut balancer(extra.clone(), endpoints), &World::default(), 1000);
        picked.iter().filter(|number| **number < 2).count()
    };
    assert_eq!(of_first(&weighted, &both), 800);
    assert!((320..345).contains(&of_first(&json!({}), &both)));
    // Half of the first is ill: 80 * 0.5 * 1.4 = 56 against 20.
    let half = assignment(json!({"cluster_name": "c", "endpoints": [
        place("a", 80, 0, &["HEALTHY", "UNHEALTHY"]), place("b", 20, 2, &["HEALTHY"; 4])]}));
    assert!((730..745).contains(&of_first(&weighted, &half)), "{}", of_first(&weighted, &half));
    for policy in ["RANDOM", "LEAST_REQUEST"] {
        let mut extra = weighted.clone();
        extra["lb_policy"] = json!(policy);
        assert_eq!(of_first(&extra, &both), 800, "{policy}");
    }
}

#[test]
fn new_endpoints_start_slowly() {
    let extra = json!({"round_robin_lb_config": {"slow_start_config":
        {"slow_start_window": "100s", "min_weight_percent": {"value": 10}}}});
    let two = endpoints(&[(1, 0, "HEALTHY"); 2]);
    let share = |age: u64| {
        let world = World { ages: [(1, Duration::from_secs(age))].into(), ..World::default() };
        shares(&picks(&mut balancer(extra.clone(), &two), &world, 1100))[&1]
    };
    for (age, expected) in [(0, 100), (10, 100), (50, 366), (99, 547), (200, 550)] {
        let share = share(age);
        assert!(share.abs_diff(expected) <= 12, "{age}: {share}");
    }
}

#[test]
fn the_form_of_the_start_follows_its_aggression() {
    let start = |aggression: f64| crate::cluster::SlowStart {
        window: Duration::from_secs(100),
        aggression,
        least: 0.1,
    };
    let at = |aggression: f64, age: u64| start(aggression).factor(Duration::from_secs(age));
    assert_eq!(at(1.0, 25), 0.25);
    assert_eq!(at(2.0, 25), 0.5);
    assert_eq!(at(1.0, 1), 0.1);
    assert_eq!(at(1.0, 100), 1.0);
}

#[test]
fn endpoints_that_were_tried_are_avoided_as_long_as_there_are_others() {
    let three = endpoints(&[(1, 0, "HEALTHY"); 3]);
    for policy in ["ROUND_ROBIN", "LEAST_REQUEST", "RANDOM", "RING_HASH", "MAGLEV"] {
        let mut balancer = balancer(json!({"lb_policy": policy}), &three);
        for random in 0..200 {
            let query = Query { random: mix(random), repeats: 40, ..Query::default() };
            let chosen = balancer.pick(&query, &World::default(), |number| number != 2);
            assert_eq!(chosen, Some(2), "{policy}");
        }
    }
}

#[test]
fn hashes_come_back_to_the_same_endpoint_and_few_move_when_one_leaves() {
    let all: Vec<(u32, u32, &str)> = vec![(1, 0, "HEALTHY"); 10];
    let endpoints = endpoints(&all);
    for policy in ["RING_HASH", "MAGLEV"] {
        let cluster = cluster(json!({"lb_policy": policy}));
        let owners = |ejected: u32| -> Vec<u32> {
            let mut balancer = Balancer::new(&cluster, &endpoints, |number| number == ejected, 0);
            (0..2000)
                .filter_map(|number| {
                    let query = Query { hash: Some(mix(number)), random: number, ..Query::default() };
                    balancer.pick(&query, &World::default(), |_| false)
                })
                .collect()
        };
        let (before, after) = (owners(99), owners(3));
        assert_eq!(before, owners(99));
        let moved = before.iter().zip(&after).filter(|(old, new)| old != new && **old != 3).count();
        assert!(moved < 250, "{policy}: {moved} moved");
        let of_one = shares(&before);
        assert!(of_one.values().all(|count| (100..330).contains(count)), "{policy}: {of_one:?}");
    }
}

#[test]
fn weights_count_on_rings_and_in_tables() {
    let weighted = endpoints(&[(3, 0, "HEALTHY"), (1, 0, "HEALTHY")]);
    for policy in ["RING_HASH", "MAGLEV"] {
        let mut balancer = balancer(json!({"lb_policy": policy}), &weighted);
        let picked = picks(&mut balancer, &World::default(), 4000);
        let first = shares(&picked)[&0];
        assert!((2800..3200).contains(&first), "{policy}: {first}");
    }
}

#[test]
fn bounded_loads_pass_requests_on() {
    let ten: Vec<(u32, u32, &str)> = vec![(1, 0, "HEALTHY"); 10];
    let config = json!({"lb_policy": "RING_HASH",
        "common_lb_config": {"consistent_hashing_lb_config": {"hash_balance_factor": 150}}});
    let mut balancer = balancer(config, &endpoints(&ten));
    let world = World::default();
    // All requests have the same hash and none ends.
    for _ in 0..100 {
        let query = Query { hash: Some(7), ..Query::default() };
        let number = balancer.pick(&query, &world, |_| false).expect("there are some");
        *world.active.borrow_mut().entry(number).or_default() += 1;
    }
    let most = world.active.borrow().values().copied().max();
    assert!(most.is_some_and(|most| most <= 17), "{:?}", world.active);
}

#[test]
fn wrong_sizes_are_refused() {
    let refused = |extra: Value| {
        let mut json = json!({"name": "c", "type": "EDS"});
        json.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        Cluster::compile(&xds::json::decode(&json).expect("a test's own JSON")).is_err()
    };
    let ring = |least: u64, most: u64| {
        json!({"lb_policy": "RING_HASH",
        "ring_hash_lb_config": {"minimum_ring_size": least, "maximum_ring_size": most}})
    };
    let maglev = |size: u64| json!({"lb_policy": "MAGLEV", "maglev_lb_config": {"table_size": size}});
    assert!(refused(ring(2000, 1000)));
    assert!(refused(ring(1, 1 << 40)));
    assert!(!refused(ring(1000, 2000)));
    assert!(refused(maglev(65_536)));
    assert!(refused(maglev(5_000_013)));
    assert!(!refused(maglev(65_537)));
}

proptest! {
    #[test]
    fn a_pick_is_always_usable(
        list in proptest::collection::vec((1u32..5, 0u32..3, 0usize..4), 0..12),
        policy in 0usize..5,
        ejected: u16,
        number: u64,
    ) {
        let policies = ["ROUND_ROBIN", "LEAST_REQUEST", "RANDOM", "RING_HASH", "MAGLEV"];
        let health = ["HEALTHY", "UNHEALTHY", "DRAINING", "DEGRADED"];
        let list: Vec<(u32, u32, &str)> =
            list.iter().map(|(weight, priority, state)| (*weight, *priority, health[*state])).collect();
        let cluster = cluster(json!({"lb_policy": policies[policy],
            "maglev_lb_config": {"table_size": 101},
            "common_lb_config": {"healthy_panic_threshold": {"value": 0}}}));
        let endpoints = endpoints(&list);
        let is_out = |at: u32| ejected & (1 << at) != 0;
        let mut balancer = Balancer::new(&cluster, &endpoints, is_out, number);
        let usable = |at: u32| {
            let state = list[at as usize].2;
            !is_out(at) && (state == "HEALTHY" || state == "DEGRADED")
        };
        let any = (0..list.len() as u32).any(usable);
        let hashed = policy >= 3;
        for step in 0..20 {
            let query = Query { random: mix(number ^ step), ..Query::default() };
            match balancer.pick(&query, &World::default(), |_| false) {
                Some(at) => prop_assert!(usable(at)),
                // As in Envoy, only healthy endpoints are on rings.
                None => prop_assert!(!any || hashed),
            }
        }
    }
}
