//! Rules for a ConfigMap.

use super::ConfigMap;
use crate::path::Trail;
use crate::problem::Code;
use crate::validate::Checker;

/// Checks a ConfigMap.
pub(crate) fn validate(content: &ConfigMap, at: &Trail<'_>, check: &mut Checker<'_>) {
    for (field, keys) in [
        ("data", content.data.keys().collect::<Vec<_>>()),
        ("binaryData", content.binary_data.keys().collect::<Vec<_>>()),
    ] {
        let field_at = at.key(field);
        for key in keys {
            if !is_file_name(key) {
                check
                    .note(&field_at.key(key), Code::InvalidName, format!("`{key}` is not a valid key"))
                    .help("letters, digits, `-`, `_` and `.`, as in the name of a file");
            }
        }
    }
    let binary_at = at.key("binaryData");
    for key in content.binary_data.keys().filter(|key| content.data.contains_key(*key)) {
        check.note(&binary_at.key(key), Code::Duplicate, format!("`{key}` stands in `data` too"));
    }
}

fn is_file_name(key: &str) -> bool {
    !matches!(key, "." | "..")
        && (1..=253).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}
