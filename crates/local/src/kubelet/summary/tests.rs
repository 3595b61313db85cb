//! Workloads are found by the names that people use.

use std::collections::BTreeMap;

use super::*;

fn pod(namespace: &str, name: &str, deployment: Option<&str>, is_ready: bool) -> PodSummary {
    let app = deployment.map(|deployment| deployment.split('-').next().unwrap_or_default().to_owned());
    PodSummary {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        deployment: deployment.map(str::to_owned),
        labels: app.map(|app| BTreeMap::from([("app".to_owned(), app)])).unwrap_or_default(),
        address: Ipv4Addr::new(10, 44, 0, 1),
        phase: "Running".to_owned(),
        is_ready,
        created: 0,
        default_container: "a".to_owned(),
        containers: Vec::new(),
    }
}

#[test]
fn workloads_are_found_as_people_name_them() {
    let pods = [
        pod("default", "reviews-v1-abc-1", Some("reviews-v1"), false),
        pod("default", "reviews-v2-abc-2", Some("reviews-v2"), true),
        pod("default", "sleep-abc-3", Some("sleep"), true),
        pod("default", "alone", None, true),
        pod("other", "far-1", Some("far"), true),
    ];
    let cases = [
        ("alone", Ok("alone")),
        ("sleep", Ok("sleep-abc-3")),
        ("reviews", Ok("reviews-v2-abc-2")),
        ("reviews-v1", Ok("reviews-v1-abc-1")),
        ("deploy/reviews-v1", Ok("reviews-v1-abc-1")),
        ("svc/sleep", Ok("sleep-abc-3")),
        ("pod/sleep", Err("no pod of `pod/sleep`")),
        ("far", Err("try `-n other`")),
        ("nobody", Err("no pod of `nobody` in namespace `default`")),
        ("job/x", Err("`job` is no kind")),
    ];
    for (workload, expected) in cases {
        match (find(&pods, "default", workload), expected) {
            (Ok(found), Ok(name)) => assert_eq!(found.name, name),
            (Err(message), Err(part)) => assert!(message.contains(part), "{message}"),
            (found, _) => panic!("{workload}: {found:?}"),
        }
    }
}
