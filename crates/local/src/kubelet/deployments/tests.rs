//! One table of situations and steps, and whole rollouts played to their end.

use super::*;

fn wanted(replicas: usize, strategy: Strategy) -> Wanted {
    Wanted { replicas, hash: "new".to_owned(), strategy, is_paused: false }
}

/// Pods from words: hash, `+` available or `-` not, `!` ending.
fn pods(words: &str) -> Vec<Existing> {
    words
        .split_whitespace()
        .enumerate()
        .map(|(number, word)| Existing {
            name: format!("p{number}"),
            hash: word.trim_end_matches(['+', '-', '!']).to_owned(),
            is_available: word.contains('+'),
            is_ending: word.ends_with('!'),
        })
        .collect()
}

const ROLLING: Strategy = Strategy::Rolling { surge: 1, unavailable: 0 };

#[test]
fn each_situation_has_its_step() {
    let cases = [
        (wanted(2, ROLLING), "", 2, ""),
        (wanted(2, ROLLING), "new+ new-", 0, ""),
        (wanted(1, ROLLING), "new+ new-", 0, "p1"),
        (wanted(1, ROLLING), "new+ new+", 0, "p1"),
        (wanted(0, ROLLING), "new+ old+", 0, "p0 p1"),
        (wanted(1, ROLLING), "old+", 1, ""),
        (wanted(1, ROLLING), "old+ new-", 0, ""),
        (wanted(1, ROLLING), "old+ new+", 0, "p0"),
        (wanted(1, ROLLING), "old-", 1, "p0"),
        (wanted(1, ROLLING), "old+! new+", 0, ""),
        (wanted(4, Strategy::Rolling { surge: 0, unavailable: 2 }), "old+ old+ old+ old+", 0, "p0 p1"),
        (wanted(4, Strategy::Rolling { surge: 0, unavailable: 2 }), "old+ old+", 2, ""),
        (wanted(2, Strategy::Recreate), "old+ old+", 0, "p0 p1"),
        (wanted(2, Strategy::Recreate), "old+!", 0, ""),
        (wanted(2, Strategy::Recreate), "", 2, ""),
        (Wanted { is_paused: true, ..wanted(1, ROLLING) }, "old+ old+", 0, "p1"),
    ];
    for (wanted, words, create, delete) in cases {
        let steps = next(&wanted, &pods(words));
        assert_eq!((steps.create, steps.delete.join(" ").as_str()), (create, delete), "{wanted:?} {words}");
    }
}

#[test]
fn a_rollout_never_falls_below_what_it_promises() {
    for replicas in 1..7 {
        for (surge, unavailable) in [(1, 0), (0, 1), (2, 1), (3, 3)] {
            play(replicas, surge, unavailable);
        }
    }
}

fn play(replicas: usize, surge: usize, unavailable: usize) {
    let wanted = wanted(replicas, Strategy::Rolling { surge, unavailable });
    let mut all: Vec<Existing> = pods(&"old+ ".repeat(replicas));
    let mut count = 100;
    for _ in 0..100 {
        let steps = next(&wanted, &all);
        all.retain(|pod| !steps.delete.contains(&pod.name));
        for _ in 0..steps.create {
            count += 1;
            all.push(Existing {
                name: format!("p{count}"),
                hash: "new".to_owned(),
                is_available: false,
                is_ending: false,
            });
        }
        let available = all.iter().filter(|pod| pod.is_available).count();
        assert!(available + unavailable >= replicas && all.len() <= replicas + surge);
        if steps == Steps::default() && all.iter().all(|pod| pod.is_available) {
            assert!(all.iter().all(|pod| pod.hash == "new") && all.len() == replicas);
            return;
        }
        if let Some(pod) = all.iter_mut().find(|pod| !pod.is_available) {
            pod.is_available = true;
        }
    }
    panic!("the rollout of {replicas} with {surge}/{unavailable} does not end");
}

#[test]
fn bounds_are_numbers_or_percentages() {
    let of = |strategy: &str| {
        let text = format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d}}\nspec: {{replicas: 5, {strategy} selector: {{matchLabels: {{a: b}}}}, template: {{metadata: {{labels: {{a: b}}}}, spec: {{containers: [{{name: c, image: i}}]}}}}}}\n"
        );
        let parsed = resources::parse("d.yaml", &text, "default");
        assert!(!parsed.has_errors(), "{:?}", parsed.problems);
        Wanted::of(parsed.objects[0].as_deployment().expect("a deployment"), String::new()).strategy
    };
    assert_eq!(of(""), Strategy::Rolling { surge: 2, unavailable: 1 });
    assert_eq!(of("strategy: {type: Recreate},"), Strategy::Recreate);
    assert_eq!(
        of("strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0}},"),
        Strategy::Rolling { surge: 0, unavailable: 1 }
    );
    assert_eq!(
        of("strategy: {rollingUpdate: {maxSurge: 50%, maxUnavailable: 3}},"),
        Strategy::Rolling { surge: 3, unavailable: 3 }
    );
}
