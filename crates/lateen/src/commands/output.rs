//! Tables for people, JSON and YAML for programs.

use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde::Serialize;

use anyhow::{Context as _, Result};

/// `-o`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns.
    Table,
    /// More columns.
    Wide,
    /// `kind/name` a line.
    Name,
    /// YAML documents.
    Yaml,
    /// One JSON value.
    Json,
}

/// A table without lines, as kubectl prints it.
pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.to_vec());
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    table
}

/// Prints a table without the blanks at line ends.
pub fn print(table: &Table) {
    for line in table.lines() {
        anstream::println!("{}", line.trim_end());
    }
}

/// Prints `value` as indented JSON.
pub fn json(value: &impl Serialize) -> Result<()> {
    anstream::println!("{}", serde_json::to_string_pretty(value).context("write JSON")?);
    Ok(())
}

/// Prints `value` as a YAML document.
pub fn yaml(value: &impl Serialize) -> Result<()> {
    anstream::print!("{}", serde_saphyr::to_string(value).context("write YAML")?);
    Ok(())
}
