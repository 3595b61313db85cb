//! Phases, conditions, and the JSON that others read.

use super::*;

fn report(name: &str, is_init: bool, state: State, ready: bool) -> ContainerReport {
    ContainerReport {
        name: name.to_owned(),
        is_init,
        state,
        last_state: None,
        started: ready,
        ready,
        restarts: 0,
    }
}

fn waiting() -> State {
    State::Waiting { reason: "ContainerCreating".to_owned(), message: String::new() }
}

fn running() -> State {
    State::Running { since: 0, pid: 7 }
}

fn ended(code: i32) -> State {
    State::Terminated(Ended {
        code,
        signal: None,
        reason: String::new(),
        message: String::new(),
        started: 0,
        finished: 1,
    })
}

#[test]
fn the_phase_follows_the_containers() {
    let cases = [
        (vec![report("a", false, waiting(), false)], false, Phase::Pending),
        (
            vec![report("i", true, running(), false), report("a", false, waiting(), false)],
            false,
            Phase::Pending,
        ),
        (
            vec![report("a", false, running(), true), report("b", false, waiting(), false)],
            false,
            Phase::Pending,
        ),
        (vec![report("a", false, running(), false)], false, Phase::Running),
        (vec![report("a", false, ended(1), false)], false, Phase::Running),
        (
            vec![report("a", false, ended(0), false), report("i", true, ended(0), true)],
            true,
            Phase::Succeeded,
        ),
        (vec![report("a", false, ended(0), false), report("b", false, ended(2), false)], true, Phase::Failed),
        (Vec::new(), false, Phase::Pending),
    ];
    for (reports, is_finished, expected) in cases {
        assert_eq!(phase(&reports, is_finished), expected, "{reports:?}");
    }
}

#[test]
fn the_status_is_one_that_the_mesh_reads() {
    let reports = [report("init", true, ended(0), true), report("app", false, running(), true)];
    let mut conditions = Conditions::default();
    let (before, now) =
        (Timestamp::from_second(10).expect("a time"), Timestamp::from_second(20).expect("a time"));
    conditions.observe(&reports[..1], before);
    conditions.observe(&reports, now);
    conditions.observe(&reports, Timestamp::from_second(30).expect("a time"));
    assert_eq!(conditions.ready_since(), Some(now));
    let facts = Facts {
        address: std::net::Ipv4Addr::new(10, 44, 0, 3),
        start: before,
        phase: Phase::Running,
        conditions: &conditions,
    };
    let mut pod = json!({
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": [{"name": "app", "image": "x", "command": ["y"]}]},
    });
    complete(&mut pod, "u1", before);
    pod["status"] = to_json(&facts, &reports, &pod["spec"]);
    let parsed = resources::parse_json("memory", &pod, "default");
    assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
    let read = parsed.objects[0].as_pod().expect("a pod");
    assert!(read.status.is_ready());
    assert_eq!(read.status.pod_ip, "10.44.0.3");
    assert_eq!(read.status.container_statuses[0].image, "x");
    assert_eq!(read.status.init_container_statuses[0].name, "init");
}
