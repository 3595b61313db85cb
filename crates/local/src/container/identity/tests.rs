//! Names of capabilities, as Kubernetes writes them.

use super::*;

#[test]
fn capabilities_are_known_by_name() {
    let names = ["NET_ADMIN", "CAP_NET_RAW", "NO_SUCH"].map(str::to_owned);
    assert_eq!(kept_capabilities(&names), CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW);
}
