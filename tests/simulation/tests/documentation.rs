//! What the README says of the tests is so.

#![allow(clippy::unwrap_used, reason = "all of this is tests")]

use std::fs;
use std::path::Path;

const README: &str = include_str!("../README.md");

/// No other word in it is as long.
const SHORTEST_NAME: usize = 23;

fn sources(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let texts = paths.map(|path| match path.is_dir() {
        true => sources(&path),
        false => fs::read_to_string(path).unwrap(),
    });
    texts.collect()
}

#[test]
fn every_scenario_that_the_readme_names_is_there() {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"));
    let is_name = |word: &&str| {
        let fits =
            |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
        word.len() >= SHORTEST_NAME && word.chars().all(fits)
    };
    let names: Vec<&str> = README.split('`').filter(is_name).collect();
    assert!(names.len() > 60, "{}", names.len());
    for name in names {
        assert!(sources.contains(&format!("fn {name}()")), "{name}");
    }
}

#[test]
fn every_kind_of_fault_has_a_scenario() {
    let table = README.split("## What goes wrong").nth(1).unwrap();
    let table = table.split("\n## ").next().unwrap();
    let rows: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with("| "))
        .collect();
    assert!(rows.len() > 20);
    for row in rows.iter().skip(1) {
        let scenarios = row.trim_end_matches(" |").rsplit('|').next().unwrap();
        assert!(scenarios.contains('`'), "{row}");
    }
}
