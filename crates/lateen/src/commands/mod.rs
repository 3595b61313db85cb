//! The verbs, one file each.

pub mod admin;
pub mod apply;
pub mod bookinfo;
pub mod exec;
pub mod explain;
pub mod get;
pub mod init;
pub mod input;
pub mod output;
pub mod proxy;
pub mod status;
pub mod up;
pub mod version;

use anyhow::{Result, anyhow};
use resources::Kind;

/// The kind that a person means by `text`.
pub fn kind(text: &str) -> Result<Kind> {
    Kind::parse(text).ok_or_else(|| {
        let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.plural()).collect();
        anyhow!("no kind `{text}`: the mesh reads {}", known.join(", "))
    })
}
