//! From events to the tree of one document: anchors, merge keys, duplicate keys.
//!
//! Aliases are put in as copies. How much they may add is bounded, so a file of a few lines cannot fill the
//! memory; so is the depth of a document.

use std::collections::{HashMap, HashSet};

use granit_parser::{Event, ScalarStyle, Span, Tag};

use super::reader::{Document, Fault};
use super::scalar;
use super::tree::{Member, Node, Value};
use crate::problem::Code;
use crate::source::Position;

/// How deep lists and maps may be nested.
pub(super) const MAX_DEPTH: usize = 100;
/// How many bytes aliases may add to a file.
const MAX_ALIASED: usize = 8 << 20;

/// Builds the tree of one document.
pub(super) struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    root: Option<Node>,
    faults: Vec<Fault>,
    aliased: usize,
}

/// A list or map that is being read.
enum Open {
    List { position: Position, anchor: usize, elements: Vec<Node> },
    Map(OpenMap),
}

struct OpenMap {
    position: Position,
    anchor: usize,
    members: Vec<Member>,
    seen: HashSet<String>,
    /// A key that waits for its value.
    key: Option<Key>,
    /// Values of `<<`, taken in at the end.
    merges: Vec<Node>,
    /// A key was no text; what the map means is unknown.
    spoilt: bool,
}

struct Key {
    text: String,
    position: Position,
    role: Role,
}

enum Role {
    /// An ordinary key.
    Member,
    /// `<<`: its value's members are taken in.
    Merge,
    /// Not usable; its value is dropped.
    Dropped,
}

/// An anchored node and what a copy of it costs.
struct Anchored {
    node: Node,
    cost: usize,
    height: usize,
}

impl Builder {
    /// Starts a document. `aliased` is what aliases added to the text so far.
    pub(super) fn new(aliased: usize) -> Self {
        Self { open: Vec::new(), anchors: HashMap::new(), root: None, faults: Vec::new(), aliased }
    }

    /// What aliases added to the text so far.
    pub(super) fn aliased(&self) -> usize {
        self.aliased
    }

    pub(super) fn finish(self) -> Document {
        Document { root: self.root, faults: self.faults }
    }

    /// Takes an event. A fault that is returned ends the document; others are collected.
    pub(super) fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Fault> {
        let position = to_position(span.start);
        let tagged = span.tag_start().map_or(position, to_position);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.scalar(&text, style, tag.as_deref(), tagged);
                let plain_text = matches!(style, ScalarStyle::Plain).then_some(text.as_ref());
                self.complete(Node { position, value }, anchor, plain_text);
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.collection_tag(tag.as_deref(), tagged);
                self.open.push(Open::List { position, anchor, elements: Vec::new() });
            }
            Event::MappingStart(_, anchor, tag) => {
                self.collection_tag(tag.as_deref(), tagged);
                self.open.push(Open::Map(OpenMap::new(position, anchor)));
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => {
                let node = self.copy(id, position)?;
                self.complete(node, 0, None);
            }
            Event::UnresolvedAlias(name) => {
                self.faults.push(unknown_alias(&name, position));
                self.complete(Node { position, value: Value::Removed }, 0, None);
            }
            _ => {}
        }
        if self.open.len() > MAX_DEPTH { Err(too_deep(position)) } else { Ok(()) }
    }

    /// The value of a scalar; a core tag decides over what the text looks like.
    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, position: Position) -> Value {
        let plain = matches!(style, ScalarStyle::Plain);
        let as_written = || if plain { scalar::resolve(text) } else { Value::Text(text.to_owned()) };
        match tag {
            None => as_written(),
            Some(tag) => match tag.core_suffix() {
                Some("str") => Value::Text(text.to_owned()),
                Some("int" | "float" | "bool" | "null") => scalar::resolve(text),
                // `!` alone says that the scalar is text.
                None if tag.original() == "!" => Value::Text(text.to_owned()),
                _ => {
                    self.faults.push(ignored_tag(tag, position));
                    as_written()
                }
            },
        }
    }

    fn collection_tag(&mut self, tag: Option<&Tag>, position: Position) {
        if let Some(tag) = tag
            && !matches!(tag.core_suffix(), Some("map" | "seq"))
        {
            self.faults.push(ignored_tag(tag, position));
        }
    }

    /// A copy of an anchored node.
    fn copy(&mut self, id: usize, position: Position) -> Result<Node, Fault> {
        let Some(anchored) = self.anchors.get(&id) else {
            return Err(Fault {
                code: Code::Syntax,
                position,
                message: "this alias refers to the value that it is a part of".to_owned(),
                help: "write the value out, or move the anchor to another value".to_owned(),
            });
        };
        self.aliased += anchored.cost;
        if self.aliased > MAX_ALIASED {
            return Err(Fault {
                code: Code::TooLarge,
                position,
                message: format!("the aliases of this file add more than {} MiB to it", MAX_ALIASED >> 20),
                help: "use fewer aliases of aliases".to_owned(),
            });
        }
        if self.open.len() + anchored.height > MAX_DEPTH {
            return Err(too_deep(position));
        }
        Ok(anchored.node.clone())
    }

    /// Puts a finished node where it belongs. `plain_text` is the text of an unquoted scalar.
    fn complete(&mut self, node: Node, anchor: usize, plain_text: Option<&str>) {
        if anchor != 0 {
            let (cost, height) = measure(&node);
            self.anchors.insert(anchor, Anchored { node: node.clone(), cost, height });
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { elements, .. }) => elements.push(node),
            Some(Open::Map(map)) => {
                if let Err(fault) = map.take(node, plain_text) {
                    self.faults.push(fault);
                }
            }
        }
    }

    fn close(&mut self) {
        match self.open.pop() {
            None => {}
            Some(Open::List { position, anchor, elements }) => {
                self.complete(Node { position, value: Value::List(elements) }, anchor, None);
            }
            Some(Open::Map(mut map)) => {
                for merge in std::mem::take(&mut map.merges) {
                    if let Err(fault) = map.merge(merge) {
                        self.faults.push(fault);
                    }
                }
                let value = if map.spoilt { Value::Removed } else { Value::Map(map.members) };
                self.complete(Node { position: map.position, value }, map.anchor, None);
            }
        }
    }
}

impl OpenMap {
    fn new(position: Position, anchor: usize) -> Self {
        let (members, seen, merges) = (Vec::new(), HashSet::new(), Vec::new());
        Self { position, anchor, members, seen, key: None, merges, spoilt: false }
    }

    /// Takes a node: a key, or the value of the last key.
    fn take(&mut self, node: Node, plain_text: Option<&str>) -> Result<(), Fault> {
        let Some(Key { text, position, role }) = self.key.take() else {
            return self.take_key(&node, plain_text);
        };
        match role {
            Role::Dropped => {}
            Role::Merge => self.merges.push(node),
            Role::Member if self.seen.insert(text.clone()) => {
                self.members.push(Member { key: text, position, node });
            }
            Role::Member => return Err(self.duplicate_key(&text, position)),
        }
        Ok(())
    }

    fn take_key(&mut self, node: &Node, plain_text: Option<&str>) -> Result<(), Fault> {
        let position = node.position;
        let text = match &node.value {
            Value::Text(text) => Some(text.as_str()),
            Value::Bool(_, text) | Value::Integer(_, text) | Value::Float(_, text) => Some(text.as_ref()),
            Value::Null => plain_text,
            _ => None,
        };
        let Some(text) = text else {
            self.spoilt = true;
            self.key = Some(Key { text: String::new(), position, role: Role::Dropped });
            return match node.value {
                // What was removed has been told already.
                Value::Removed => Ok(()),
                _ => Err(key_not_text(position)),
            };
        };
        let role = if plain_text == Some("<<") { Role::Merge } else { Role::Member };
        self.key = Some(Key { text: text.to_owned(), position, role });
        Ok(())
    }

    /// Takes in the members of a `<<` that are not there yet.
    fn merge(&mut self, merge: Node) -> Result<(), Fault> {
        match merge.value {
            Value::Map(merged) => {
                for member in merged {
                    if self.seen.insert(member.key.clone()) {
                        self.members.push(member);
                    }
                }
                Ok(())
            }
            Value::List(maps) if maps.iter().all(|map| matches!(map.value, Value::Map(_))) => {
                maps.into_iter().try_for_each(|map| self.merge(map))
            }
            Value::Removed => Ok(()),
            _ => Err(Fault {
                code: Code::Syntax,
                position: merge.position,
                message: "`<<` takes in the members of a map, but this is not a map".to_owned(),
                help: "write `<<: *NAME`, where `&NAME` stands before a map".to_owned(),
            }),
        }
    }

    fn duplicate_key(&self, key: &str, position: Position) -> Fault {
        let first = self.members.iter().find(|member| member.key == key);
        let line = first.map_or(position.line, |member| member.position.line);
        Fault {
            code: Code::DuplicateKey,
            position,
            message: format!("the key `{key}` stands twice in the same map, first in line {line}"),
            help: "remove one of the two; in a list, each element begins with `- `".to_owned(),
        }
    }
}

fn ignored_tag(tag: &Tag, position: Position) -> Fault {
    let message = format!("the tag `{}` has no meaning here and is ignored", tag.original());
    Fault { code: Code::IgnoredTag, position, message, help: String::new() }
}

/// A map as a key is nearly always a template that was not rendered.
fn key_not_text(position: Position) -> Fault {
    Fault {
        code: Code::KeyNotText,
        position,
        message: "a key must be text, but this one is a list or a map".to_owned(),
        help:
            "a template such as `{{ … }}` must be rendered first; text with `{` or `[` must stand in quotes"
                .to_owned(),
    }
}

/// A name like `.example.com` is no anchor: a host was meant.
fn unknown_alias(name: &str, position: Position) -> Fault {
    let (message, help) = if name.starts_with(['.', '/']) {
        ("text that begins with `*` must stand in quotes".to_owned(), format!("write `\"*{name}\"`"))
    } else {
        (
            format!("the alias `*{name}` refers to an anchor that does not exist"),
            format!("put `&{name}` before the value that is meant; if it is text, write `\"*{name}\"`"),
        )
    };
    Fault { code: Code::Syntax, position, message, help }
}

pub(super) fn too_deep(position: Position) -> Fault {
    Fault {
        code: Code::TooLarge,
        position,
        message: format!("lists and maps are nested more than {MAX_DEPTH} levels deep"),
        help: String::new(),
    }
}

/// What a copy of a node costs in bytes, and how deep it is.
fn measure(node: &Node) -> (usize, usize) {
    let own = size_of::<Node>();
    match &node.value {
        Value::Text(text) => (own + text.len(), 0),
        Value::List(elements) => elements.iter().map(measure).fold((own, 1), sum),
        Value::Map(members) => members
            .iter()
            .map(|member| {
                let (cost, height) = measure(&member.node);
                (cost + size_of::<Member>() + member.key.len(), height)
            })
            .fold((own, 1), sum),
        _ => (own, 0),
    }
}

fn sum((cost, height): (usize, usize), (more, below): (usize, usize)) -> (usize, usize) {
    (cost + more, height.max(below + 1))
}

/// Granit counts lines from 1 and columns from 0.
pub(super) fn to_position(marker: granit_parser::Marker) -> Position {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Position { line: number(marker.line()), column: number(marker.col() + 1) }
}
