//! A node that is read: what it is as a number, a text, a map, and what to say when it is not.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::error::DecodeError;
use super::spelling::nearest;
use super::{Finding, Part, Spelling};
use crate::path::{Path, StepRef, Trail};
use crate::problem::Code;
use crate::yaml::{Member, Node, Value};

/// What is known while a tree is read, and which fields nobody knew.
pub(crate) struct Context {
    pub(super) spelling: Spelling,
    pub(super) part: Part,
    unknown: RefCell<BTreeMap<Path, Finding>>,
}

impl Context {
    pub(crate) fn new(spelling: Spelling, part: Part) -> Self {
        Self { spelling, part, unknown: RefCell::default() }
    }

    pub(crate) fn into_findings(self) -> Vec<Finding> {
        self.unknown.into_inner().into_values().collect()
    }
}

/// Reads one node.
pub(crate) struct Decoder<'a> {
    pub(super) node: &'a Node,
    pub(super) trail: Trail<'a>,
    pub(super) context: &'a Context,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(node: &'a Node, context: &'a Context) -> Self {
        Self { node, trail: Trail::top(), context }
    }

    pub(super) fn is_top(&self) -> bool {
        matches!(self.trail.step, StepRef::Top)
    }

    pub(super) fn wrong_type(&self, expected: &str) -> DecodeError {
        DecodeError::new(
            Code::WrongType,
            format!("must be {expected}, but is {}", describe(&self.node.value)),
        )
    }

    pub(super) fn name(&self) -> &'a str {
        match self.trail.step {
            StepRef::Key(key) => key,
            _ => "",
        }
    }

    /// A whole number between two bounds.
    pub(super) fn integer(&self, min: i128, max: i128) -> Result<i128, DecodeError> {
        let number = match &self.node.value {
            Value::Integer(number, _) => *number,
            Value::Float(number, _) if number.fract() == 0.0 && number.abs() < 1e15 => *number as i128,
            Value::Float(number, _) if number.fract() == 0.0 => return Err(self.out_of_range(min, max)),
            Value::Text(text) => return self.quoted_integer(text, min, max),
            _ => return Err(self.wrong_type("a whole number")),
        };
        if number < 0 && min == 0 {
            let message = format!("must not be negative, but is {number}");
            return Err(DecodeError::new(Code::InvalidValue, message));
        }
        if (min..=max).contains(&number) { Ok(number) } else { Err(self.out_of_range(min, max)) }
    }

    fn out_of_range(&self, min: i128, max: i128) -> DecodeError {
        let message =
            format!("must be a whole number from {min} to {max}, but is {}", describe(&self.node.value));
        DecodeError::new(Code::InvalidValue, message)
    }

    /// Protobuf JSON takes numbers in quotes; Kubernetes does not.
    fn quoted_integer(&self, text: &str, min: i128, max: i128) -> Result<i128, DecodeError> {
        let error = self.wrong_type("a whole number");
        match text.parse::<i128>() {
            Ok(number) if self.context.spelling == Spelling::Proto => {
                let value = Value::Integer(number, text.into());
                let node = Node { position: self.node.position, value };
                Decoder { node: &node, trail: self.trail, context: self.context }.integer(min, max)
            }
            Ok(_) => Err(error.with_help(format!("remove the quotes: `{}: {text}`", self.name()))),
            Err(_) => Err(error),
        }
    }

    pub(super) fn float(&self) -> Result<f64, DecodeError> {
        match &self.node.value {
            Value::Integer(number, _) => Ok(*number as f64),
            Value::Float(number, _) => Ok(*number),
            Value::Text(text) => {
                let error = self.wrong_type("a number");
                match text.parse() {
                    Ok(number) if self.context.spelling == Spelling::Proto => Ok(number),
                    Ok(_) => Err(error.with_help(format!("remove the quotes: `{}: {text}`", self.name()))),
                    Err(_) => Err(error),
                }
            }
            _ => Err(self.wrong_type("a number")),
        }
    }

    pub(super) fn text(&self) -> Result<&'a str, DecodeError> {
        match &self.node.value {
            Value::Text(text) => Ok(text),
            Value::Null if self.context.spelling == Spelling::Exact => Ok(""),
            Value::Bool(_, text) | Value::Integer(_, text) | Value::Float(_, text) => {
                Err(self.wrong_type("text").with_help(format!("put it in quotes: `\"{text}\"`")))
            }
            // `[2001:db8::]`: a colon before a bracket ends a key.
            Value::Map(members) if matches!(members.as_slice(), [Member { node, .. }] if matches!(node.value, Value::Null)) =>
            {
                let help = format!("if it is text, put it in quotes: `\"{}:\"`", members[0].key);
                Err(self.wrong_type("text").with_help(help))
            }
            _ => Err(self.wrong_type("text")),
        }
    }

    /// A value where a map with these fields belongs. With few fields, the first is what was meant.
    pub(super) fn not_a_map(&self, fields: &[&str]) -> DecodeError {
        let error = self.wrong_type("a map");
        match (fields, written(&self.node.value), self.name()) {
            ([field], Some(text), name) if !name.is_empty() => {
                error.with_help(format!("write `{name}: {{{field}: {text}}}`"))
            }
            ([field, others @ ..], Some(text), name) if others.len() < 4 && !name.is_empty() => error
                .with_help(format!(
                    "write `{name}: {{{field}: {text}}}`; there is also {}",
                    quote_all(others)
                )),
            ([], ..) => error,
            _ if fields.len() <= 12 => error.with_help(format!("its fields are {}", quote_all(fields))),
            _ => error,
        }
    }

    pub(super) fn not_a_list(&self) -> DecodeError {
        let error = self.wrong_type("a list");
        match (&self.node.value, written(&self.node.value)) {
            (_, Some(text)) => error.with_help(format!("write `{}: [{text}]`", self.name())),
            (Value::Map(_), _) => error.with_help("begin each element with `- `"),
            _ => error,
        }
    }

    /// A field that the type does not have.
    pub(super) fn note_unknown(&self, member: &Member, fields: &'static [&'static str]) {
        let owner = self.trail.path();
        let path = owner.key(member.key.as_str());
        let place = if self.is_top() { "here".to_owned() } else { format!("in `{owner}`") };
        let elsewhere: &[&str] = match self.context.part {
            Part::Except(names) if self.is_top() => names,
            _ => &[],
        };
        let known = fields.iter().chain(elsewhere).copied();
        let near = nearest(&member.key, known);
        let help = match (near, self.trail.owner_above(&member.key)) {
            (_, Some(owner)) if owner.steps().is_empty() => {
                format!("`{}` belongs further left, at the top: check the indentation", member.key)
            }
            (_, Some(owner)) => {
                format!("`{}` belongs further left, in `{owner}`: check the indentation", member.key)
            }
            (Some(near), None) => format!("did you mean `{near}`?"),
            (None, None) if fields.len() <= 12 => format!("known are {}", quote_all(fields)),
            (None, None) => String::new(),
        };
        let message = format!("the field `{}` is not known {place} and has no effect", member.key);
        let finding = Finding { path: path.clone(), code: Code::UnknownField, message, help };
        self.context.unknown.borrow_mut().insert(path, finding);
    }
}

fn quote_all(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// A scalar as it was written.
fn written(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        Value::Bool(_, text) | Value::Integer(_, text) | Value::Float(_, text) => Some(text),
        _ => None,
    }
}

/// What a value is, for a message.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null | Value::Removed => "empty".to_owned(),
        Value::Bool(value, text) if text.as_ref() != value.to_string() => {
            format!("`{text}`, which YAML reads as {value}")
        }
        Value::Bool(value, _) => format!("`{value}`"),
        Value::Integer(_, text) | Value::Float(_, text) => format!("the number {text}"),
        Value::Text(text) if text.chars().count() > 40 => {
            format!("the text `{}…`", text.chars().take(40).collect::<String>())
        }
        Value::Text(text) => format!("the text `{text}`"),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a map".to_owned(),
    }
}
