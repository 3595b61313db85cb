//! Traffic capture: options, and the rules that follow from them.
//!
//! A sidecar sees a pod's traffic because packet-filter rules redirect it.
//! This crate turns [`Options`] into those rules once, as [`RuleSet`], and writes them down twice: as text for
//! `iptables-restore` and as text for `nft`. It never runs either program, reads no file and opens no socket.
//!
//! ```
//! let options = capture::arguments::parse(&["-p", "15001", "-z", "15006", "-u", "1337", "-g", "1337"])?.options;
//! let text = capture::nftables::render(&capture::rules::build(&options, capture::Family::V4));
//! assert!(text.contains("redirect to :15006"));
//! # Ok::<(), capture::arguments::ArgumentError>(())
//! ```

pub mod arguments;
pub mod iptables;
pub mod nftables;
mod options;
pub mod rules;

pub use options::{
    DNS_CAPTURE_PORT, DnsCapture, Family, Options, PROXY_DSCP, PROXY_ID, Ports, ProxyMatch, Ranges,
};
pub use rules::RuleSet;

#[cfg(test)]
mod golden;
