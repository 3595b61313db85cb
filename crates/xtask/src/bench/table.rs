//! Tables for a terminal and for Markdown.

use std::fmt;

/// A title, rows below a header, and notes.
#[derive(Debug)]
pub(super) struct Table {
    title: String,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
}

impl Table {
    pub(super) fn new<'a>(title: &str, header: impl IntoIterator<Item = &'a str>) -> Table {
        let header = header.into_iter().map(str::to_owned).collect();
        Table { title: title.to_owned(), header, rows: Vec::new(), notes: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// The same for a README.
    pub(super) fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let mut text = format!("**{}**\n\n", self.title);
        text.push_str(&line(&self.header));
        text.push_str(&format!("|{}\n", "---|".repeat(self.header.len())));
        self.rows.iter().for_each(|row| text.push_str(&line(row)));
        text.push('\n');
        self.notes.iter().for_each(|note| text.push_str(&format!("- {note}\n")));
        text
    }
}

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.title)?;
        let width = |column: usize| {
            let cells = std::iter::once(&self.header).chain(&self.rows).filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.header.len()).map(width).collect();
        for row in std::iter::once(&self.header).chain(&self.rows) {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                match column {
                    0 => write!(out, "{cell:<width$}")?,
                    _ => write!(out, "  {cell:>width$}")?,
                }
            }
            writeln!(out)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(out, "  {note}"))
    }
}

/// The middle of what `of` makes of each item.
pub(super) fn median<T>(items: &[T], of: impl Fn(&T) -> f64) -> f64 {
    let mut values: Vec<f64> = items.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new("Title", ["proxy", "µs"]);
        table.row(["envoy".to_owned(), "10.5".to_owned()]);
        table.note("a note".to_owned());
        assert_eq!(table.to_string(), "Title\nproxy    µs\nenvoy  10.5\n  a note\n");
        assert_eq!(
            table.markdown(),
            "**Title**\n\n| proxy | µs |\n|---|---|\n| envoy | 10.5 |\n\n- a note\n"
        );
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0], |value| *value), 2.0);
        assert!(median(&[], |value: &f64| *value).is_nan());
    }
}
