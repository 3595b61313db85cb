//! Why a pod cannot be patched.

use capture::arguments::ArgumentError;

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
    /// The proxy's name is taken twice.
    #[error("`istio-proxy` is both a container and an init container")]
    TwoProxies,
    /// The application's metrics would be where the mesh's own are.
    #[error(
        "annotation `prometheus.io/port`: {0} is the mesh's own port, and no metrics of the application are there"
    )]
    ReservedPort(u16),
}

impl InjectError {
    /// An annotation that is not what it should be.
    pub(crate) fn annotation(name: &str, value: &str, expected: &str) -> InjectError {
        let (name, value) = (name.to_owned(), value.to_owned());
        InjectError::Annotation { name, value, why: format!("it is not {expected}") }
    }

    /// The same for a list of ports or ranges.
    pub(crate) fn capture(name: &str, value: &str, error: &ArgumentError) -> InjectError {
        let why = match error {
            ArgumentError::InvalidValue { value, expected, .. } => format!("`{value}` is not {expected}"),
            other => other.to_string(),
        };
        InjectError::Annotation { name: name.to_owned(), value: value.to_owned(), why }
    }
}
