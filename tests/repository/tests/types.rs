//! One name for one type in the whole workspace: who reads a type's name knows which type it is, also
//! without the imports.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The folders with Rust sources.
const FOLDERS: [&str; 3] = ["functions", "infra", "tests"];

/// Folders of what is built or downloaded.
const NOT_OURS: [&str; 2] = ["target", "node_modules"];

const KINDS: [&str; 4] = ["struct ", "enum ", "trait ", "type "];

/// The sources of a folder, without those that are compiled for unit tests only.
fn sources(folder: &Path, found: &mut BTreeMap<PathBuf, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !NOT_OURS.contains(&name) {
            sources(&path, found);
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.insert(path, text);
        }
    }
}

fn without_unit_tests(mut sources: BTreeMap<PathBuf, String>) -> BTreeMap<PathBuf, String> {
    let mut of_unit_tests = Vec::new();
    for (path, text) in &sources {
        let stem = path.with_extension("");
        let folder = match stem.file_name().unwrap().to_str().unwrap() {
            "lib" | "main" | "mod" => stem.parent().unwrap().to_owned(),
            _ => stem,
        };
        let declared = text.split("#[cfg(test)]\nmod ").skip(1);
        of_unit_tests.extend(declared.filter_map(|rest| {
            let (name, _) = rest.lines().next()?.split_once(';')?;
            Some(folder.join(name))
        }));
    }
    sources.retain(|path, _| {
        let is_of =
            |module: &PathBuf| path.with_extension("") == *module || path.starts_with(module);
        !of_unit_tests.iter().any(is_of)
    });
    sources
}

/// The types that a source declares for its module or for more, each with its line. A type in a function
/// is its own business, and one in a trait or an `impl` is the name of a place for a type.
fn types(source: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut is_next_for_tests = false;
    let mut end_of_tests = None;
    for (index, line) in source.lines().enumerate() {
        let code = line.trim_start();
        let indentation = line.strip_suffix(code).unwrap_or_default();
        if let Some(end) = end_of_tests {
            if line.strip_prefix(end) == Some("}") {
                end_of_tests = None;
            }
            continue;
        }
        if is_next_for_tests && code.starts_with("mod ") && code.ends_with('{') {
            end_of_tests = Some(indentation);
        }
        is_next_for_tests = code == "#[cfg(test)]";
        let (is_public, declaration) = without_visibility(code);
        if is_public || indentation.is_empty() {
            found.extend(type_name(declaration).map(|name| (index + 1, name)));
        }
    }
    found
}

/// Whether a line begins with `pub` or one of its kind, and what follows it.
fn without_visibility(code: &str) -> (bool, &str) {
    let rest = match code.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(')').map(|(_, rest)| rest),
        rest => rest,
    };
    match rest.and_then(|rest| rest.strip_prefix(' ')) {
        Some(rest) => (true, rest),
        None => (false, code),
    }
}

/// The name of the type that is declared here. A macro's `$name` is none.
fn type_name(declaration: &str) -> Option<&str> {
    let rest = KINDS
        .iter()
        .find_map(|kind| declaration.strip_prefix(kind))?;
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let (name, _) = rest.split_at(end.unwrap_or(rest.len()));
    (!name.is_empty()).then_some(name)
}

#[test]
fn no_two_types_have_one_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut all = BTreeMap::new();
    for folder in FOLDERS {
        sources(&root.join(folder), &mut all);
    }
    let mut places: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let all = without_unit_tests(all);
    for (path, text) in &all {
        let path = path.strip_prefix(&root).unwrap().display();
        for (line, name) in types(text) {
            places
                .entry(name)
                .or_default()
                .push(format!("{path}:{line}"));
        }
    }
    assert!(places.contains_key("MessageRow"), "no source was read");
    places.retain(|_, places| places.len() > 1);
    let several: Vec<String> = places
        .iter()
        .map(|(name, places)| format!("{name}: {}", places.join(", ")))
        .collect();
    assert!(several.is_empty(), "{}", several.join("\n"));
}

#[test]
fn declared_are_types_of_a_module_and_not_those_of_functions_impls_and_unit_tests() {
    let source = [
        "pub struct Public<T>(T);",
        "pub(crate) enum OfTheCrate {}",
        "struct Private;",
        "type Alias = u32;",
        "pub(super) trait OfTheParent {",
        "    type Associated;",
        "}",
        "macro! {",
        "    pub enum OfAMacro { A }",
        "    pub struct $name(u32);",
        "}",
        "fn function() {",
        "    struct OfAFunction;",
        "}",
        "#[cfg(test)]",
        "mod tests {",
        "    mod inner {",
        "        pub struct OfATest;",
        "    }",
        "    pub struct AlsoOfATest;",
        "}",
        "pub struct Last;",
    ]
    .join("\n");
    let expected = [
        (1, "Public"),
        (2, "OfTheCrate"),
        (3, "Private"),
        (4, "Alias"),
        (5, "OfTheParent"),
        (9, "OfAMacro"),
        (22, "Last"),
    ];
    assert_eq!(types(&source), expected);
}
