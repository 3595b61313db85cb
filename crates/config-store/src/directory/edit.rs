//! Changing some objects in the text of a file and leaving the rest of it as a person wrote it.

use std::collections::BTreeMap;
use std::sync::Arc;

use resources::{Object, ObjectKey, Parsed};

/// What becomes of an object: another version, or none.
pub(super) type Changes = BTreeMap<ObjectKey, Option<Arc<Object>>>;

/// An object that stands in a file, but nobody can tell where.
#[derive(Debug)]
pub(super) struct Lost(pub(super) ObjectKey);

/// The text with the changes made. Documents that hold none of the changed objects stay as they are; new objects come
/// at the end.
///
/// `parsed` is what the text holds; `held` says which objects the file stands for, those included that a mistake hides.
pub(super) fn edit(
    text: &str,
    parsed: &Parsed,
    held: &[Arc<Object>],
    changes: &Changes,
) -> Result<String, Lost> {
    let mut documents = split(text);
    place(parsed, &mut documents);
    let mut added = Vec::new();
    for (key, change) in changes {
        if let Some(document) = documents.iter_mut().find(|document| document.keys.contains(key)) {
            document.is_changed = true;
        } else if held.iter().any(|object| object.key == *key) {
            // A mistake hides the object. A file with a single document can only mean that one.
            let mut filled = documents.iter_mut().filter(|document| document.has_content());
            match (filled.next(), filled.next()) {
                (Some(only), None) if only.keys.is_empty() => only.is_replaced = true,
                _ => return Err(Lost(key.clone())),
            }
            added.extend(change.clone());
        } else {
            added.extend(change.clone());
        }
    }
    let current = |key: &ObjectKey| parsed.objects.iter().find(|object| object.key == *key);
    let mut pieces = Vec::new();
    for document in documents.iter().filter(|document| !document.is_replaced) {
        if !document.is_changed {
            pieces.push(Piece::Kept(document));
            continue;
        }
        for key in &document.keys {
            match changes.get(key) {
                Some(change) => pieces.extend(change.as_ref().map(Piece::Written)),
                None => pieces.extend(current(key).map(Piece::Written)),
            }
        }
    }
    pieces.extend(added.iter().map(Piece::Written));
    Ok(join(&pieces))
}

/// A document of the text.
#[derive(Debug, Default)]
struct Document<'a> {
    /// The line `---` before it, or what stands for it.
    marker: &'a str,
    body: &'a str,
    /// Its first and last line.
    lines: (u32, u32),
    /// Objects in it, refused ones included.
    keys: Vec<ObjectKey>,
    is_changed: bool,
    is_replaced: bool,
}

impl Document<'_> {
    /// Whether it is more than blank lines and comments.
    fn has_content(&self) -> bool {
        self.body.lines().map(str::trim).any(|line| !line.is_empty() && !line.starts_with('#'))
    }
}

enum Piece<'a> {
    Kept(&'a Document<'a>),
    Written(&'a Arc<Object>),
}

/// The documents of a text, which lines `---` part.
fn split(text: &str) -> Vec<Document<'_>> {
    let mut documents = vec![Document { lines: (1, 0), ..Document::default() }];
    let mut start = 0;
    let mut at = 0;
    let mut number = 0;
    for line in text.split_inclusive('\n') {
        number += 1;
        let last = documents.last_mut().expect("there is always one");
        let marks = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if marks {
            last.body = &text[start..at];
            last.lines.1 = number - 1;
            let dashes = if line.trim_end() == "---" { line.len() } else { "---".len() };
            start = at + dashes;
            documents.push(Document {
                marker: &text[at..start],
                lines: (number, number),
                ..Document::default()
            });
        }
        at += line.len();
    }
    let last = documents.last_mut().expect("there is always one");
    last.body = &text[start..];
    last.lines.1 = number;
    documents
}

/// Notes which objects stand in which document.
fn place(parsed: &Parsed, documents: &mut [Document<'_>]) {
    let objects = parsed.objects.iter().map(|object| (object.key.clone(), object.source.line_of("")));
    let refused = parsed.problems.iter().filter(|problem| problem.is_error());
    let refused = refused.filter_map(|problem| problem.object.clone().map(|key| (key, problem.line)));
    for (key, line) in objects.chain(refused) {
        let around = |document: &&mut Document<'_>| document.lines.0 <= line && line <= document.lines.1;
        if let Some(document) = documents.iter_mut().find(around)
            && !document.keys.contains(&key)
        {
            document.keys.push(key);
        }
    }
}

fn join(pieces: &[Piece<'_>]) -> String {
    let mut text = String::new();
    for piece in pieces {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        match piece {
            Piece::Kept(document) => {
                if document.marker.is_empty() && !text.is_empty() {
                    text.push_str("---\n");
                }
                text.push_str(document.marker);
                text.push_str(document.body);
            }
            Piece::Written(object) => {
                if !text.is_empty() {
                    text.push_str("---\n");
                }
                text.push_str(&resources::yaml::to_yaml(&object.raw));
            }
        }
    }
    text
}
