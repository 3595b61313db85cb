//! Where a generated piece of configuration comes from: the object a person
//! wrote and the field path in it, carried as metadata of namespace `lateen`.
//!
//! `translation` writes it on every route, cluster and filter chain; access
//! log, admin, `explain` and console read it. Under another control plane the
//! metadata is simply absent.

use std::collections::BTreeMap;

use prost_types::value::Kind;
use prost_types::{Struct, Value};

use crate::envoy::config::core::v3::Metadata;

/// The metadata namespace.
pub const NAMESPACE: &str = "lateen";

const OBJECT: &str = "object";
const PATH: &str = "path";

/// The object and the place in it from which something was generated.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// `VirtualService/default/reviews`.
    pub object: String,
    /// `http[1]`; empty when the object as a whole is meant.
    pub path: String,
}

impl Origin {
    /// Reads what [`Origin::write`] left; `None` when nothing did.
    pub fn read(metadata: Option<&Metadata>) -> Option<Self> {
        let fields = &metadata?.filter_metadata.get(NAMESPACE)?.fields;
        Some(Self {
            object: text(fields, OBJECT)?.to_owned(),
            path: text(fields, PATH).unwrap_or_default().to_owned(),
        })
    }

    /// Puts the origin beside whatever the metadata already says.
    pub fn write(&self, metadata: &mut Metadata) {
        let fields = &mut metadata.filter_metadata.entry(NAMESPACE.to_owned()).or_default().fields;
        fields.insert(OBJECT.to_owned(), string(&self.object));
        if !self.path.is_empty() {
            fields.insert(PATH.to_owned(), string(&self.path));
        }
    }

    /// Metadata that says the origin and nothing else.
    pub fn to_metadata(&self) -> Metadata {
        let mut metadata = Metadata::default();
        self.write(&mut metadata);
        metadata
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.object)?;
        if !self.path.is_empty() {
            write!(f, " {}", self.path)?;
        }
        Ok(())
    }
}

/// A metadata struct of plain strings, for the other namespaces.
pub fn string_struct<K: Into<String>, V: Into<String>>(fields: impl IntoIterator<Item = (K, V)>) -> Struct {
    let fields = fields
        .into_iter()
        .map(|(key, value)| (key.into(), Value { kind: Some(Kind::StringValue(value.into())) }));
    Struct { fields: fields.collect() }
}

fn text<'a>(fields: &'a BTreeMap<String, Value>, key: &str) -> Option<&'a str> {
    match fields.get(key)?.kind.as_ref()? {
        Kind::StringValue(value) => Some(value),
        _ => None,
    }
}

fn string(value: &str) -> Value {
    Value { kind: Some(Kind::StringValue(value.to_owned())) }
}

#[cfg(test)]
mod tests;
