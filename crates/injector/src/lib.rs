//! Sidecar injection: a pod and settings in, the patched pod out.
//!
//! [`decide`] says whether a pod gets a proxy, [`inject`] gives it one. A pod stays JSON, so that whatever a user
//! wrote is kept. Nothing here reads a cluster: the webhook, the command line and the local mesh call the same two
//! functions.
//!
//! ```
//! use injector::{Namespace, Settings, decide, inject};
//! let pod = serde_json::json!({
//!     "metadata": {"name": "app", "namespace": "default"},
//!     "spec": {"containers": [{"name": "app", "image": "app"}]},
//! });
//! let namespace = Namespace { name: "default".into(), labels: [("istio-injection".into(), "enabled".into())].into() };
//! let settings = Settings::default();
//! assert!(decide(&pod, &namespace, &settings).is_injected());
//! let patched = inject(pod, &settings)?;
//! assert_eq!(patched["spec"]["initContainers"][0]["name"], "istio-init");
//! # Ok::<(), injector::InjectError>(())
//! ```

mod annotations;
mod decision;
mod inject;
mod merge;
mod probes;
mod prometheus;
mod settings;
mod template;
mod workload;

pub use annotations::AnnotationError;
pub use decision::{Decision, Namespace, decide, inject_required};
pub use inject::{InjectError, inject};
pub use prometheus::ReservedPort;
pub use settings::{Environment, Policy, Settings};
pub use template::TemplateError;
