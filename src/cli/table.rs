//! Columns and times for people.

use serde_json::{Value, json};

use super::screen::Screen;

/// Rows under headings, each column as wide as its widest cell.
pub(super) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    /// Adds a row. A control character, which could move the cursor, becomes a question mark.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        let clean = |cell: String| cell.replace(char::is_control, "?");
        self.rows.push(cells.into_iter().map(clean).collect());
    }

    pub(super) fn render(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let longest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
            longest.max(self.headings[column].len())
        };
        let widths: Vec<_> = (0..self.headings.len()).map(width).collect();
        let line = |cells: Vec<&str>| {
            let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let mut lines = vec![line(self.headings.clone())];
        lines.extend(self.rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
        lines.join("\n")
    }
}

/// A heading, where its cells stand in a document of the API (RFC 6901), and how they are written.
pub(super) type Column = (&'static str, &'static str, fn(&Value) -> String);

/// Prints a list of the API: its documents as they are, or a table of them, or that there are none.
pub(super) fn list(
    screen: &mut Screen,
    all: &[Value],
    json: bool,
    none: &str,
    columns: &[Column],
) -> anyhow::Result<()> {
    if json {
        return Ok(screen.json(&json!(all))?);
    }
    if all.is_empty() {
        return Ok(screen.note(none)?);
    }
    let headings: Vec<_> = columns.iter().map(|(heading, ..)| *heading).collect();
    let mut table = Table::new(&headings);
    for one in all {
        let cells = columns
            .iter()
            .map(|(_, place, write)| write(one.pointer(place).unwrap_or(&Value::Null)));
        table.row(cells.collect());
    }
    Ok(screen.say(&table.render())?)
}

/// What a document of the API says, for a cell.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// A point in time of a document of the API, to the minute.
pub(super) fn moment_of(value: &Value) -> String {
    match value.as_str() {
        Some(time) => time.replacen('T', " ", 1).chars().take(16).collect(),
        None => "-".to_owned(),
    }
}

/// A line of a table with commas (RFC 4180). A cell that a spreadsheet would take for a formula is
/// made a text by an apostrophe.
pub(super) fn csv(cells: impl IntoIterator<Item = String>) -> String {
    let cells = cells.into_iter().map(|cell| {
        let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
        let cell = if formula { format!("'{cell}") } else { cell };
        if cell.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell
        }
    });
    cells.collect::<Vec<_>>().join(",")
}

/// The same for a table, to the minute.
pub(super) fn minute(seconds: u64) -> String {
    crate::base::rfc3339(seconds)[..].replacen('T', " ", 1).chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_are_cut_from_the_whole() {
        assert_eq!(minute(951_782_399), "2000-02-28 23:59");
    }

    #[test]
    fn commas_and_formulas_stay_text() {
        let cells = ["a,b", "say \"x\"", "=1+1", "plain", ""].map(str::to_owned);
        assert_eq!(csv(cells), "\"a,b\",\"say \"\"x\"\"\",'=1+1,plain,");
    }

    #[test]
    fn columns_line_up_and_cells_cannot_move_the_cursor() {
        let mut table = Table::new(&["ID", "NAME"]);
        table.row(vec!["a-long-id".to_owned(), "Zoë\u{1b}[2J".to_owned()]);
        assert_eq!(table.render(), "ID         NAME\na-long-id  Zoë?[2J");
    }
}
