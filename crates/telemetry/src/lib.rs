//! What programs of the mesh tell about themselves: metrics, access logs and
//! status.
//!
//! [`metrics`] counts without locks and prints Prometheus text, [`istio`]
//! knows Istio's standard metrics, [`access_log`] compiles Envoy's format
//! strings, [`log_writer`] brings lines to a file off the hot path, and
//! [`status`] is what programs ask each other.

pub mod access_log;
pub mod istio;
pub mod log_writer;
pub mod metrics;
pub mod status;
