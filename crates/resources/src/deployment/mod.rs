//! Deployment: a number of equal pods.
//!
//! # Manual
//!
#![doc = include_str!("manual.md")]

pub(crate) mod validate;

use serde::Deserialize;
use serde_json::Value;

use crate::metadata::LabelSelector;
use crate::pod::PodTemplateSpec;

/// A Kubernetes Deployment.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Deployment {
    /// What is wanted.
    pub spec: DeploymentSpec,
    /// What a cluster reports; never read.
    pub status: Option<Value>,
}

/// What a Deployment is.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentSpec {
    /// How many pods; none means 1.
    pub replicas: Option<u32>,
    /// Which pods are its own.
    pub selector: LabelSelector,
    /// What its pods are like.
    pub template: PodTemplateSpec,
    /// How pods are replaced; never read.
    pub strategy: Option<Value>,
    /// Seconds that a pod must be ready before it counts.
    pub min_ready_seconds: u32,
    /// Old versions kept; never read.
    pub revision_history_limit: Option<u32>,
    /// Do not act on changes.
    pub paused: bool,
    /// Seconds after which a change counts as stuck; never read.
    pub progress_deadline_seconds: Option<u32>,
}

impl Deployment {
    /// How many pods are wanted.
    pub fn replicas(&self) -> u32 {
        self.spec.replicas.unwrap_or(1)
    }
}
