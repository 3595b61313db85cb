//! Why a resource cannot be compiled.

use std::fmt::Display;

/// A field of a resource that cannot be accepted; the whole resource is
/// rejected and its last good version stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct Invalid {
    /// Where, as a dotted path from the resource's top.
    pub field: String,
    /// What is wrong there.
    pub reason: String,
}

impl Invalid {
    /// A fault of one field.
    pub fn new(field: impl Into<String>, reason: impl Display) -> Invalid {
        Invalid { field: field.into(), reason: reason.to_string() }
    }
}

/// Puts the path of the enclosing field before the path of an error.
pub trait Within<T> {
    /// Names the field that holds what failed.
    fn within(self, field: &str) -> Result<T, Invalid>;
    /// Names the list entry that holds what failed.
    fn within_entry(self, field: &str, index: usize) -> Result<T, Invalid>;
}

impl<T> Within<T> for Result<T, Invalid> {
    fn within(self, field: &str) -> Result<T, Invalid> {
        self.map_err(|error| Invalid { field: format!("{field}.{}", error.field), reason: error.reason })
    }

    fn within_entry(self, field: &str, index: usize) -> Result<T, Invalid> {
        self.map_err(|error| Invalid {
            field: format!("{field}[{index}].{}", error.field),
            reason: error.reason,
        })
    }
}
