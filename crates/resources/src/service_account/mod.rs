//! ServiceAccount: the identity of pods.
//!
//! # Manual
//!
#![doc = include_str!("manual.md")]

use serde::Deserialize;
use serde_json::Value;

/// A Kubernetes ServiceAccount.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceAccount {
    /// Whether a token is mounted into its pods.
    pub automount_service_account_token: Option<bool>,
    /// Secrets for pulling images; never read.
    pub image_pull_secrets: Vec<Value>,
    /// Secrets that pods may use; never read.
    pub secrets: Vec<Value>,
}
