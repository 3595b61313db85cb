//! The xDS protocol as two pure state machines that face each other.
//!
//! [`server`] decides what to send to one client and what its answers mean;
//! [`client`] decides what to ask for and what to answer. Both speak the two
//! forms of the protocol ([`Protocol`]); neither owns a connection or a clock.
//!
//! Invariants, held by a property test that drives the halves against each
//! other through loss of connections and every interleaving:
//! - when nothing changes any more, the client holds exactly the target, and
//!   where it rejected a resource, that resource's last accepted version;
//! - what a client holds is not sent again, with two exceptions: what it names
//!   in a new subscription, and the endpoints of a cluster sent anew, because
//!   Envoy waits for both;
//! - no route or listener is sent before the clusters of the same target, and
//!   their endpoints, are held; no cluster is taken away before the listeners
//!   and routes that used it.

pub mod client;
pub mod rejection;
pub mod server;

/// The two forms of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Each response of listeners and clusters lists all of them.
    StateOfTheWorld,
    /// Responses hold changes only.
    Delta,
}

/// Whether a state-of-the-world response of this type lists every resource, so
/// that what is missing is gone.
pub fn is_listed_in_full(type_url: &str) -> bool {
    matches!(type_url, crate::type_url::CLUSTER | crate::type_url::LISTENER)
}

#[cfg(test)]
mod tests;
