//! Namespace: a part of the mesh; its labels turn injection on.
//!
//! # Manual
//!
#![doc = include_str!("manual.md")]

use serde::Deserialize;
use serde_json::Value;

/// A Kubernetes Namespace.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Namespace {
    /// Finalizers; never read.
    pub spec: Option<Value>,
    /// Its phase; never read.
    pub status: Option<Value>,
}
