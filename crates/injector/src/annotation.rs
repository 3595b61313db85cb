//! Reading a pod's labels and annotations.

use serde_json::Value;

/// A label of the pod.
pub(crate) fn label<'a>(pod: &'a Value, name: &str) -> Option<&'a str> {
    pod["metadata"]["labels"].get(name)?.as_str()
}

/// An annotation of the pod.
pub(crate) fn annotation<'a>(pod: &'a Value, name: &str) -> Option<&'a str> {
    pod["metadata"]["annotations"].get(name)?.as_str()
}

/// Sets an annotation.
pub(crate) fn annotate(pod: &mut Value, name: &str, value: impl Into<Value>) {
    pod["metadata"]["annotations"][name] = value.into();
}
