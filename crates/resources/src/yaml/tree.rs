//! The tree of a document.

use serde_json::Number;

use crate::path::{Path, Step, Trail};
use crate::source::{Names, Outline, Position};

/// A value and where it begins.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Where it begins.
    pub(crate) position: Position,
    /// What it is.
    pub(crate) value: Value,
}

/// A value.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// Nothing.
    Null,
    /// A truth value, as it was written.
    Bool(bool, Box<str>),
    /// A whole number, as it was written.
    Integer(i128, Box<str>),
    /// Any other number, as it was written.
    Float(f64, Box<str>),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the text.
    Map(Vec<Member>),
    /// Taken out because of a problem; as if it were not there, but counted in its list.
    Removed,
}

/// An entry of a map.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// The key.
    pub(crate) key: String,
    /// Where the key begins.
    pub(crate) position: Position,
    /// The value.
    pub(crate) node: Node,
}

impl Node {
    /// Where a reader looks for this member: at a value that stands beside its key, else at the key.
    fn place_under(&self, key: Position) -> Position {
        let collection = matches!(self.value, Value::List(_) | Value::Map(_) | Value::Null | Value::Removed);
        if collection || self.position < key { key } else { self.position }
    }

    /// The member of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Member> {
        match &self.value {
            Value::Map(members) => members.iter().find(|member| member.key == key),
            _ => None,
        }
    }

    /// The text, when it is text.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Takes a node below this one out. Whether there was one.
    pub(crate) fn remove(&mut self, path: &[Step]) -> bool {
        let Some((step, rest)) = path.split_first() else {
            let present = !matches!(self.value, Value::Removed);
            self.value = Value::Removed;
            return present;
        };
        let child = match (&mut self.value, step) {
            (Value::List(elements), Step::Index(index)) => elements.get_mut(*index),
            (Value::Map(members), Step::Key(key)) => {
                members.iter_mut().find(|member| member.key == *key).map(|member| &mut member.node)
            }
            _ => None,
        };
        child.is_some_and(|child| child.remove(rest))
    }

    /// Everything below that was taken out.
    pub(crate) fn removed(&self) -> Vec<Path> {
        let mut paths = Vec::new();
        self.collect_removed(&Trail::top(), &mut paths);
        paths
    }

    fn collect_removed(&self, at: &Trail<'_>, paths: &mut Vec<Path>) {
        match &self.value {
            Value::Removed => paths.push(at.path()),
            Value::List(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    element.collect_removed(&at.index(index), paths);
                }
            }
            Value::Map(members) => {
                for member in members {
                    member.node.collect_removed(&at.key(&member.key), paths);
                }
            }
            _ => {}
        }
    }

    /// The same as JSON.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Null | Value::Removed => Json::Null,
            Value::Bool(value, _) => Json::Bool(*value),
            Value::Integer(value, _) => integer_to_json(*value),
            Value::Float(value, _) => Number::from_f64(*value).map_or(Json::Null, Json::Number),
            Value::Text(text) => Json::String(text.clone()),
            Value::List(elements) => Json::Array(elements.iter().map(Self::to_json).collect()),
            Value::Map(members) => {
                Json::Object(members.iter().map(|m| (m.key.clone(), m.node.to_json())).collect())
            }
        }
    }

    /// The tree of a JSON value, every node at the same place.
    pub(crate) fn from_json(json: &serde_json::Value, position: Position) -> Self {
        use serde_json::Value as Json;
        let value = match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value, value.to_string().into()),
            Json::Number(number) => number_from_json(number),
            Json::String(text) => Value::Text(text.clone()),
            Json::Array(elements) => {
                Value::List(elements.iter().map(|element| Self::from_json(element, position)).collect())
            }
            Json::Object(members) => Value::Map(
                members
                    .iter()
                    .map(|(key, value)| Member {
                        key: key.clone(),
                        position,
                        node: Self::from_json(value, position),
                    })
                    .collect(),
            ),
        };
        Self { position, value }
    }

    /// Adds the positions of this node and all below it to an outline.
    pub(crate) fn outline(&self, outline: &mut Outline, names: &mut Names) {
        self.outline_at(None, self.position, outline, names);
    }

    fn outline_at(&self, step: Option<&Step>, at: Position, outline: &mut Outline, names: &mut Names) {
        let entry = outline.open(names, step, at);
        match &self.value {
            Value::List(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    element.outline_at(Some(&Step::Index(index)), element.position, outline, names);
                }
            }
            Value::Map(members) => {
                for member in members {
                    let step = Step::Key(member.key.clone());
                    let at = member.node.place_under(member.position);
                    member.node.outline_at(Some(&step), at, outline, names);
                }
            }
            _ => {}
        }
        outline.close(entry);
    }
}

/// JSON numbers hold 64 bits; a longer one becomes the nearest float.
fn integer_to_json(value: i128) -> serde_json::Value {
    if let Ok(value) = i64::try_from(value) {
        return value.into();
    }
    if let Ok(value) = u64::try_from(value) {
        return value.into();
    }
    Number::from_f64(value as f64).map_or(serde_json::Value::Null, serde_json::Value::Number)
}

fn number_from_json(number: &Number) -> Value {
    let text: Box<str> = number.to_string().into();
    let integer = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    match integer {
        Some(integer) => Value::Integer(integer, text),
        None => Value::Float(number.as_f64().unwrap_or(f64::NAN), text),
    }
}
