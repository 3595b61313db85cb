//! Who a workload is: SPIFFE identities and the certificates that prove them.
//!
//! A workload makes a [`key`] and a [`request`]; an [`authority`] takes the
//! public key from the request, and nothing else, and signs a certificate for
//! whoever the caller has proven to be.  [`certificate`] reads what peers
//! show, [`bundle`] is whom to trust, [`revocation`] whom no longer.
//!
//! The crate is pure: keys, times, serial numbers and documents come in as
//! arguments; only keys and signatures draw randomness, inside the crypto
//! library.

pub mod authority;
pub mod bundle;
pub mod certificate;
pub mod instant;
pub mod key;
pub mod pem;
pub mod request;
pub mod revocation;
pub mod spiffe;

pub use spiffe::{SpiffeId, TrustDomain};
