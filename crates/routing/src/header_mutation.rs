//! Headers that configuration adds, sets and removes.

use std::sync::Arc;

use xds::envoy::config::core::v3 as wire;
use xds::envoy::config::core::v3::header_value_option::HeaderAppendAction;

use crate::invalid::{Invalid, Within};

/// What one level of configuration does to the headers of a message:
/// removals first, then the additions.
#[derive(Debug, Clone, Default)]
pub struct HeaderMutations {
    /// Names to remove, in lower case.
    pub remove: Box<[Box<str>]>,
    /// Headers to write.
    pub add: Box<[HeaderAddition]>,
}

/// One header to write.
#[derive(Debug, Clone)]
pub struct HeaderAddition {
    /// The name as configured.
    pub name: Box<str>,
    /// The value.
    pub value: HeaderValue,
    /// What happens when the header exists.
    pub action: AppendAction,
    /// Write it even when its value is empty.
    pub keep_empty: bool,
}

/// A header's configured value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderValue {
    /// Bytes as they are.
    Literal(Box<[u8]>),
    /// An Envoy format string to evaluate per request.
    Format(Arc<str>),
}

/// What happens when a header to write exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendAction {
    /// Another line is added.
    Append,
    /// Nothing is written.
    AddIfAbsent,
    /// It is replaced, or written when absent.
    Overwrite,
    /// It is replaced; nothing is written when absent.
    OverwriteIfExists,
}

impl HeaderMutations {
    /// Compiles one level's lists.
    pub fn compile(
        field: &str,
        add: &[wire::HeaderValueOption],
        remove: &[String],
    ) -> Result<HeaderMutations, Invalid> {
        let remove = remove
            .iter()
            .map(|name| {
                let name = name.to_ascii_lowercase();
                if name.is_empty() || name.starts_with(':') || name == "host" {
                    return Err(Invalid::new(field, format!("header `{name}` may not be removed")));
                }
                Ok(name.into())
            })
            .collect::<Result<_, _>>()?;
        let add = add
            .iter()
            .enumerate()
            .map(|(index, option)| HeaderAddition::compile(option).within_entry(field, index))
            .collect::<Result<_, _>>()?;
        Ok(HeaderMutations { remove, add })
    }

    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.add.is_empty()
    }
}

impl HeaderAddition {
    fn compile(option: &wire::HeaderValueOption) -> Result<HeaderAddition, Invalid> {
        let header = option.header.as_ref().ok_or_else(|| Invalid::new("header", "is missing"))?;
        if header.key.is_empty() || !header.key.bytes().all(is_name_byte) {
            return Err(Invalid::new("header.key", format!("`{}` is no header name", header.key)));
        }
        let value = if header.raw_value.is_empty() { header.value.as_bytes() } else { &header.raw_value };
        if value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
            return Err(Invalid::new("header.value", "holds a line end or a NUL"));
        }
        Ok(HeaderAddition {
            name: header.key.as_str().into(),
            value: HeaderValue::compile(value),
            action: append_action(option),
            keep_empty: option.keep_empty_value,
        })
    }
}

impl HeaderValue {
    fn compile(value: &[u8]) -> HeaderValue {
        match std::str::from_utf8(value) {
            Ok(text) if text.contains('%') => HeaderValue::Format(text.into()),
            _ => HeaderValue::Literal(value.into()),
        }
    }
}

fn append_action(option: &wire::HeaderValueOption) -> AppendAction {
    if let Some(append) = option.append {
        return if append { AppendAction::Append } else { AppendAction::Overwrite };
    }
    match HeaderAppendAction::try_from(option.append_action) {
        Ok(HeaderAppendAction::AddIfAbsent) => AppendAction::AddIfAbsent,
        Ok(HeaderAppendAction::OverwriteIfExistsOrAdd) => AppendAction::Overwrite,
        Ok(HeaderAppendAction::OverwriteIfExists) => AppendAction::OverwriteIfExists,
        _ => AppendAction::Append,
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:".contains(&byte)
}
