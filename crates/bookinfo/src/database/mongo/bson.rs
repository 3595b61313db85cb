//! Documents: JSON's values in BSON's form.  Types that JSON does not have are
//! read as null.

use std::io;

use serde_json::{Map, Number, Value};

use crate::database::malformed;

/// Deepest nesting that is read.
const DEEPEST: usize = 32;

/// The bytes of a document.
pub(super) fn encode(document: &Map<String, Value>) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    for (name, value) in document {
        put_element(&mut bytes, name, value);
    }
    bytes.push(0);
    let length = (bytes.len() as u32).to_le_bytes();
    bytes[..4].copy_from_slice(&length);
    bytes
}

fn put_element(bytes: &mut Vec<u8>, name: &str, value: &Value) {
    let at = bytes.len();
    bytes.push(0);
    bytes.extend_from_slice(name.as_bytes());
    bytes.push(0);
    bytes[at] = match value {
        Value::Null => 0x0a,
        Value::Bool(truth) => {
            bytes.push(u8::from(*truth));
            0x08
        }
        Value::Number(number) => put_number(bytes, number),
        Value::String(text) => {
            bytes.extend((text.len() as u32 + 1).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(0);
            0x02
        }
        Value::Array(values) => {
            let numbered =
                values.iter().enumerate().map(|(at, value)| (at.to_string(), value.clone())).collect();
            bytes.extend(encode(&numbered));
            0x04
        }
        Value::Object(document) => {
            bytes.extend(encode(document));
            0x03
        }
    };
}

fn put_number(bytes: &mut Vec<u8>, number: &Number) -> u8 {
    match number.as_i64() {
        Some(whole) => match i32::try_from(whole) {
            Ok(short) => {
                bytes.extend(short.to_le_bytes());
                0x10
            }
            Err(_) => {
                bytes.extend(whole.to_le_bytes());
                0x12
            }
        },
        None => {
            bytes.extend(number.as_f64().unwrap_or_default().to_le_bytes());
            0x01
        }
    }
}

/// The document at the front of `bytes`, which may be longer.
pub(super) fn decode(bytes: &[u8]) -> io::Result<Map<String, Value>> {
    Reader { rest: bytes, depth: 0 }.document()
}

struct Reader<'b> {
    rest: &'b [u8],
    depth: usize,
}

impl<'b> Reader<'b> {
    fn document(&mut self) -> io::Result<Map<String, Value>> {
        if self.depth == DEEPEST {
            return Err(malformed("a document is nested too deep"));
        }
        let length = self.length()?.checked_sub(4).ok_or_else(|| malformed("a document is too short"))?;
        let mut inner = Reader { rest: self.take(length)?, depth: self.depth + 1 };
        let mut document = Map::new();
        loop {
            match inner.take(1)?[0] {
                0 => return Ok(document),
                kind => {
                    let name = inner.name()?.to_owned();
                    document.insert(name, inner.value(kind)?);
                }
            }
        }
    }

    fn value(&mut self, kind: u8) -> io::Result<Value> {
        Ok(match kind {
            0x01 => Number::from_f64(f64::from_le_bytes(self.array()?)).map_or(Value::Null, Value::Number),
            0x02 => self.text()?,
            0x03 => Value::Object(self.document()?),
            0x04 => Value::Array(self.document()?.into_iter().map(|(_, value)| value).collect()),
            0x05 => self.skip_binary()?,
            0x07 => self.skip(12)?,
            0x08 => Value::Bool(self.take(1)?[0] != 0),
            0x09 | 0x11 => self.skip(8)?,
            0x0a => Value::Null,
            0x10 => i32::from_le_bytes(self.array()?).into(),
            0x12 => i64::from_le_bytes(self.array()?).into(),
            0x13 => self.skip(16)?,
            other => return Err(malformed(&format!("an element has type {other:#04x}"))),
        })
    }

    fn text(&mut self) -> io::Result<Value> {
        let length = self.length()?;
        let bytes = self.take(length)?;
        let text = bytes.split_last().map(|(_, text)| String::from_utf8_lossy(text).into_owned());
        text.map(Value::String).ok_or_else(|| malformed("a text is too short"))
    }

    fn name(&mut self) -> io::Result<&'b str> {
        let end =
            self.rest.iter().position(|byte| *byte == 0).ok_or_else(|| malformed("a name has no end"))?;
        let name = self.take(end)?;
        self.take(1)?;
        std::str::from_utf8(name).map_err(|_| malformed("a name is not UTF-8"))
    }

    fn skip_binary(&mut self) -> io::Result<Value> {
        let length = self.length()?;
        self.skip(length.saturating_add(1))
    }

    fn skip(&mut self, count: usize) -> io::Result<Value> {
        self.take(count).map(|_| Value::Null)
    }

    fn length(&mut self) -> io::Result<usize> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let bytes = self.take(N)?;
        Ok(std::array::from_fn(|at| bytes[at]))
    }

    fn take(&mut self, count: usize) -> io::Result<&'b [u8]> {
        let (head, rest) =
            self.rest.split_at_checked(count).ok_or_else(|| malformed("a document ends early"))?;
        self.rest = rest;
        Ok(head)
    }
}
