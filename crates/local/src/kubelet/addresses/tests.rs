//! Places go round and run out.

use super::*;

#[test]
fn places_go_round() {
    let mut places = Places::default();
    let first = places.take().expect("a place");
    assert_eq!(address(first), Ipv4Addr::new(10, 44, 0, 1));
    places.give_back(first);
    assert_eq!(places.take(), Some(2));
    let mut count = 1;
    while places.take().is_some() {
        count += 1;
    }
    assert_eq!(count, 65534);
    places.give_back(700);
    assert_eq!(places.take(), Some(700));
}
