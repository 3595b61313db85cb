//! An error with what caused it, in one line.

use std::error::Error;

/// The error's words, then those of each cause.
pub fn telling(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
