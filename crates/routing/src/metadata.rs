//! What resources say about themselves: the object that caused them, and
//! Istio's notes.

use prost_types::value::Kind;
use prost_types::{Struct, Value};
use xds::envoy::config::core::v3::Metadata;
use xds::origin::Origin;

/// The user's object from which something was generated: what our control
/// plane writes, else as much as istiod says (`istio.config`).
pub fn origin(metadata: Option<&Metadata>) -> Option<Origin> {
    Origin::read(metadata).or_else(|| {
        let config = text(metadata?.filter_metadata.get("istio")?, "config")?;
        Some(Origin { object: config.to_owned(), path: String::new() })
    })
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
