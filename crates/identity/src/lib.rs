//! Who a workload is: SPIFFE identities and the certificates that prove them.
//!
//! The crate is pure: keys, times and documents come in as arguments.

pub mod spiffe;

pub use spiffe::{SpiffeId, TrustDomain};
