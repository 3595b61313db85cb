//! Names, labels and annotations.

use super::Checker;
use crate::path::Trail;
use crate::problem::Code;

/// Checks what all kinds have in common.
pub(crate) fn validate(check: &mut Checker<'_>, at: &Trail<'_>) {
    if check.meta.name.is_empty() {
        check.note(&at.key("name"), Code::InvalidName, "`metadata.name` is missing");
    }
}
