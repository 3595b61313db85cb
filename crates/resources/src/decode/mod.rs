//! From a tree to a typed value, with every problem found on the way.
//!
//! Serde stops at the first value that does not fit. So a value that does not fit is noted, taken out of the
//! tree, and the whole is read again, until it fits; every field has a default, so what is left always does.
//! Fields that no type knows are noted too, with the field that was probably meant.

mod decoder;
mod deserializer;
mod error;
mod spelling;

pub(crate) use spelling::nearest;

use serde::de::DeserializeOwned;

use crate::path::Path;
use crate::yaml::Node;
use decoder::{Context, Decoder};

/// How names of fields may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// As the type names them, and no other way.
    Exact,
    /// As protobuf JSON: `perTryTimeout` or `per_try_timeout`, and numbers in quotes.
    Proto,
}

/// Which members at the top of a tree are read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    /// This one.
    Only(&'static str),
    /// All but these.
    Except(&'static [&'static str]),
}

/// Something found while reading a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Where, from the node that was read.
    pub(crate) path: Path,
    pub(crate) code: crate::problem::Code,
    pub(crate) message: String,
    pub(crate) help: String,
}

impl Finding {
    /// Adds what to do about it.
    pub(crate) fn help(&mut self, help: impl Into<String>) {
        self.help = help.into();
    }
}

/// A value and what was found.
pub(crate) struct Decoded<T> {
    /// The value, with defaults where something did not fit.
    pub(crate) value: T,
    /// What did not fit, and fields that are not known.
    pub(crate) findings: Vec<Finding>,
}

/// So many values that do not fit are told of one object.
const MAX_ERRORS: usize = 50;

/// Reads a part of a tree. What does not fit is taken out of the tree.
pub(crate) fn decode<T: DeserializeOwned + Default>(
    node: &mut Node,
    spelling: Spelling,
    part: Part,
) -> Decoded<T> {
    let context = Context::new(spelling, part);
    let mut errors = Vec::new();
    let value = loop {
        let error = match T::deserialize(Decoder::new(node, &context)) {
            Ok(value) => break value,
            Err(error) => error.into_finding(),
        };
        let removed = !error.path.steps().is_empty() && node.remove(error.path.steps());
        errors.push(error);
        if !removed {
            break T::default();
        }
        if errors.len() >= MAX_ERRORS {
            errors.push(too_many());
            break T::default();
        }
    };
    let mut findings = context.into_findings();
    findings.extend(errors);
    Decoded { value, findings }
}

fn too_many() -> Finding {
    Finding {
        path: Path::root(),
        code: crate::problem::Code::TooManyProblems,
        message: format!("more than {MAX_ERRORS} values do not fit; the rest is not told"),
        help: String::new(),
    }
}

#[cfg(test)]
mod tests;
