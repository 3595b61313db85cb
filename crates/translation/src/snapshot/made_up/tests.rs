//! Addresses that were made up.

use super::*;

#[test]
fn every_number_is_an_address_that_hosts_take() {
    let all: BTreeSet<Ipv4Addr> = (0..COUNT).map(address).collect();
    assert_eq!(all.len(), 64_516);
    for address in all {
        let [first, second, third, fourth] = address.octets();
        assert_eq!((first, second), (240, 240));
        assert!((1..255).contains(&third) && (1..255).contains(&fourth), "{address}");
    }
}

#[test]
fn the_hash_is_the_published_one() {
    assert_eq!(fnv(""), 0x811c_9dc5);
    assert_eq!(fnv("foobar"), 0xbf9c_f968);
}
