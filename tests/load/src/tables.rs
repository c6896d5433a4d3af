//! The tables of a report, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

/// A table of a report.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportTable {
    /// What it shows.
    pub title: &'static str,
    /// What is to be known about it, a sentence each.
    pub notes: Vec<String>,
    /// The names of its columns, the first one that of the rows.
    pub columns: Vec<&'static str>,
    /// Each row: its name, and its cells.
    pub rows: Vec<(String, Vec<Cell>)>,
}

/// What is in a cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    /// A number, shown with so many decimals.
    Number(f64, usize),
    /// Nobody has measured it.
    NotMeasured,
}

impl Cell {
    /// A whole number.
    #[must_use]
    pub fn count(count: usize) -> Self {
        Self::Number(f64::from(u32::try_from(count).unwrap_or(u32::MAX)), 0)
    }

    /// A number, if it was measured.
    #[must_use]
    pub fn measured(number: Option<f64>, decimals: usize) -> Self {
        number.map_or(Self::NotMeasured, |number| Self::Number(number, decimals))
    }

    fn text(self) -> String {
        match self {
            Self::Number(number, decimals) => format!("{number:.decimals$}"),
            Self::NotMeasured => "not measured".to_owned(),
        }
    }

    fn value(self) -> Value {
        match self {
            // JSON's numbers have no infinity; there is none in a report.
            Self::Number(number, _) => json!(number),
            Self::NotMeasured => Value::Null,
        }
    }
}

impl ReportTable {
    /// For a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("\n{}\n", self.title);
        let width = self.rows.iter().map(|(name, _)| name.chars().count());
        let width = width.max().unwrap_or(0).max(32);
        let mut columns = self.columns.iter();
        // Writing into a string cannot fail.
        let _ = write!(text, "{:width$}", columns.next().unwrap_or(&""));
        for column in columns {
            let _ = write!(text, " {column:>12}");
        }
        for (name, cells) in &self.rows {
            let _ = write!(text, "\n{name:width$}");
            for cell in cells {
                let _ = write!(text, " {:>12}", cell.text());
            }
        }
        for note in &self.notes {
            let _ = write!(text, "\n{note}");
        }
        text.push('\n');
        text
    }

    /// For a page.
    #[must_use]
    pub fn html(&self) -> String {
        let mut html = format!("<h2>{}</h2><table><tr>", escaped(self.title));
        for column in &self.columns {
            let _ = write!(html, "<th>{}</th>", escaped(column));
        }
        html.push_str("</tr>");
        for (name, cells) in &self.rows {
            let _ = write!(html, "<tr><th>{}</th>", escaped(name));
            for cell in cells {
                let _ = write!(html, "<td>{}</td>", cell.text());
            }
            html.push_str("</tr>");
        }
        html.push_str("</table>");
        for note in &self.notes {
            let _ = write!(html, "<p>{}</p>", escaped(note));
        }
        html
    }

    /// For a program: each row by its name, each cell by its column.
    #[must_use]
    pub fn json(&self) -> Value {
        let row = |cells: &[Cell]| {
            let columns = self.columns.iter().skip(1);
            let cells = columns.zip(cells);
            cells
                .map(|(column, cell)| ((*column).to_owned(), cell.value()))
                .collect::<Map<_, _>>()
        };
        let rows = self.rows.iter();
        let rows = rows.map(|(name, cells)| (name.clone(), Value::Object(row(cells))));
        json!({ "rows": rows.collect::<Map<_, _>>(), "notes": self.notes })
    }
}

/// Text for a page.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_never_a_number() {
        let table = ReportTable {
            title: "Functions <of AWS>",
            notes: vec!["So it is.".to_owned()],
            columns: vec!["function", "throttles", "errors"],
            rows: vec![(
                "a".to_owned(),
                vec![Cell::measured(None, 0), Cell::count(2)],
            )],
        };
        assert!(table.text().contains("not measured"), "{}", table.text());
        assert!(table.html().contains("&lt;of AWS>"), "{}", table.html());
        let json = table.json();
        assert_eq!(
            json["rows"]["a"],
            json!({ "throttles": null, "errors": 2.0 })
        );
    }
}
