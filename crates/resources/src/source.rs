//! Where an object was written, down to the line of each field.

use std::collections::HashMap;
use std::sync::Arc;

use crate::path::{Path, Step};

/// A place in a text. Both numbers count from 1; a column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
}

/// The beginning of a text.
pub(crate) const START: Position = Position { line: 1, column: 1 };

/// The file of an object and the position of every field in it.
///
/// Positions are kept as 16 bytes per field; names of fields are shared by all objects of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file.
    pub file: Arc<str>,
    names: Arc<[Box<str>]>,
    outline: Arc<[Entry]>,
}

/// A node of the object, in the order of the text; its descendants follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    label: Label,
    /// Index of the first entry that is not below this one.
    end: u32,
    position: Position,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    Root,
    Name(u32),
    Index(u32),
}

impl Source {
    /// A place without lines, for objects that no file holds. Every position in it is 1:1.
    pub fn without_lines(file: &str) -> Self {
        let root = Entry { label: Label::Root, end: 1, position: START };
        Self { file: file.into(), names: Arc::new([]), outline: Arc::new([root]) }
    }

    /// The line of a field, or of the nearest known field above it. The path may start at the object
    /// (`spec.http[1]`) or at its content (`http[1]`).
    pub fn line_of(&self, path: &str) -> u32 {
        self.position_of(&Path::parse(path)).line
    }

    /// The position of a field, as [`Source::line_of`] finds it.
    pub fn position_of(&self, path: &Path) -> Position {
        View { names: &self.names, outline: &self.outline }.position_of(path)
    }
}

/// Entries and the names that their labels stand for.
struct View<'a> {
    names: &'a [Box<str>],
    outline: &'a [Entry],
}

impl View<'_> {
    fn position_of(&self, path: &Path) -> Position {
        let steps = path.steps();
        let mut at = 0;
        if let Some(first) = steps.first()
            && self.child(0, first).is_none()
            && let Some(spec) = self.child(0, &Step::Key("spec".to_owned()))
            && self.child(spec, first).is_some()
        {
            at = spec;
        }
        for step in steps {
            match self.child(at, step) {
                Some(child) => at = child,
                None => break,
            }
        }
        self.outline.get(at).map_or(START, |entry| entry.position)
    }

    fn child(&self, parent: usize, step: &Step) -> Option<usize> {
        let end = self.outline.get(parent)?.end as usize;
        let mut at = parent + 1;
        while at < end {
            if self.is_labelled(self.outline[at].label, step) {
                return Some(at);
            }
            at = self.outline[at].end as usize;
        }
        None
    }

    fn is_labelled(&self, label: Label, step: &Step) -> bool {
        match (label, step) {
            (Label::Index(index), Step::Index(wanted)) => index as usize == *wanted,
            (Label::Name(name), Step::Key(key)) => self.names[name as usize].as_ref() == key,
            _ => false,
        }
    }
}

/// Names of fields, each kept once.
#[derive(Debug, Default)]
pub(crate) struct Names {
    names: Vec<Box<str>>,
    index: HashMap<Box<str>, u32>,
}

impl Names {
    fn intern(&mut self, name: &str) -> u32 {
        if let Some(&index) = self.index.get(name) {
            return index;
        }
        let index = to_u32(self.names.len());
        self.names.push(name.into());
        self.index.insert(name.into(), index);
        index
    }

    /// The names, to be shared by the sources made with them.
    pub(crate) fn share(&self) -> Arc<[Box<str>]> {
        self.names.clone().into()
    }
}

/// Collects the positions of an object, node by node in the order of the text.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    entries: Vec<Entry>,
}

impl Outline {
    /// Adds a node; what is added until [`Outline::close`] lies below it.
    pub(crate) fn open(&mut self, names: &mut Names, step: Option<&Step>, position: Position) -> usize {
        let label = match step {
            None => Label::Root,
            Some(Step::Key(key)) => Label::Name(names.intern(key)),
            Some(Step::Index(index)) => Label::Index(to_u32(*index)),
        };
        self.entries.push(Entry { label, end: 0, position });
        self.entries.len() - 1
    }

    /// Ends the node that [`Outline::open`] returned.
    pub(crate) fn close(&mut self, node: usize) {
        self.entries[node].end = to_u32(self.entries.len());
    }

    /// The position of a field, as [`Source::position_of`] finds it later.
    pub(crate) fn position_of(&self, names: &Names, path: &Path) -> Position {
        View { names: &names.names, outline: &self.entries }.position_of(path)
    }

    /// Makes the source of the object. An outline without nodes gives one without lines.
    pub(crate) fn finish(self, file: Arc<str>, names: Arc<[Box<str>]>) -> Source {
        if self.entries.is_empty() {
            return Source::without_lines(&file);
        }
        Source { file, names, outline: self.entries.into() }
    }
}

/// Counts of nodes and names; a text is far shorter than what a u32 counts.
fn to_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
