//! Rules for names, labels and annotations.

use super::Checker;
use crate::host;
use crate::kind::Kind;
use crate::path::Trail;
use crate::problem::Code;

/// Annotations with which Istio marks its own objects; a user's object must not carry them.
const RESERVED: [&str; 3] = [
    "internal.istio.io/webhook-always-reject",
    "internal.istio.io/parents",
    "internal.istio.io/parent-namespace",
];

/// Checks what all kinds have in common.
pub(super) fn validate(check: &mut Checker<'_>, at: &Trail<'_>) {
    name(check, &at.key("name"));
    if check.key.kind.namespaced() && !is_lower_label(&check.key.namespace) {
        let message = format!("`{}` is not a valid namespace", check.key.namespace);
        check.note(&at.key("namespace"), Code::InvalidName, message).help(LABEL_HELP);
    }
    let meta = check.meta;
    check.labels(&at.key("labels"), &meta.labels);
    for key in meta.annotations.keys().filter(|key| RESERVED.contains(&key.as_str())) {
        let message = format!("the annotation `{key}` is reserved for the control plane");
        check.note(&at.key("annotations").key(key), Code::ReservedAnnotation, message);
    }
}

const LABEL_HELP: &str =
    "at most 63 lower-case letters, digits and `-`, the first and last a letter or digit";

fn name(check: &mut Checker<'_>, at: &Trail<'_>) {
    let meta = check.meta;
    if meta.name.is_empty() {
        let found = check.note(at, Code::InvalidName, "`metadata.name` is missing");
        if !meta.generate_name.is_empty() {
            found.help("`generateName` is not supported: the object must have a name of its own");
        }
        return;
    }
    let (holds, help) = match check.key.kind {
        Kind::Namespace => (is_lower_label(&meta.name), LABEL_HELP),
        Kind::Service => (
            is_lower_label(&meta.name) && !meta.name.starts_with(|c: char| c.is_ascii_digit()),
            "at most 63 lower-case letters, digits and `-`, the first a letter, the last a letter or digit",
        ),
        _ => (
            meta.name.len() <= 253 && meta.name.split('.').all(is_lower_word),
            "lower-case letters, digits, `-` and `.`, the first and last a letter or digit",
        ),
    };
    if !holds {
        let message = format!("`{}` is not a valid name for a {}", meta.name, check.key.kind);
        check.note(at, Code::InvalidName, message).help(help);
    }
}

/// Kubernetes takes no capitals in names.
fn is_lower_label(text: &str) -> bool {
    host::is_label(text) && is_lower_word(text)
}

/// A part of a name, however long.
fn is_lower_word(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(allowed) && !text.starts_with('-') && !text.ends_with('-')
}
