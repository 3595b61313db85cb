//! From events to trees: documents, anchors, merge keys, duplicate keys.
//!
//! Aliases are put in as copies. How much they may add is bounded, so a file of a few lines cannot fill the
//! memory; so is the depth of a document.

use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::scalar;
use super::syntax;
use super::tree::{Member, Node, Value};
use crate::problem::Code;
use crate::source::Position;

/// How deep lists and maps may be nested.
const MAX_DEPTH: usize = 100;
/// How many bytes aliases may add to a file.
const MAX_ALIASED: usize = 8 << 20;

/// A document and what is wrong with its text.
#[derive(Debug, Default)]
pub(crate) struct Document {
    /// The content; none when it is empty or could not be read.
    pub(crate) root: Option<Node>,
    /// What is wrong.
    pub(crate) faults: Vec<Fault>,
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
    while let Some(document) = read_document(&mut parser, text, &mut aliased) {
        let failed = document.root.is_none() && !document.faults.is_empty();
        documents.push(document);
        if failed && !matches!(parser.proceed_next_document(), Ok(true)) {
            break;
        }
    }
    documents
}

/// Reads one document; none at the end of the text.
fn read_document<'a>(
    parser: &mut Parser<'a, StrInput<'a>>,
    text: &str,
    aliased: &mut usize,
) -> Option<Document> {
    let mut builder = Builder { aliased: *aliased, ..Builder::default() };
    let mut inside = false;
    let result = loop {
        match parser.next_event() {
            None | Some(Ok((Event::StreamEnd, _))) if !inside => return None,
            None | Some(Ok((Event::StreamEnd | Event::DocumentEnd, _))) => break Ok(()),
            Some(Ok((Event::DocumentStart(..), _))) => inside = true,
            Some(Ok((event, span))) => {
                if let Err(fault) = builder.event(event, span) {
                    break Err(fault);
                }
            }
            Some(Err(error)) => break Err(scan_fault(&error, text)),
        }
    };
    *aliased = builder.aliased;
    let mut document = Document { root: builder.root, faults: builder.faults };
    if let Err(fault) = result {
        document.root = None;
        document.faults.push(fault);
    }
    Some(document)
}

fn scan_fault(error: &ScanError, text: &str) -> Fault {
    let code = match error.kind() {
        granit_parser::ErrorKind::RecursionLimitExceeded => Code::TooLarge,
        _ => Code::Syntax,
    };
    let explained = syntax::explain(error, text);
    Fault { code, position: explained.position, message: explained.message, help: explained.help }
}

/// A list or map that is being read.
enum Open {
    List {
        position: Position,
        anchor: usize,
        elements: Vec<Node>,
    },
    Map {
        position: Position,
        anchor: usize,
        members: Vec<Member>,
        seen: HashSet<String>,
        key: Option<Key>,
        merges: Vec<Node>,
    },
}

/// A key that waits for its value.
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

/// Builds the tree of one document.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    root: Option<Node>,
    faults: Vec<Fault>,
    aliased: usize,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Fault> {
        let position = to_position(span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.scalar(&text, style, tag.as_deref(), position);
                self.complete(Node { position, value }, anchor, Some((&text, style)))
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.collection_tag(tag.as_deref(), position);
                self.open.push(Open::List { position, anchor, elements: Vec::new() });
                self.check_depth(position)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.collection_tag(tag.as_deref(), position);
                self.open.push(Open::Map {
                    position,
                    anchor,
                    members: Vec::new(),
                    seen: HashSet::new(),
                    key: None,
                    merges: Vec::new(),
                });
                self.check_depth(position)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => {
                let node = self.copy(id, position)?;
                self.complete(node, 0, None)
            }
            Event::UnresolvedAlias(name) => {
                self.fault(
                    Code::Syntax,
                    position,
                    format!("the alias `*{name}` refers to an anchor that does not exist"),
                    format!("put `&{name}` before the value that is meant, above this line"),
                );
                self.complete(Node { position, value: Value::Removed }, 0, None)
            }
            _ => Ok(()),
        }
    }

    fn check_depth(&self, position: Position) -> Result<(), Fault> {
        if self.open.len() <= MAX_DEPTH {
            return Ok(());
        }
        Err(too_deep(position))
    }

    /// The value of a scalar; a core tag decides over what the text looks like.
    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, position: Position) -> Value {
        let quoted = !matches!(style, ScalarStyle::Plain);
        let Some(tag) = tag else {
            return if quoted { Value::Text(text.to_owned()) } else { scalar::resolve(text) };
        };
        match tag.core_suffix() {
            Some("str") => Value::Text(text.to_owned()),
            Some("int" | "float" | "bool" | "null") => scalar::resolve(text),
            _ if tag.is_custom() || tag.core_suffix().is_some() => {
                self.ignored_tag(tag, position);
                if quoted { Value::Text(text.to_owned()) } else { scalar::resolve(text) }
            }
            // The tag `!` alone says that the scalar is text.
            _ => Value::Text(text.to_owned()),
        }
    }

    fn collection_tag(&mut self, tag: Option<&Tag>, position: Position) {
        if let Some(tag) = tag
            && !matches!(tag.core_suffix(), Some("map" | "seq"))
        {
            self.ignored_tag(tag, position);
        }
    }

    fn ignored_tag(&mut self, tag: &Tag, position: Position) {
        let message = format!("the tag `{}` has no meaning here and is ignored", tag.original());
        self.fault(Code::IgnoredTag, position, message, String::new());
    }

    fn fault(&mut self, code: Code, position: Position, message: String, help: String) {
        self.faults.push(Fault { code, position, message, help });
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

    /// Puts a finished node where it belongs. `written` is what a scalar looks like in the text.
    fn complete(
        &mut self,
        node: Node,
        anchor: usize,
        written: Option<(&str, ScalarStyle)>,
    ) -> Result<(), Fault> {
        if anchor != 0 {
            let (cost, height) = measure(&node);
            self.anchors.insert(anchor, Anchored { node: node.clone(), cost, height });
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { elements, .. }) => elements.push(node),
            Some(Open::Map { key: key @ None, .. }) => match to_key(&node, written) {
                Ok(new) => *key = Some(new),
                Err(fault) => {
                    *key = Some(Key { text: String::new(), position: node.position, role: Role::Dropped });
                    self.faults.push(fault);
                }
            },
            Some(Open::Map { key, members, seen, merges, .. }) => {
                let Some(Key { text, position, role }) = key.take() else { return Ok(()) };
                match role {
                    Role::Dropped => {}
                    Role::Merge => merges.push(node),
                    Role::Member if seen.insert(text.clone()) => {
                        members.push(Member { key: text, position, node })
                    }
                    Role::Member => self.faults.push(duplicate_key(members, &text, position)),
                }
            }
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), Fault> {
        let (node, anchor) = match self.open.pop() {
            None => return Ok(()),
            Some(Open::List { position, anchor, elements }) => {
                (Node { position, value: Value::List(elements) }, anchor)
            }
            Some(Open::Map { position, anchor, mut members, mut seen, merges, .. }) => {
                for merge in merges {
                    self.merge(&mut members, &mut seen, merge);
                }
                (Node { position, value: Value::Map(members) }, anchor)
            }
        };
        self.complete(node, anchor, None)
    }

    /// Takes in the members of a `<<` that are not there yet.
    fn merge(&mut self, members: &mut Vec<Member>, seen: &mut HashSet<String>, merge: Node) {
        match merge.value {
            Value::Map(merged) => {
                members.extend(merged.into_iter().filter(|member| seen.insert(member.key.clone())));
            }
            Value::List(maps) if maps.iter().all(|map| matches!(map.value, Value::Map(_))) => {
                for map in maps {
                    self.merge(members, seen, map);
                }
            }
            Value::Removed => {}
            _ => self.fault(
                Code::Syntax,
                merge.position,
                "`<<` takes in the members of a map, but this is not a map".to_owned(),
                "write `<<: *NAME`, where `&NAME` stands before a map".to_owned(),
            ),
        }
    }
}

fn to_key(node: &Node, written: Option<(&str, ScalarStyle)>) -> Result<Key, Fault> {
    let position = node.position;
    let text = match (&node.value, written) {
        (Value::List(_) | Value::Map(_), _) => None,
        (_, Some((text, style))) => Some((text.to_owned(), matches!(style, ScalarStyle::Plain))),
        (Value::Text(text), None) => Some((text.clone(), false)),
        (Value::Bool(_, text) | Value::Integer(_, text) | Value::Float(_, text), None) => {
            Some((text.to_string(), false))
        }
        _ => None,
    };
    let Some((text, plain)) = text else {
        return Err(Fault {
            code: Code::KeyNotText,
            position,
            message: "a key must be text, but this one is a list or a map".to_owned(),
            help: "text that begins with `{` or `[` must stand in quotes".to_owned(),
        });
    };
    let role = if plain && text == "<<" { Role::Merge } else { Role::Member };
    Ok(Key { text, position, role })
}

fn duplicate_key(members: &[Member], key: &str, position: Position) -> Fault {
    let first = members.iter().find(|member| member.key == key).map_or(position, |member| member.position);
    Fault {
        code: Code::DuplicateKey,
        position,
        message: format!("the key `{key}` stands twice in the same map, first in line {}", first.line),
        help: "remove one of the two; in a list, each element begins with `- `".to_owned(),
    }
}

fn too_deep(position: Position) -> Fault {
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
fn to_position(marker: granit_parser::Marker) -> Position {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Position { line: number(marker.line()), column: number(marker.col() + 1) }
}
