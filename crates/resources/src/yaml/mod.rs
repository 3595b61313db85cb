//! YAML in and out: text to a tree that knows where everything stands, and JSON to text.
//!
//! Unquoted scalars mean what they mean to kubectl, whose parser follows YAML 1.1: `yes`, `no`, `on`, `off`,
//! `y` and `n` are booleans, `0777` is octal, `1_000` is a thousand, `~` is null. So a file behaves the same
//! here and there; where a text was meant, the message says to put it in quotes. Keys of maps are always text.

mod builder;
mod emit;
mod layout;
mod reader;
mod scalar;
mod syntax;
mod tree;

pub use emit::to_yaml;

pub(crate) use reader::read;
pub(crate) use tree::{Member, Node, Value};

#[cfg(test)]
mod tests;
