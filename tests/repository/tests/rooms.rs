//! Each room of the library `bridge` imports only the rooms that it may, so that there are no circles.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Each room (a folder or file at the top of `bridge/src`), listed after all rooms that it may import.
/// Decisions come first; the handlers and the adapters do not know each other.
const ROOMS: &[(&str, &[&str])] = &[
    ("digest", &[]),
    ("domain", &["digest"]),
    ("wire", &["digest", "domain"]),
    ("log", &["domain", "wire"]),
    ("ports", &["domain", "wire", "log"]),
    ("retry", &["domain", "ports"]),
    ("config", &["domain"]),
    ("ledger", &["domain", "log", "ports", "retry"]),
    ("queue", &["domain", "wire", "log", "ports", "ledger"]),
    ("secrets", &["digest", "domain", "wire", "ports"]),
    (
        "handlers",
        &[
            "digest", "domain", "wire", "log", "ports", "retry", "ledger", "queue", "secrets",
        ],
    ),
    (
        "adapters",
        &[
            "config", "domain", "wire", "log", "ports", "retry", "secrets",
        ],
    ),
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../functions/bridge/src")
}

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

/// The files of each part of a folder, a part being a folder or a file in it, by the part's name.
fn parts(folder: &Path) -> BTreeMap<String, Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    rust_files(folder, &mut files);
    let mut parts: BTreeMap<String, Vec<(PathBuf, String)>> = BTreeMap::new();
    for file in files {
        let first = file.strip_prefix(folder).unwrap().iter().next().unwrap();
        let name = Path::new(first).file_stem().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        parts.entry(name.to_owned()).or_default().push((file, text));
    }
    parts.remove("lib");
    parts.remove("mod");
    parts
}

/// The names that follow this in a path: `["domain"]` in `use crate::domain::ids;` for `crate::`.
fn names_after<'a>(text: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(before).skip(1).map(|rest| {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        rest.split_at(end.unwrap_or(rest.len())).0
    })
}

#[test]
fn each_room_imports_only_the_rooms_that_it_may() {
    let parts = parts(&source());
    let known: Vec<&str> = ROOMS.iter().map(|(room, _)| *room).collect();
    for room in parts.keys() {
        assert!(known.contains(&room.as_str()), "{room} is not in ROOMS");
    }
    for (place, (room, allowed)) in ROOMS.iter().enumerate() {
        for import in *allowed {
            assert!(
                known.iter().take(place).any(|earlier| earlier == import),
                "{room} and {import} are a circle, or ROOMS has {import} too late"
            );
        }
        for (file, text) in &parts[*room] {
            for import in names_after(text, "crate::") {
                assert!(
                    import == *room || allowed.contains(&import),
                    "{} imports `{import}`, which {room} may not",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn no_handler_imports_another_one() {
    let handlers = parts(&source().join("handlers"));
    assert!(handlers.contains_key("webhook"));
    for (handler, files) in &handlers {
        for (file, text) in files {
            for import in names_after(text, "handlers::").chain(names_after(text, "super::")) {
                assert!(
                    import == handler || !handlers.contains_key(import),
                    "{} imports the handler `{import}`",
                    file.display()
                );
            }
        }
    }
}
