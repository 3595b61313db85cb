//! Sidecar injection: a pod and settings in, the patched pod out.
//!
//! [`decision::decide`] says whether a pod gets a sidecar, a gateway's proxy or nothing, and [`inject`] does it. A pod
//! stays JSON, so that whatever a user wrote is kept. Nothing here reads a cluster: the webhook, the command line and
//! the local mesh call the same two functions, and where the result runs is all in [`Settings`].
//!
//! ```
//! use injector::decision::{Decision, decide};
//! use injector::{Settings, inject};
//! let pod = serde_json::json!({
//!     "metadata": {"name": "app", "namespace": "default"},
//!     "spec": {"containers": [{"name": "app", "image": "app"}]},
//! });
//! let settings = Settings::default();
//! let labels = [("istio-injection".to_owned(), "enabled".to_owned())].into();
//! let decision = decide(&pod, "default", &labels, &settings.policy)?;
//! assert_eq!(decision, Decision::Sidecar);
//! let patched = inject(pod, &decision, &settings)?;
//! assert_eq!(patched["spec"]["initContainers"][0]["name"], "istio-init");
//! # Ok::<(), injector::InjectError>(())
//! ```

mod annotations;
pub mod decision;
mod error;
mod inject;
mod merge;
mod probes;
mod prometheus;
mod settings;
mod template;
mod workload;

pub use error::InjectError;
pub use inject::inject;
pub use settings::Settings;

/// Name of the proxy's container.
pub const PROXY_CONTAINER: &str = "istio-proxy";

/// Name of the container that writes the capture rules.
pub const INIT_CONTAINER: &str = "istio-init";

#[cfg(test)]
mod tests;
