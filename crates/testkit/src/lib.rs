//! What tests share: where real peers are, and what they need to run.
//!
//! A dev-dependency only; the programs never see it.

pub mod certificates;
pub mod cluster;
pub mod envoy;
pub mod mask;
pub mod tools;
