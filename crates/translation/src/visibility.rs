//! `exportTo`: which namespaces see an object.

use std::collections::BTreeSet;

/// Who sees an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Visibility {
    /// Every namespace.
    Everyone,
    /// These.
    Only(BTreeSet<String>),
}

impl Visibility {
    /// Reads `exportTo` of an object in `namespace`; nothing written means
    /// everyone.
    pub(crate) fn parse(export_to: &[String], namespace: &str) -> Self {
        if export_to.is_empty() || export_to.iter().any(|entry| entry == "*") {
            return Self::Everyone;
        }
        let named = export_to.iter().filter(|entry| *entry != "~");
        Self::Only(named.map(|entry| if entry == "." { namespace } else { entry }.to_owned()).collect())
    }

    /// The annotation of a Kubernetes Service: the same, separated by commas.
    pub(crate) fn parse_annotation(text: Option<&String>, namespace: &str) -> Self {
        let entries: Vec<String> = text
            .into_iter()
            .flat_map(|text| text.split(','))
            .map(|entry| entry.trim().to_owned())
            .filter(|entry| !entry.is_empty())
            .collect();
        Self::parse(&entries, namespace)
    }

    /// Whether `namespace` sees it.
    pub(crate) fn includes(&self, namespace: &str) -> bool {
        match self {
            Self::Everyone => true,
            Self::Only(namespaces) => namespaces.contains(namespace),
        }
    }
}
