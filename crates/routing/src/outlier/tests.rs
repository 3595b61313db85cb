use serde_json::{Value, json};

use super::*;

fn settings(json: Value) -> OutlierDetection {
    let cluster = json!({"name": "c", "type": "EDS", "outlier_detection": json});
    let cluster = xds::json::decode(&cluster).expect("a test's own JSON");
    crate::cluster::Cluster::compile(&cluster).expect("it compiles").outlier_detection.expect("it is there")
}

fn host(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number], 80))
}

fn detector(json: Value, hosts: u8) -> Detector {
    let settings = settings(json);
    let mut detector = Detector::new(settings.clone());
    detector.update(&settings, (1..=hosts).map(host));
    detector
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn look(detector: &mut Detector, at: u64) -> Vec<Event> {
    detector.look(&BTreeMap::new(), seconds(at), || 0)
}

#[test]
fn an_ejection_lasts_longer_each_time_and_good_behaviour_shortens_it() {
    let mut detector = detector(json!({"base_ejection_time": "30s", "max_ejection_percent": 50}), 2);
    let fault = Fault::Consecutive5xx;
    assert_eq!(detector.on_row(host(1), fault, seconds(0), 0), Some(Event::Ejected(host(1), fault)));
    assert_eq!(detector.on_row(host(1), fault, seconds(1), 0), None, "it is out already");
    assert_eq!(look(&mut detector, 29), []);
    assert_eq!(look(&mut detector, 30), [Event::Returned(host(1))]);
    detector.on_row(host(1), fault, seconds(31), 0);
    assert_eq!(look(&mut detector, 90), []);
    assert_eq!(look(&mut detector, 91), [Event::Returned(host(1))]);
    // Two quiet intervals take back both.
    look(&mut detector, 101);
    look(&mut detector, 111);
    detector.on_row(host(1), fault, seconds(112), 0);
    assert_eq!(look(&mut detector, 142), [Event::Returned(host(1))]);
}

#[test]
fn no_ejection_lasts_longer_than_the_longest() {
    let json = json!({"base_ejection_time": "100s", "max_ejection_time": "150s", "interval": "1000s",
        "max_ejection_percent": 100});
    let mut detector = detector(json, 1);
    let mut now = 0;
    for _ in 0..4 {
        detector.on_row(host(1), Fault::Consecutive5xx, seconds(now), 0);
        let back = (1..400).find(|after| !look(&mut detector, now + after).is_empty());
        assert!(back.is_some_and(|after| after <= 150), "{back:?}");
        now += 400;
    }
}

#[test]
fn not_more_are_left_out_than_the_percentage_allows() {
    let table = [
        (10, 10, false, 1),
        (10, 9, false, 0),
        (10, 9, true, 1),
        (50, 5, false, 2),
        (100, 3, false, 3),
        (0, 5, true, 1),
    ];
    for (percent, hosts, always_one, expected) in table {
        let json = json!({"max_ejection_percent": percent, "always_eject_one_host": always_one});
        let mut detector = detector(json, hosts);
        for number in 1..=hosts {
            detector.on_row(host(number), Fault::Consecutive5xx, seconds(0), 0);
        }
        assert_eq!(detector.ejected(), expected, "{percent} % of {hosts}");
    }
}

#[test]
fn what_is_not_enforced_is_only_noticed() {
    let mut detector = detector(json!({"max_ejection_percent": 100}), 1);
    let gateway = Fault::ConsecutiveGateway;
    assert_eq!(detector.on_row(host(1), gateway, seconds(0), 0), Some(Event::Noticed(host(1), gateway)));
    assert_eq!(detector.on_row(host(9), gateway, seconds(0), 0), None, "it is not of the cluster");
}

fn tallies(list: &[(u8, u64, u64)]) -> BTreeMap<SocketAddr, Sample> {
    let sample = |total, successes| Sample { answers: Tally { total, successes }, ..Sample::default() };
    list.iter().map(|(number, total, successes)| (host(*number), sample(*total, *successes))).collect()
}

#[test]
fn success_rates_are_compared_with_those_of_others() {
    // Envoy's own example: of 50, 100, 100, 100, 100 the first is below 52.
    let mut detector = detector(json!({"max_ejection_percent": 100}), 5);
    let list = tallies(&[(1, 100, 50), (2, 100, 100), (3, 100, 100), (4, 100, 100), (5, 100, 100)]);
    let events = detector.look(&list, seconds(10), || 0);
    assert_eq!(events, [Event::Ejected(host(1), Fault::SuccessRate)]);
    let too_few = tallies(&[(1, 49, 0), (2, 100, 100), (3, 100, 100), (4, 100, 100), (5, 100, 100)]);
    let mut detector = super::tests::detector(json!({"max_ejection_percent": 100}), 5);
    assert_eq!(detector.look(&too_few, seconds(10), || 0), []);
}

#[test]
fn a_failure_percentage_is_an_absolute_limit() {
    let json = json!({"max_ejection_percent": 100, "enforcing_success_rate": 0,
        "enforcing_failure_percentage": 100, "failure_percentage_threshold": 60,
        "failure_percentage_minimum_hosts": 2, "failure_percentage_request_volume": 10});
    let mut detector = detector(json, 3);
    let events = detector.look(&tallies(&[(1, 10, 4), (2, 10, 5), (3, 5, 0)]), seconds(10), || 0);
    assert_eq!(events, [Event::Ejected(host(1), Fault::FailurePercentage)]);
}

#[test]
fn endpoints_that_stay_keep_their_record() {
    let mut detector = detector(json!({"max_ejection_percent": 100}), 2);
    detector.on_row(host(1), Fault::Consecutive5xx, seconds(0), 0);
    let settings = settings(json!({"max_ejection_percent": 100, "base_ejection_time": "5s"}));
    detector.update(&settings, [host(1), host(3)].into_iter());
    assert_eq!(detector.ejected(), 1);
    assert_eq!(look(&mut detector, 5), [Event::Returned(host(1))]);
}
