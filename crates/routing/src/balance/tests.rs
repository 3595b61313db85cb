use serde_json::json;

use super::*;

fn cluster(extra: serde_json::Value) -> Cluster {
    let mut json = json!({"name": "c", "type": "EDS"});
    json.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    Cluster::compile(&xds::json::decode(&json).expect("a test's own JSON")).expect("it compiles")
}

/// Endpoints as (weight, priority, health).
fn endpoints(list: &[(u32, u32, &str)]) -> Endpoints {
    let groups: Vec<_> = list
        .iter()
        .enumerate()
        .map(|(number, (weight, priority, health))| {
            json!({"priority": priority, "lb_endpoints": [{"health_status": health, "load_balancing_weight": weight,
                "endpoint": {"address": {"socket_address": {"address": "10.0.0.1", "port_value": number + 1}}}}]})
        })
        .collect();
    let json = json!({"cluster_name": "c", "endpoints": groups});
    Endpoints::compile(&xds::json::decode(&json).expect("a test's own JSON")).expect("it compiles")
}

fn picks(balancer: &mut Balancer, count: usize) -> Vec<u32> {
    (0..count).filter_map(|number| balancer.pick(mix(number as u64), |_| 0)).collect()
}

#[test]
fn round_robin_goes_in_turn_and_by_weight() {
    let even = endpoints(&[(1, 0, "HEALTHY"), (1, 0, "HEALTHY"), (1, 0, "HEALTHY")]);
    let mut balancer = Balancer::new(&cluster(json!({})), &even, 1);
    assert_eq!(picks(&mut balancer, 6), [1, 2, 0, 1, 2, 0]);
    let weighted = endpoints(&[(3, 0, "HEALTHY"), (1, 0, "HEALTHY")]);
    let mut balancer = Balancer::new(&cluster(json!({})), &weighted, 0);
    let picked = picks(&mut balancer, 400);
    assert_eq!(picked.iter().filter(|number| **number == 0).count(), 300);
}

#[test]
fn least_request_prefers_the_less_busy() {
    let even = endpoints(&[(1, 0, "HEALTHY"), (1, 0, "HEALTHY")]);
    let mut balancer = Balancer::new(&cluster(json!({"lb_policy": "LEAST_REQUEST"})), &even, 0);
    let picked: Vec<_> = (0..100)
        .filter_map(|number| balancer.pick(mix(number), |number| u32::from(number == 0) * 9))
        .collect();
    assert!(picked.iter().filter(|number| **number == 1).count() > 60);
}

#[test]
fn health_and_priority_decide_who_is_asked() {
    type Listed<'a> = &'a [(u32, u32, &'a str)];
    let table: [(Listed<'_>, u8, &[u32]); 6] = [
        (&[(1, 0, "HEALTHY"), (1, 0, "UNHEALTHY"), (1, 0, "UNKNOWN")], 0, &[0, 2]),
        (&[(1, 0, "DRAINING"), (1, 1, "HEALTHY")], 0, &[1]),
        (&[(1, 1, "HEALTHY"), (1, 0, "HEALTHY")], 50, &[1]),
        (&[(1, 0, "UNHEALTHY"), (1, 0, "UNHEALTHY")], 50, &[0, 1]),
        (&[(1, 0, "UNHEALTHY"), (1, 0, "UNHEALTHY")], 0, &[]),
        (&[], 50, &[]),
    ];
    for (list, panic, expected) in table {
        assert_eq!(&*candidates(&endpoints(list), panic), expected, "{list:?}");
    }
}
