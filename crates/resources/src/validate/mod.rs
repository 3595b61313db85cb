//! What is checked in an object beyond the types of its fields.
//!
//! Rules for one kind stand in that kind's folder; here are the rules that several share.

mod metadata;

use crate::decode::Finding;
use crate::metadata::ObjectMeta;
use crate::object::{ObjectKey, Spec};
use crate::path::Trail;
use crate::problem::Code;

/// Checks an object and returns everything that is wrong with it.
pub(crate) fn object(key: &ObjectKey, meta: &ObjectMeta, spec: &Spec) -> Vec<Finding> {
    let mut check = Checker { key, meta, findings: Vec::new() };
    let top = Trail::top();
    metadata::validate(&mut check, &top.key("metadata"));
    let _ = spec;
    check.findings
}

/// Collects findings on one object.
pub(crate) struct Checker<'a> {
    /// Which object.
    pub(crate) key: &'a ObjectKey,
    /// Its metadata.
    pub(crate) meta: &'a ObjectMeta,
    findings: Vec<Finding>,
}

impl Checker<'_> {
    /// Notes something wrong.
    pub(crate) fn note(&mut self, at: &Trail<'_>, code: Code, message: impl Into<String>) {
        self.note_with_help(at, code, message, "");
    }

    /// Notes something wrong and what to do about it.
    pub(crate) fn note_with_help(
        &mut self,
        at: &Trail<'_>,
        code: Code,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.findings.push(Finding { path: at.path(), code, message: message.into(), help: help.into() });
    }
}
