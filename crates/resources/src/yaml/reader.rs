//! The documents of a text, each as a tree.

use granit_parser::{Event, Parser, StrInput};

use super::builder::{Builder, MAX_DEPTH};
use super::syntax;
use super::tree::Node;
use crate::problem::{Code, Severity};
use crate::source::Position;

/// A document and what is wrong with its text.
#[derive(Debug, Default)]
pub(crate) struct Document {
    /// The content; none when it is empty or could not be read.
    pub(crate) root: Option<Node>,
    /// What is wrong.
    pub(crate) faults: Vec<Fault>,
}

impl Document {
    /// Whether its content must not be used.
    pub(crate) fn is_refused(&self) -> bool {
        self.faults.iter().any(|fault| fault.code.severity() == Severity::Error)
    }
}

/// Something wrong with a text.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) code: Code,
    pub(crate) position: Position,
    pub(crate) message: String,
    pub(crate) help: String,
}

/// Reads all documents of a text. After an error it goes on with the next document.
pub(crate) fn read(text: &str) -> Vec<Document> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let options = granit_parser::options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut documents = Vec::new();
    let mut aliased = 0;
    loop {
        match read_document(&mut parser, text, &mut aliased) {
            Outcome::Read(document) => documents.push(document),
            Outcome::Broken(document) => {
                documents.push(document);
                if !matches!(parser.proceed_next_document(), Ok(true)) {
                    return documents;
                }
            }
            Outcome::End => return documents,
        }
    }
}

enum Outcome {
    /// A document, and the parser stands behind it.
    Read(Document),
    /// A document that was given up in the middle.
    Broken(Document),
    /// There is none left.
    End,
}

fn read_document<'a>(parser: &mut Parser<'a, StrInput<'a>>, text: &str, aliased: &mut usize) -> Outcome {
    let mut builder = Builder::new(*aliased);
    let mut inside = false;
    let fault = loop {
        let event = match parser.next_event() {
            Some(Ok(event)) => event,
            Some(Err(error)) => break Some(syntax::explain(&error, text)),
            None if inside => break None,
            None => return Outcome::End,
        };
        match event {
            (Event::StreamEnd, _) if !inside => return Outcome::End,
            (Event::StreamEnd | Event::DocumentEnd, _) => break None,
            (Event::StreamStart, _) => {}
            (Event::DocumentStart(..), _) => inside = true,
            (event, span) => {
                if let Err(fault) = builder.event(event, span) {
                    break Some(fault);
                }
            }
        }
    };
    *aliased = builder.aliased();
    let mut document = builder.finish();
    match fault {
        None => Outcome::Read(document),
        Some(fault) => {
            document.root = None;
            document.faults.push(fault);
            Outcome::Broken(document)
        }
    }
}
