//! Problems of an object: what, where, why, and how to mend it.

mod code;

pub use code::{Code, Severity};

use std::fmt;
use std::sync::Arc;

use crate::object::{Object, ObjectKey};
use crate::path::Path;
use crate::source::Position;

/// Something wrong with an object or a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which sort; stable over versions.
    pub code: Code,
    /// Whether it refuses the object.
    pub severity: Severity,
    /// The file.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// The object, as far as it is known.
    pub object: Option<ObjectKey>,
    /// The field, such as `spec.http[0].route[1].weight`; empty for the object or file as a whole.
    pub path: String,
    /// What is wrong and why.
    pub message: String,
    /// What to do; empty when the message says it all.
    pub help: String,
}

impl Problem {
    /// A problem at a field of an object.
    pub fn at(
        object: &Object,
        path: &Path,
        code: Code,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let Position { line, column } = object.source.position_of(path);
        Self {
            code,
            severity: code.severity(),
            file: Arc::clone(&object.source.file),
            line,
            column,
            object: Some(object.key.clone()),
            path: path.to_string(),
            message: message.into(),
            help: help.into(),
        }
    }

    /// A problem of a file as a whole.
    pub fn of_file(file: &str, code: Code, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.severity(),
            file: file.into(),
            line: 1,
            column: 1,
            object: None,
            path: String::new(),
            message: message.into(),
            help: help.into(),
        }
    }

    /// Whether the object is refused because of it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// `reviews.yaml:12:9: error[LT0201]: message (help)`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, severity, code, .. } = self;
        write!(f, "{file}:{line}:{column}: {severity}[{code}]: {}", self.message)?;
        if !self.help.is_empty() {
            write!(f, " ({})", self.help)?;
        }
        Ok(())
    }
}
