//! JSON to YAML, in the layout of kubectl.

use serde_json::Value as Json;

use super::scalar;
use super::tree::Value;

/// Writes a JSON value as YAML that reads back as the same value, here and in kubectl.
pub fn to_yaml(value: &Json) -> String {
    let mut out = String::new();
    match value {
        Json::Object(members) if !members.is_empty() => write_map(members, 0, &mut out),
        Json::Array(elements) if !elements.is_empty() => write_list(elements, 0, &mut out),
        _ => {
            write_inline(value, 0, &mut out);
            out.push('\n');
        }
    }
    out
}

fn write_map(members: &serde_json::Map<String, Json>, indent: usize, out: &mut String) {
    for (index, (key, value)) in members.iter().enumerate() {
        // The first key of a list element stands behind its dash.
        if index > 0 || out.is_empty() || out.ends_with('\n') {
            push_spaces(indent, out);
        }
        write_key(key, out);
        out.push(':');
        write_member(value, indent, out);
    }
}

fn write_member(value: &Json, indent: usize, out: &mut String) {
    match value {
        Json::Object(members) if !members.is_empty() => {
            out.push('\n');
            write_map(members, indent + 2, out);
        }
        Json::Array(elements) if !elements.is_empty() => {
            out.push('\n');
            write_list(elements, indent, out);
        }
        _ => {
            out.push(' ');
            write_inline(value, indent + 2, out);
            out.push('\n');
        }
    }
}

fn write_list(elements: &[Json], indent: usize, out: &mut String) {
    for (index, element) in elements.iter().enumerate() {
        if index > 0 || out.is_empty() || out.ends_with('\n') {
            push_spaces(indent, out);
        }
        out.push_str("- ");
        match element {
            Json::Object(members) if !members.is_empty() => write_map(members, indent + 2, out),
            Json::Array(elements) if !elements.is_empty() => write_list(elements, indent + 2, out),
            _ => {
                write_inline(element, indent + 2, out);
                out.push('\n');
            }
        }
    }
}

/// Writes a value without children. A text of several lines goes below, indented.
fn write_inline(value: &Json, indent: usize, out: &mut String) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Json::Number(number) => out.push_str(&number.to_string()),
        Json::String(text) if is_plain(text) => out.push_str(text),
        Json::String(text) if indent > 0 && is_block(text) => write_block(text, indent, out),
        Json::String(text) => write_quoted(text, out),
        Json::Array(_) => out.push_str("[]"),
        Json::Object(_) => out.push_str("{}"),
    }
}

fn write_key(key: &str, out: &mut String) {
    if is_plain(key) && key.len() < 128 { out.push_str(key) } else { write_quoted(key, out) }
}

/// Whether a text can stand without quotes and still reads as the same text.
fn is_plain(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return false };
    let harmless = |c: char| c.is_alphanumeric() || "-_./ :#=+@,()%*!&'|<>?;~^$\\[]{}".contains(c);
    let start = first.is_alphanumeric() || matches!(first, '/' | '_' | '.' | '(');
    start
        && text.chars().all(harmless)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.starts_with("...")
        && matches!(scalar::resolve(text), Value::Text(_))
}

/// Whether a text of several lines can be written as it is, below its key.
fn is_block(text: &str) -> bool {
    text.trim_end_matches('\n').contains('\n')
        && !text.starts_with([' ', '\n', '\t'])
        && text.lines().all(|line| !line.ends_with([' ', '\t']) && !line.starts_with('\t'))
        && text.chars().all(|c| {
            c == '\n'
                || c == '\t'
                || !(c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}'))
        })
}

fn write_block(text: &str, indent: usize, out: &mut String) {
    let ends = text.len() - text.trim_end_matches('\n').len();
    out.push_str(match ends {
        0 => "|-",
        1 => "|",
        _ => "|+",
    });
    let body = if ends == 0 { text } else { &text[..text.len() - 1] };
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            push_spaces(indent, out);
            out.push_str(line);
        }
    }
}

/// Double quotes, with JSON's escapes, which YAML shares.
fn write_quoted(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 || ('\u{7f}'..='\u{a0}').contains(&c) => {
                out.push_str(&format!("\\u{:04x}", c as u32));
            }
            c @ ('\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') => {
                out.push_str(&format!("\\u{:04x}", c as u32));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn push_spaces(count: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', count));
}
