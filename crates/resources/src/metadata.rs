//! Metadata that every object carries.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Name, labels and annotations of an object, and what a cluster adds to them.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectMeta {
    /// Name, unique for its kind within the namespace.
    pub name: String,
    /// Namespace; empty for kinds that have none.
    pub namespace: String,
    /// Prefix of a name that the cluster completes.
    pub generate_name: String,
    /// Labels, for selection.
    pub labels: BTreeMap<String, String>,
    /// Annotations, for programs.
    pub annotations: BTreeMap<String, String>,
    /// Identity over time.
    pub uid: String,
    /// Version of the stored object.
    pub resource_version: String,
    /// Counts the changes of `spec`.
    pub generation: i64,
    /// When it was made; where two objects conflict, the older wins.
    pub creation_timestamp: Option<jiff::Timestamp>,
    /// Set once the object is being deleted.
    pub deletion_timestamp: Option<jiff::Timestamp>,
    /// Seconds that deletion may take.
    pub deletion_grace_period_seconds: Option<i64>,
    /// Objects with which this one disappears.
    pub owner_references: Vec<OwnerReference>,
    /// Who must agree before the object disappears.
    pub finalizers: Vec<String>,
    /// Which writer set which field; kept, never read.
    pub managed_fields: Vec<Value>,
    /// Former path of the object in the API; never read.
    pub self_link: String,
}

/// The object that owns another.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// Group and version of its kind.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its identity.
    pub uid: String,
    /// Whether it is the one that manages.
    pub controller: Option<bool>,
    /// Whether it waits for this object when deleted.
    pub block_owner_deletion: Option<bool>,
}

/// Selection by labels.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Labels that must be there.
    pub match_labels: BTreeMap<String, String>,
    /// Further conditions.
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// A condition on a label.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelectorRequirement {
    /// The label.
    pub key: String,
    /// How it is compared.
    pub operator: SelectorOperator,
    /// With what.
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum SelectorOperator {
    /// Its value is one of these.
    #[default]
    In,
    /// Its value is none of these, or it is not there.
    NotIn,
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
}

impl LabelSelector {
    /// Whether a set of labels is selected. A selector without conditions selects everything.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| requirement.matches(labels))
    }
}

impl LabelSelectorRequirement {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            SelectorOperator::In => value.is_some_and(|value| self.values.contains(value)),
            SelectorOperator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            SelectorOperator::Exists => value.is_some(),
            SelectorOperator::DoesNotExist => value.is_none(),
        }
    }
}
