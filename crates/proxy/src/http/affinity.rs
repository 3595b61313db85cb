//! Keeping equal requests together: the hash that chooses an endpoint.

use routing::decision::Forwarding;
use routing::hash_policy::{Client, request_hash};

use crate::http::exchange::Exchange;
use crate::upstream::ClusterState;

/// The hash of the request where its cluster chooses by one. Cookies that
/// are made for it go out with the response.
pub fn hash(exchange: &mut Exchange<'_>, forwarding: &Forwarding<'_>, cluster: &ClusterState) -> Option<u64> {
    let policies = &forwarding.options.hash_policies;
    if policies.is_empty() || !cluster.cluster.policy.is_hashed() {
        return None;
    }
    let client = Client {
        address: exchange.remote.ip(),
        peer: exchange.connection.peer,
        local: exchange.connection.local,
    };
    let hashed = request_hash(policies, &exchange.request, &client);
    exchange.cookies = hashed.cookies;
    hashed.hash
}
