//! What resources say about themselves: the object that caused them, and
//! Istio's notes.

use std::sync::Arc;

use prost_types::value::Kind;
use prost_types::{Struct, Value};
use xds::envoy::config::core::v3::Metadata;

/// The user's object from which something was generated.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The object, `VirtualService/default/reviews`.
    pub object: Arc<str>,
    /// The field path inside it, `http[1]`; empty for the whole object.
    pub path: Arc<str>,
}

impl Origin {
    /// Reads the origin that our control plane writes (`lateen`), else as
    /// much as istiod says (`istio.config`).
    pub fn compile(metadata: Option<&Metadata>) -> Option<Origin> {
        let filters = &metadata?.filter_metadata;
        if let Some(ours) = filters.get("lateen") {
            return Some(Origin {
                object: text(ours, "object")?.into(),
                path: text(ours, "path").unwrap_or_default().into(),
            });
        }
        let config = text(filters.get("istio")?, "config")?;
        Some(Origin { object: config.into(), path: "".into() })
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.object)?;
        if self.path.is_empty() { Ok(()) } else { write!(out, " {}", self.path) }
    }
}

/// A field of a struct.
pub fn field<'a>(fields: &'a Struct, name: &str) -> Option<&'a Kind> {
    fields.fields.get(name)?.kind.as_ref()
}

/// A text field of a struct.
pub fn text<'a>(fields: &'a Struct, name: &str) -> Option<&'a str> {
    match field(fields, name)? {
        Kind::StringValue(text) => Some(text),
        _ => None,
    }
}

/// A true field of a struct.
pub fn flag(fields: &Struct, name: &str) -> bool {
    matches!(field(fields, name), Some(Kind::BoolValue(true)))
}

/// A struct inside a struct.
pub fn inner<'a>(fields: &'a Struct, name: &str) -> Option<&'a Struct> {
    match field(fields, name)? {
        Kind::StructValue(inner) => Some(inner),
        _ => None,
    }
}

/// A list inside a struct; no list is an empty one.
pub fn list<'a>(fields: &'a Struct, name: &str) -> &'a [Value] {
    match field(fields, name) {
        Some(Kind::ListValue(list)) => &list.values,
        _ => &[],
    }
}

/// The struct that a value is.
pub fn as_struct(value: &Value) -> Option<&Struct> {
    match value.kind.as_ref()? {
        Kind::StructValue(inner) => Some(inner),
        _ => None,
    }
}
