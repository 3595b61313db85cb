use proptest::prelude::*;

use super::*;

fn counts(list: &[(u32, u32, u32)]) -> Vec<Counts> {
    list.iter()
        .map(|(healthy, degraded, total)| Counts { healthy: *healthy, degraded: *degraded, total: *total })
        .collect()
}

#[test]
fn load_spills_over_as_envoy_documents_it() {
    // Healthy, degraded and all endpoints of each priority; then the loads.
    type Case<'a> = (&'a [(u32, u32, u32)], u8, &'a [u32], &'a [u32]);
    let table: [Case<'_>; 9] = [
        (&[(100, 0, 100), (100, 0, 100)], 50, &[100, 0], &[0, 0]),
        (&[(72, 0, 100), (100, 0, 100)], 50, &[100, 0], &[0, 0]),
        (&[(71, 0, 100), (71, 0, 100)], 50, &[99, 1], &[0, 0]),
        (&[(50, 0, 100), (60, 0, 100)], 50, &[70, 30], &[0, 0]),
        (&[(25, 0, 100), (100, 0, 100)], 50, &[35, 65], &[0, 0]),
        (&[(0, 0, 100), (100, 0, 100)], 50, &[0, 100], &[0, 0]),
        // Too little everywhere: scaled up to 100.
        (&[(25, 0, 100), (25, 0, 100)], 0, &[50, 50], &[0, 0]),
        (&[(5, 10, 100), (5, 0, 100)], 0, &[25, 25], &[50, 0]),
        (&[(0, 0, 0)], 50, &[100], &[0]),
    ];
    for (list, threshold, healthy, degraded) in table {
        let spread = Spread::of(&counts(list), 140, threshold);
        assert_eq!(&*spread.loads.healthy, healthy, "{list:?}");
        assert_eq!(&*spread.loads.degraded, degraded, "{list:?}");
    }
}

#[test]
fn panic_begins_below_the_threshold_unless_another_priority_makes_up() {
    let panics =
        |list: &[(u32, u32, u32)], threshold| Spread::of(&counts(list), 140, threshold).panics.to_vec();
    assert_eq!(panics(&[(5, 0, 10)], 50), [false]);
    assert_eq!(panics(&[(4, 0, 10)], 50), [true]);
    assert_eq!(panics(&[(4, 0, 10), (10, 0, 10)], 50), [false, false]);
    assert_eq!(panics(&[(4, 0, 10), (1, 0, 10)], 50), [true, true]);
    assert_eq!(panics(&[(0, 0, 10)], 0), [false]);
    let all = Spread::of(&counts(&[(0, 0, 1), (0, 0, 3)]), 140, 50);
    assert_eq!(&*all.loads.healthy, [25, 75]);
}

#[test]
fn excluded_priorities_give_their_load_to_the_others() {
    let spread = Spread::of(&counts(&[(10, 0, 10), (10, 0, 10), (10, 0, 10)]), 140, 50);
    let loads = spread.without(&[true, false, false]).expect("others are there");
    assert_eq!(loads.choose(0).0, 1);
    assert!(spread.without(&[true, true, true]).is_none());
}

proptest! {
    #[test]
    fn loads_are_a_hundred_together_and_every_number_falls_on_one(
        list in proptest::collection::vec((0u32..20, 0u32..20, 0u32..20), 1..5),
        threshold in 0u8..=100,
        number: u64,
    ) {
        let counts: Vec<Counts> = list
            .iter()
            .map(|(healthy, degraded, rest)| Counts { healthy: *healthy, degraded: *degraded, total: healthy + degraded + rest })
            .collect();
        let spread = Spread::of(&counts, 140, threshold);
        let sum: u32 = spread.loads.healthy.iter().chain(&spread.loads.degraded).sum();
        prop_assert_eq!(sum, 100);
        let (priority, _) = spread.loads.choose(number);
        prop_assert!(spread.loads.uses(priority));
    }
}
