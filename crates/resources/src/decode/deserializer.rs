//! Serde's view of a tree.

use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};

use super::decoder::{Decoder, describe};
use super::error::DecodeError;
use super::spelling::to_camel_case;
use super::{Part, Spelling};
use crate::path::Trail;
use crate::problem::Code;
use crate::yaml::{Member, Node, Value};

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
