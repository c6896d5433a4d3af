//! The figures as a table for a terminal, as Markdown, as JSON, and in the README.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{fs, io};

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{RecoveryFigure, RecoveryFigures, RecoveryTime};

/// Where the figures are in the README.
const BEGIN: &str = "<!-- recovery: written by `cargo simulate recovery --write` -->";
const END: &str = "<!-- end of recovery -->";

/// The heads of the columns.
const HEADS: [&str; 5] = [
    "trouble",
    "first that waited",
    "comes right after",
    "all that waited",
    "seeds",
];

/// A table with aligned columns.
pub fn table(all: &[RecoveryFigures]) -> String {
    let mut rows = vec![HEADS.map(str::to_owned)];
    rows.extend(all.iter().map(cells));
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..HEADS.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let padded = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        let line = padded.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The same as a table of Markdown.
pub fn markdown(all: &[RecoveryFigures]) -> String {
    let mut text = format!("| {} |\n", HEADS.join(" | "));
    text.push_str(&"|---".repeat(HEADS.len()));
    text.push_str("|\n");
    for figures in all {
        let _ = writeln!(text, "| {} |", cells(figures).join(" | "));
    }
    text
}

/// The same as JSON, in seconds.
pub fn to_json(all: &[RecoveryFigures]) -> Value {
    let rows = all.iter().map(|figures| {
        json!({
            "name": figures.row.name,
            "trouble": figures.row.text,
            "seeds": figures.seeds,
            "within_limits": figures.are_within_their_limits(),
            "first": figure_json(figures.first),
            "new": figure_json(figures.new),
            "all": figure_json(figures.all),
        })
    });
    rows.collect()
}

fn figure_json(figure: Option<RecoveryFigure>) -> Value {
    let seconds = |wait| match wait {
        RecoveryTime::Took(span) => json!(span.as_secs_f64()),
        RecoveryTime::Never => Value::Null,
    };
    figure.map_or(Value::Null, |figure| {
        json!({
            "limit": figure.limit.map(|limit| limit.as_secs()),
            "median": seconds(figure.median),
            "worst": seconds(figure.worst),
            "worst_seed": figure.worst_seed,
        })
    })
}

/// Writes the figures into the README, with the day and the commit.
///
/// # Errors
/// When the README cannot be read or written, or has no place for them, or git does not answer.
pub fn write(all: &[RecoveryFigures]) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = folder.join("README.md");
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .current_dir(folder)
            .args(arguments)
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        io::Result::Ok(text.trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=10", "HEAD"])?;
    let changed = match git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty() {
        true => "",
        false => " with changes",
    };
    let seeds = all.first().map_or(0, |figures| figures.seeds);
    let heading = format!(
        "Measured on {} at commit {commit}{changed}: `cargo simulate recovery --seeds {seeds} --write`.",
        OffsetDateTime::now_utc().date(),
    );
    let no_place = || io::Error::other("it has no place for them");
    let readme = with_figures(&fs::read_to_string(&file)?, &heading, all).ok_or_else(no_place)?;
    fs::write(file, readme)
}

/// The README with these figures in it, if it has a place for them. `heading` says when they were
/// measured, and of what.
fn with_figures(readme: &str, heading: &str, all: &[RecoveryFigures]) -> Option<String> {
    let (before, rest) = readme.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    let table = markdown(all);
    Some(format!(
        "{before}{BEGIN}\n\n{heading}\n\n{table}\n{END}{after}"
    ))
}

fn cells(figures: &RecoveryFigures) -> [String; 5] {
    [
        figures.row.text.to_owned(),
        cell(figures.first),
        cell(figures.new),
        cell(figures.all),
        figures.seeds.to_string(),
    ]
}

/// The worst, the median and the limit.
fn cell(figure: Option<RecoveryFigure>) -> String {
    let Some(figure) = figure else {
        return String::new();
    };
    let over = match figure.is_within_its_limit() {
        true => "",
        false => " (!)",
    };
    let limit = figure
        .limit
        .map(|limit| format!(" of {}", words(limit)))
        .unwrap_or_default();
    format!(
        "{}{limit}{over}, median {}",
        wait(figure.worst),
        wait(figure.median)
    )
}

fn wait(wait: RecoveryTime) -> String {
    match wait {
        RecoveryTime::Took(span) => words(span),
        RecoveryTime::Never => "never".to_owned(),
    }
}

/// Rounded up, so that no figure looks shorter than it is.
fn words(span: Duration) -> String {
    let seconds = span.as_millis().div_ceil(1000);
    match seconds {
        0..=599 => format!("{seconds} s"),
        _ => format!("{} min", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::ROWS;
    use super::*;

    fn figures() -> RecoveryFigures {
        let figure = RecoveryFigure {
            median: RecoveryTime::Took(Duration::from_millis(20_001)),
            worst: RecoveryTime::Never,
            worst_seed: 7,
            limit: Some(Duration::from_secs(60)),
        };
        RecoveryFigures {
            row: &ROWS[0],
            seeds: 9,
            first: Some(figure),
            new: None,
            all: None,
        }
    }

    #[test]
    fn a_figure_over_its_limit_is_marked() {
        let text = markdown(&[figures()]);
        assert!(
            text.contains("| never of 60 s (!), median 21 s |"),
            "{text}"
        );
    }

    #[test]
    fn the_readme_has_a_place_for_the_figures() {
        let readme = include_str!("../../README.md");
        let readme = with_figures(readme, "Measured now.", &[figures()]).unwrap();
        assert!(readme.contains("Measured now.\n\n| trouble"));
        let again = with_figures(&readme, "Measured now.", &[figures()]).unwrap();
        assert_eq!(readme, again);
    }
}
