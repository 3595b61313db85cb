//! Applying configured header changes.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use routing::header_mutation::{AppendAction, HeaderMutations, HeaderValue};
use smallvec::SmallVec;
use telemetry::access_log::{Format, Record};

use crate::http1::head::Head;

thread_local! {
    /// Compiled values, by their text: each is compiled once per worker.
    static FORMATS: RefCell<HashMap<Arc<str>, Option<Rc<Format>>, RandomState>> = RefCell::default();
}

/// So many compiled values are kept.
const MAX_FORMATS: usize = 4096;

/// The changes of one level for one message, values worked out.
#[derive(Debug)]
pub struct Changes<'m> {
    remove: &'m [Box<str>],
    /// Whether it replaces, the name, and the value.
    lines: SmallVec<[(bool, &'m str, Vec<u8>); 4]>,
}

impl<'m> Changes<'m> {
    /// Works out the values of a level from a record; `exists` tells which
    /// headers the message has.
    pub fn new<R: Record>(
        level: &'m HeaderMutations,
        record: &R,
        exists: impl Fn(&str) -> bool,
    ) -> Changes<'m> {
        let mut lines = SmallVec::new();
        for addition in &level.add {
            let value = value(&addition.value, record);
            if value.is_empty() && !addition.keep_empty {
                continue;
            }
            let wanted = match addition.action {
                AppendAction::Append | AppendAction::Overwrite => true,
                AppendAction::AddIfAbsent => !exists(&addition.name),
                AppendAction::OverwriteIfExists => exists(&addition.name),
            };
            let replaces =
                matches!(addition.action, AppendAction::Overwrite | AppendAction::OverwriteIfExists);
            if wanted {
                lines.push((replaces, &*addition.name, value));
            }
        }
        Changes { remove: &level.remove, lines }
    }

    /// Makes the changes: removals, then replacements, then further lines,
    /// as Envoy does.
    pub fn write(&self, head: &mut Head) {
        for name in self.remove {
            head.remove_named(name.as_bytes());
        }
        for (_, name, value) in self.lines.iter().filter(|(replaces, ..)| *replaces) {
            write(head, name, value, Head::set);
        }
        for (_, name, value) in self.lines.iter().filter(|(replaces, ..)| !*replaces) {
            write(head, name, value, Head::add);
        }
    }
}

/// Pseudo headers stand in the start line.
fn write(head: &mut Head, name: &str, value: &[u8], write: impl Fn(&mut Head, &[u8], &[u8])) {
    let text = || std::str::from_utf8(value).unwrap_or_default();
    if name.eq_ignore_ascii_case(":authority") || name.eq_ignore_ascii_case("host") {
        head.set_authority(text());
    } else if name.eq_ignore_ascii_case(":path") {
        if text().starts_with('/') {
            head.set_path(text());
        }
    } else if !name.starts_with(':') {
        write(head, name.as_bytes(), value);
    }
}

fn value<R: Record>(value: &HeaderValue, record: &R) -> Vec<u8> {
    match value {
        HeaderValue::Literal(bytes) => bytes.to_vec(),
        HeaderValue::Format(text) => {
            let mut out = Vec::new();
            match format(text) {
                Some(format) => format.write_or_empty(record, &mut out),
                // What is no format string is a value with a percent sign.
                None => out.extend_from_slice(text.as_bytes()),
            }
            // Nothing that a header brought in may begin another one.
            out.retain(|byte| !matches!(byte, 0 | b'\r' | b'\n'));
            out
        }
    }
}

fn format(text: &Arc<str>) -> Option<Rc<Format>> {
    FORMATS.with_borrow_mut(|formats| {
        if let Some(known) = formats.get(text) {
            return known.clone();
        }
        if formats.len() >= MAX_FORMATS {
            formats.clear();
        }
        let compiled = Format::compile(text).ok().map(Rc::new);
        formats.insert(text.clone(), compiled.clone());
        compiled
    })
}
