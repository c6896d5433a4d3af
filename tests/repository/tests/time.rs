//! Time has a type in the library `bridge`: `Timestamp` and `Duration`, and no number of milliseconds.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};

const NUMBERS: &[&str] = &[
    "i32", "i64", "i128", "isize", "u32", "u64", "u128", "usize", "f32", "f64",
];

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The name before a place in a line, if it says that it is in milliseconds.
fn name_in_milliseconds(before: &str) -> Option<&str> {
    let name = before.rsplit(|c| !is_of_name(c)).next()?;
    let lower_case = name.to_ascii_lowercase();
    (lower_case == "ms" || lower_case.ends_with("_ms")).then_some(name)
}

/// The names that a line declares as a number of milliseconds: a field, a parameter, a constant, or a function.
fn declared(line: &str) -> Option<&str> {
    let code = line.split("//").next().unwrap_or_default();
    let is_function = code.contains("fn ");
    code.match_indices([':', '(']).find_map(|(place, sign)| {
        let (before, after) = code.split_at(place);
        let name = name_in_milliseconds(before)?;
        let is_number = after
            .split([',', ')', '=', '{'])
            .next()?
            .split(|c| !is_of_name(c))
            .any(|word| NUMBERS.contains(&word));
        match sign {
            ":" => is_number.then_some(name),
            _ => (is_function && before.ends_with(&format!("fn {name}"))).then_some(name),
        }
    })
}

#[test]
fn no_number_of_milliseconds_is_declared_in_the_library() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../functions/bridge/src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    assert!(files.len() > 50, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for (index, line) in text.lines().enumerate() {
            let (place, number) = (file.display(), index + 1);
            assert_eq!(
                declared(line),
                None,
                "{place}:{number}: take a type of time"
            );
        }
    }
}

#[test]
fn a_number_of_milliseconds_is_found_where_it_is_declared() {
    for (line, name) in [
        ("    pub since_ms: i64,", "since_ms"),
        (
            "pub const LONGEST_WAIT_MS: u64 = 900_000;",
            "LONGEST_WAIT_MS",
        ),
        ("    fn allows(&self, now_ms: i64) -> bool {", "now_ms"),
        ("    asked_ms: Cell<Option<i64>>,", "asked_ms"),
        ("    fn now_ms(&self) -> i64 {", "now_ms"),
    ] {
        assert_eq!(declared(line), Some(name), "{line}");
    }
    for line in [
        "    #[serde(rename = \"since_ms\")]",
        "    pub since: Timestamp,",
        "    // `since_ms: i64`",
        "        item.insert(\"changed_at_ms\".to_owned(), number(now));",
        "    pub items: u64,",
    ] {
        assert_eq!(declared(line), None, "{line}");
    }
}
