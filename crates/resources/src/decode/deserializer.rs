//! Serde's view of a tree.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};

use super::error::DecodeError;
use super::spelling::{nearest, to_camel_case};
use super::{Finding, Part, Spelling};
use crate::path::{Path, StepRef, Trail};
use crate::problem::Code;
use crate::yaml::{Member, Node, Value};

/// What is known while a tree is read, and which fields nobody knew.
pub(crate) struct Context {
    spelling: Spelling,
    part: Part,
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
    node: &'a Node,
    trail: Trail<'a>,
    context: &'a Context,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(node: &'a Node, context: &'a Context) -> Self {
        Self { node, trail: Trail::top(), context }
    }

    fn is_top(&self) -> bool {
        matches!(self.trail.step, StepRef::Top)
    }

    fn wrong_type(&self, expected: &str) -> DecodeError {
        DecodeError::new(
            Code::WrongType,
            format!("must be {expected}, but is {}", describe(&self.node.value)),
        )
    }

    fn name(&self) -> &'a str {
        match self.trail.step {
            StepRef::Key(key) => key,
            _ => "",
        }
    }

    /// A whole number between two bounds.
    fn integer(&self, min: i128, max: i128) -> Result<i128, DecodeError> {
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

    fn float(&self) -> Result<f64, DecodeError> {
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

    fn text(&self) -> Result<&'a str, DecodeError> {
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
    fn not_a_map(&self, fields: &[&str]) -> DecodeError {
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

    fn not_a_list(&self) -> DecodeError {
        let error = self.wrong_type("a list");
        match (&self.node.value, written(&self.node.value)) {
            (_, Some(text)) => error.with_help(format!("write `{}: [{text}]`", self.name())),
            (Value::Map(_), _) => error.with_help("begin each element with `- `"),
            _ => error,
        }
    }

    /// A field that the type does not have.
    fn note_unknown(&self, member: &Member, fields: &'static [&'static str]) {
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
fn describe(value: &Value) -> String {
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

/// Whole numbers of each size.
macro_rules! integers {
    ($($method:ident, $visit:ident, $type:ty;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            let number = self.integer(i128::from(<$type>::MIN), i128::from(<$type>::MAX))?;
            visitor.$visit(number as $type)
        })*
    };
}

impl<'de> Deserializer<'de> for Decoder<'_> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Null | Value::Removed => visitor.visit_unit(),
            Value::Bool(value, _) => visitor.visit_bool(*value),
            Value::Integer(number, _) => match (i64::try_from(*number), u64::try_from(*number)) {
                (Ok(number), _) => visitor.visit_i64(number),
                (_, Ok(number)) => visitor.visit_u64(number),
                _ => visitor.visit_f64(*number as f64),
            },
            Value::Float(number, _) => visitor.visit_f64(*number),
            Value::Text(text) => visitor.visit_str(text),
            Value::List(_) => self.deserialize_seq(visitor),
            Value::Map(_) => self.deserialize_map(visitor),
        }
    }

    integers! {
        deserialize_i8, visit_i8, i8;
        deserialize_i16, visit_i16, i16;
        deserialize_i32, visit_i32, i32;
        deserialize_i64, visit_i64, i64;
        deserialize_u8, visit_u8, u8;
        deserialize_u16, visit_u16, u16;
        deserialize_u32, visit_u32, u32;
        deserialize_u64, visit_u64, u64;
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Bool(value, _) => visitor.visit_bool(*value),
            Value::Text(text) if matches!(text.as_str(), "true" | "false") => {
                let help = format!("remove the quotes: `{}: {text}`", self.name());
                Err(self.wrong_type("`true` or `false`").with_help(help))
            }
            _ => Err(self.wrong_type("`true` or `false`")),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_f64(self.float()?)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_f64(self.float()?)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_bytes(self.text()?.as_bytes())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_bytes(self.text()?.as_bytes())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.node.value {
            Value::Null | Value::Removed => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::List(elements) => {
                visitor.visit_seq(Elements { decoder: &self, elements: elements.iter(), index: 0 })
            }
            _ => Err(self.not_a_list()),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Map(members) => visitor.visit_map(Members::new(&self, members, None)),
            _ => Err(self.not_a_map(&[])),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Map(members) => visitor.visit_map(Members::new(&self, members, Some(fields))),
            _ => Err(self.not_a_map(fields)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Text(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            value => Err(DecodeError::new(
                Code::WrongType,
                format!("must be one of {}, but is {}", variants.join(", "), describe(value)),
            )),
        }
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }
}

/// The elements of a list.
struct Elements<'a> {
    decoder: &'a Decoder<'a>,
    elements: std::slice::Iter<'a, Node>,
    index: usize,
}

impl<'de> de::SeqAccess<'de> for Elements<'_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        loop {
            let Some(node) = self.elements.next() else { return Ok(None) };
            let index = self.index;
            self.index += 1;
            if matches!(node.value, Value::Removed) {
                continue;
            }
            let parent = self.decoder;
            let trail = parent.trail.index(index);
            let decoder = Decoder { node, trail, context: parent.context };
            return seed.deserialize(decoder).map(Some).map_err(|error| error.or_at(|| trail.path()));
        }
    }
}

/// The members of a map, or the fields of a struct.
struct Members<'a> {
    decoder: &'a Decoder<'a>,
    trail: Trail<'a>,
    members: std::slice::Iter<'a, Member>,
    fields: Option<&'static [&'static str]>,
    value: Option<&'a Member>,
}

impl<'a> Members<'a> {
    fn new(decoder: &'a Decoder<'a>, members: &'a [Member], fields: Option<&'static [&'static str]>) -> Self {
        let trail = Trail { fields: fields.unwrap_or(&[]), ..decoder.trail };
        Self { decoder, trail, members: members.iter(), fields, value: None }
    }

    /// Whether the member is passed over: taken out, or not ours to read.
    fn is_skipped(&self, member: &Member) -> bool {
        let key = member.key.as_str();
        let elsewhere = match self.decoder.context.part {
            _ if !self.decoder.is_top() => false,
            Part::Only(name) => name != key,
            Part::Except(names) => names.contains(&key),
        };
        elsewhere || matches!(member.node.value, Value::Removed)
    }

    /// The name of the field that a key stands for; none when there is no such field.
    fn field_of(&self, key: &str, fields: &'static [&'static str]) -> Option<&'static str> {
        let exact = fields.iter().copied().find(|field| *field == key);
        if exact.is_some() || self.decoder.context.spelling == Spelling::Exact || !key.contains('_') {
            return exact;
        }
        let camel = to_camel_case(key);
        fields.iter().copied().find(|field| *field == camel)
    }
}

impl<'de> de::MapAccess<'de> for Members<'_> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        loop {
            let Some(member) = self.members.next() else { return Ok(None) };
            if self.is_skipped(member) {
                continue;
            }
            let key = match self.fields {
                None => member.key.as_str(),
                Some(fields) => match self.field_of(&member.key, fields) {
                    Some(field) => field,
                    None => {
                        self.decoder.note_unknown(member, fields);
                        continue;
                    }
                },
            };
            // An empty field of a struct keeps its default.
            if self.fields.is_some() && matches!(member.node.value, Value::Null) {
                continue;
            }
            self.value = Some(member);
            return seed.deserialize(key.into_deserializer()).map(Some);
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        let Some(member) = self.value.take() else {
            return Err(de::Error::custom("has a value without a key"));
        };
        let trail = self.trail.key(&member.key);
        let decoder = Decoder { node: &member.node, trail, context: self.decoder.context };
        seed.deserialize(decoder).map_err(|error| error.or_at(|| trail.path()))
    }
}
