//! A pod and settings in, the patched pod out.
//!
//! [`decision::decide`] says whether a pod gets a sidecar, a gateway or
//! nothing, by Istio's rules; [`inject`] patches it: the capture rules' init
//! container, the proxy, the application's probes turned towards the agent,
//! metrics merged, labels and the status annotation added.  What a user's pod
//! says otherwise is left as it is.
//!
//! Pods are JSON here, so that fields which this crate does not know survive.
//! The crate does no I/O; where its result runs (Kubernetes, or this machine)
//! is all in [`Settings`].

mod annotation;
pub mod decision;
mod environment;
mod gateway;
mod labels;
mod metrics;
mod probes;
mod settings;
mod sidecar;
mod status;

use serde_json::Value;

pub use settings::Settings;

use decision::Decision;

/// Name of the proxy's container.
pub const PROXY_CONTAINER: &str = "istio-proxy";

/// Name of the container that writes the capture rules.
pub const INIT_CONTAINER: &str = "istio-init";

/// Why a pod cannot be patched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InjectError {
    /// An annotation holds something else than it should.
    #[error("annotation `{name}: {value}`: {why}")]
    Annotation {
        /// Its key.
        name: String,
        /// What it holds.
        value: String,
        /// What is wrong with that.
        why: String,
    },
    /// The pod has no containers.
    #[error("the pod has no list of containers")]
    NoContainers,
    /// A template that is not known.
    #[error("annotation `inject.istio.io/templates` names `{0}`: known are sidecar and gateway")]
    Template(String),
}

/// Patches `pod` as `decision` says; [`Decision::Skip`] leaves it as it is.
pub fn inject(pod: Value, decision: &Decision, settings: &Settings) -> Result<Value, InjectError> {
    match decision {
        Decision::Skip(_) => Ok(pod),
        Decision::Sidecar => sidecar::inject(pod, settings),
        Decision::Gateway => gateway::inject(pod, settings),
    }
}

#[cfg(test)]
mod tests;
