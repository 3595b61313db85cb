//! Messages as JSON and back, for people: config dumps, `-o json`, tests.
//!
//! The form is protobuf's canonical JSON with the field names of the proto
//! files (`filter_chains`), as Envoy's admin prints it. An `Any` is shown as
//! the message it holds with `@type` beside; one whose type is not known here
//! is shown as `@type` and base64, never as an error.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::{Message, Name};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage as _,
    Value as Field,
};
use serde_json::{Map, Value};

use crate::any::message_name;
use crate::google::protobuf::Any;

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let embedded = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
    let mut pool = DescriptorPool::decode(embedded.as_slice()).expect("the build script wrote it");
    pool.add_file_descriptor_protos(crate::istio::descriptors::files()).expect("a test builds the pool");
    pool
});

/// Why JSON did not become a message.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// No descriptor has this name.
    #[error("unknown message `{0}`")]
    UnknownMessage(String),
    /// The JSON does not fit the message.
    #[error("not a `{name}`: {source}")]
    Shape {
        /// The message that was asked for.
        name: String,
        /// What did not fit.
        source: serde_json::Error,
    },
    /// The dynamic form does not decode as the generated message.
    #[error("`{name}` does not decode")]
    Decode {
        /// The message that was asked for.
        name: String,
        /// What prost said.
        source: prost::DecodeError,
    },
}

/// The JSON form of a message.
pub fn encode<M: Message + Name>(message: &M) -> Value {
    body(&M::full_name(), &message.encode_to_vec())
        .unwrap_or_else(|| opaque(&M::type_url(), &message.encode_to_vec()))
}

/// The JSON form of what an `Any` holds, `@type` first.
pub fn encode_any(any: &Any) -> Value {
    let name = message_name(&any.type_url);
    match body(name, &any.value) {
        Some(Value::Object(fields)) if !is_shown_as_value(name) => {
            let mut object = Map::new();
            object.insert("@type".to_owned(), any.type_url.clone().into());
            object.extend(fields);
            Value::Object(object)
        }
        Some(value) => tagged(&any.type_url, value),
        None => opaque(&any.type_url, &any.value),
    }
}

/// JSON as the message that stands for any JSON.
pub fn value(json: &Value) -> prost_types::Value {
    use prost_types::value::Kind;
    let kind = match json {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(*flag),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(0.0)),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(values) => {
            Kind::ListValue(prost_types::ListValue { values: values.iter().map(value).collect() })
        }
        Value::Object(fields) => Kind::StructValue(prost_types::Struct {
            fields: fields.iter().map(|(name, field)| (name.clone(), value(field))).collect(),
        }),
    };
    prost_types::Value { kind: Some(kind) }
}

/// The message that `json` describes. Both spellings of field names are
/// accepted; unknown fields are an error.
pub fn decode<M: Message + Name + Default>(json: &Value) -> Result<M, JsonError> {
    let name = M::full_name();
    let descriptor =
        POOL.get_message_by_name(&name).ok_or_else(|| JsonError::UnknownMessage(name.clone()))?;
    let dynamic = DynamicMessage::deserialize(descriptor, json)
        .map_err(|source| JsonError::Shape { name: name.clone(), source })?;
    M::decode(dynamic.encode_to_vec().as_slice()).map_err(|source| JsonError::Decode { name, source })
}

fn body(name: &str, bytes: &[u8]) -> Option<Value> {
    let descriptor = POOL.get_message_by_name(name)?;
    DynamicMessage::decode(descriptor, bytes).ok().map(|message| message_to_json(&message))
}

fn opaque(type_url: &str, bytes: &[u8]) -> Value {
    tagged(type_url, STANDARD.encode(bytes).into())
}

fn tagged(type_url: &str, value: Value) -> Value {
    let mut object = Map::new();
    object.insert("@type".to_owned(), type_url.into());
    object.insert("value".to_owned(), value);
    Value::Object(object)
}

/// Well-known types whose JSON form is not an object of their fields stand
/// under `value` inside an `Any`.
fn is_shown_as_value(name: &str) -> bool {
    name.starts_with("google.protobuf.")
}

fn message_to_json(message: &DynamicMessage) -> Value {
    let descriptor = message.descriptor();
    match well_known(&descriptor, message) {
        Some(value) => value,
        None => {
            let fields = message.fields().map(|(field, value)| {
                let json = field_to_json(&field, value);
                (field.name().to_owned(), json)
            });
            Value::Object(fields.collect())
        }
    }
}

fn well_known(descriptor: &MessageDescriptor, message: &DynamicMessage) -> Option<Value> {
    let name = descriptor.full_name().strip_prefix("google.protobuf.")?;
    Some(match name {
        "Any" => encode_any(&transcoded(message)),
        "Duration" => transcoded::<prost_types::Duration>(message).to_string().into(),
        "Timestamp" => transcoded::<prost_types::Timestamp>(message).to_string().into(),
        "Struct" => struct_to_json(transcoded(message)),
        "Value" => value_to_json(transcoded(message)),
        "ListValue" => list_to_json(transcoded(message)),
        "FieldMask" => transcoded::<prost_types::FieldMask>(message).paths.join(",").into(),
        wrapper if wrapper.ends_with("Value") => {
            let field = descriptor.get_field(1)?;
            scalar_to_json(&field.kind(), &message.get_field(&field))
        }
        _ => return None,
    })
}

fn transcoded<M: Message + Default>(message: &DynamicMessage) -> M {
    message.transcode_to().unwrap_or_default()
}

fn struct_to_json(value: prost_types::Struct) -> Value {
    Value::Object(value.fields.into_iter().map(|(key, value)| (key, value_to_json(value))).collect())
}

fn list_to_json(list: prost_types::ListValue) -> Value {
    list.values.into_iter().map(value_to_json).collect()
}

fn value_to_json(value: prost_types::Value) -> Value {
    use prost_types::value::Kind;
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(value)) => value.into(),
        Some(Kind::NumberValue(value)) => float_to_json(value),
        Some(Kind::StringValue(value)) => value.into(),
        Some(Kind::ListValue(list)) => list_to_json(list),
        Some(Kind::StructValue(value)) => struct_to_json(value),
    }
}

fn field_to_json(field: &FieldDescriptor, value: &Field) -> Value {
    match value {
        Field::List(items) => items.iter().map(|item| scalar_to_json(&field.kind(), item)).collect(),
        Field::Map(entries) => {
            let kind = match field.kind() {
                Kind::Message(entry) => entry.map_entry_value_field().kind(),
                other => other,
            };
            let mut entries: Vec<(String, Value)> =
                entries.iter().map(|(key, value)| (key_to_json(key), scalar_to_json(&kind, value))).collect();
            entries.sort_by(|(left, _), (right, _)| left.cmp(right));
            Value::Object(entries.into_iter().collect())
        }
        single => scalar_to_json(&field.kind(), single),
    }
}

fn key_to_json(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

fn scalar_to_json(kind: &Kind, value: &Field) -> Value {
    match value {
        Field::Bool(value) => (*value).into(),
        Field::I32(value) => (*value).into(),
        Field::U32(value) => (*value).into(),
        // Protobuf's JSON writes 64-bit numbers as text: not every reader has them.
        Field::I64(value) => value.to_string().into(),
        Field::U64(value) => value.to_string().into(),
        Field::F32(value) => value.to_string().parse().map_or(Value::Null, float_to_json),
        Field::F64(value) => float_to_json(*value),
        Field::String(value) => value.clone().into(),
        Field::Bytes(value) => STANDARD.encode(value).into(),
        Field::EnumNumber(number) => match kind {
            Kind::Enum(names) => {
                names.get_value(*number).map_or_else(|| (*number).into(), |value| value.name().into())
            }
            _ => (*number).into(),
        },
        Field::Message(message) => message_to_json(message),
        Field::List(_) | Field::Map(_) => Value::Null,
    }
}

/// A whole number is written without a fraction; what JSON cannot say is text.
fn float_to_json(value: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT {
        return (value as i64).into();
    }
    serde_json::Number::from_f64(value).map_or_else(|| value.to_string().into(), Value::Number)
}

#[cfg(test)]
mod tests;
