//! Labels and annotations by which a pod speaks to the injector.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::Value;

/// `"true"` or `"false"`; label or annotation.
pub(crate) const INJECT: &str = "sidecar.istio.io/inject";

/// What was injected.
pub(crate) const STATUS: &str = "sidecar.istio.io/status";

/// An annotation that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("annotation `{name}`: `{value}` is not {expected}")]
pub struct AnnotationError {
    /// The annotation.
    pub name: String,
    /// Its value.
    pub value: String,
    /// What it should be.
    pub expected: String,
}

/// The labels or annotations of a pod.
pub(crate) fn of_pod(pod: &Value, which: &str) -> BTreeMap<String, String> {
    let values = pod.get("metadata").and_then(|metadata| metadata.get(which)).and_then(Value::as_object);
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    values.into_iter().flatten().filter_map(text).collect()
}

/// The annotations of a pod, read with care.
#[derive(Debug, Clone, Default)]
pub(crate) struct Annotations(BTreeMap<String, String>);

impl Annotations {
    /// Those of a pod.
    pub(crate) fn of(pod: &Value) -> Annotations {
        Annotations(of_pod(pod, "annotations"))
    }

    /// One as it is written.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// One of these, the first that is there.
    pub(crate) fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.text(name))
    }

    /// One that is a value of some kind.
    pub(crate) fn parsed<T: FromStr>(
        &self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, AnnotationError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.trim().parse().map(Some).map_err(|_| AnnotationError {
            name: name.to_owned(),
            value: text.to_owned(),
            expected: expected.to_owned(),
        })
    }

    /// One that is yes or no, in the words of Go's `ParseBool`.
    pub(crate) fn switch(&self, name: &str) -> Result<Option<bool>, AnnotationError> {
        match self.text(name) {
            None => Ok(None),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(Some(true)),
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(Some(false)),
            Some(other) => Err(AnnotationError {
                name: name.to_owned(),
                value: other.to_owned(),
                expected: "true or false".to_owned(),
            }),
        }
    }

    /// One that is YAML, of which JSON is a part.
    pub(crate) fn yaml(&self, name: &str, expected: &str) -> Result<Option<Value>, AnnotationError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        serde_saphyr::from_str(text).map(Some).map_err(|error| AnnotationError {
            name: name.to_owned(),
            value: text.to_owned(),
            expected: format!("{expected}: {error}"),
        })
    }
}

#[cfg(test)]
mod tests;
