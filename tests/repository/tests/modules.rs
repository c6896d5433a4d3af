//! No two modules of the library `bridge` need each other, be it through others.
//!
//! A module needs another one if its code names something of it, or calls a method of its own type that
//! the other one has (`self.method()`). A declaration of a child (`mod child;`) is no need. Neither is a
//! re-export (`pub use child::Thing`): who names the thing at the parent needs the child, where it is. So
//! a parent that only declares and re-exports is in nobody's way, and a parent with code of its own either
//! uses its children or is used by them. Unit tests do not count.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The place of a module: `["domain", "message"]`.
type ModulePath = Vec<String>;

/// The needs of a module, each with the words in its code that say so.
type Needs = BTreeMap<ModulePath, BTreeMap<ModulePath, String>>;

#[derive(Default)]
struct Module {
    /// Its imports: the last name of the path, and the whole path.
    imports: BTreeMap<String, ModulePath>,
    /// The paths that its code names: in imports that are no re-exports, and everywhere else.
    paths: BTreeSet<ModulePath>,
    /// The methods that it defines.
    methods: BTreeSet<String>,
    /// The methods that it calls on `self`.
    calls: BTreeSet<String>,
}

/// The words and signs of a source, without comments, texts and unit tests. `::` is one sign.
fn tokens(source: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = without_unit_tests(source);
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("r#\"") {
            rest.split_at(3).1.find("\"#").unwrap() + 5
        } else if first == '"' {
            end_of_text(rest)
        } else if first == '\'' {
            end_of_character(rest)
        } else if is_of_word(first) {
            let end = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
            tokens.push(rest.split_at(end).0.to_owned());
            end
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = rest.split_at(length).1;
    }
    tokens
}

fn without_unit_tests(source: &str) -> &str {
    let mut from = 0;
    while let Some(found) = source.split_at(from).1.find("#[cfg(test)]\n") {
        let (code, tests) = source.split_at(from + found);
        if tests
            .lines()
            .nth(1)
            .is_some_and(|line| line.contains("mod "))
        {
            return code;
        }
        from += found + 1;
    }
    source
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn end_of_text(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let is_end = *c == '"' && !is_escaped;
        is_escaped = *c == '\\' && !is_escaped;
        is_end
    });
    end.unwrap().0 + 1
}

/// A character literal, or the quote of a lifetime.
fn end_of_character(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), Some(_)) => text.split_at(3).1.find('\'').unwrap() + 4,
        (Some(_), Some((end, '\''))) => end + 1,
        _ => 1,
    }
}

/// Every path that a `use` imports: its words after `use`, up to the `;`.
fn imported(tree: &[String]) -> Vec<ModulePath> {
    let mut found = Vec::new();
    let mut before = vec![ModulePath::new()];
    let mut path = ModulePath::new();
    let mut is_alias = false;
    for token in tree {
        match token.as_str() {
            "::" => {}
            "{" => before.push(path.clone()),
            "," | "}" => {
                if path.len() > before.last().unwrap().len() {
                    found.push(path);
                }
                if token == "}" {
                    path = before.pop().unwrap();
                    // What stood before the brace is no import by itself.
                    path.truncate(before.last().unwrap().len());
                } else {
                    path = before.last().unwrap().clone();
                }
                is_alias = false;
            }
            "as" => is_alias = true,
            "*" => {}
            _ if is_alias => {}
            name => path.push(name.to_owned()),
        }
    }
    if path.len() > before.last().unwrap().len() {
        found.push(path);
    }
    found
}

/// A path from the root of the library; none if it is another library's.
fn from_the_root(
    path: &[String],
    place: &[String],
    all: &BTreeSet<ModulePath>,
) -> Option<ModulePath> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some([place, rest].concat()),
        "super" => {
            let (_, parent) = place.split_last()?;
            match rest.first() {
                Some(next) if next == "super" => from_the_root(rest, parent, all),
                _ => Some([parent, rest].concat()),
            }
        }
        _ => {
            let child = [place, std::slice::from_ref(first)].concat();
            all.contains(&child).then(|| [place, path].concat())
        }
    }
}

fn read(source: &str, place: &ModulePath, all: &BTreeSet<ModulePath>) -> Module {
    let tokens = tokens(source);
    let mut module = Module::default();
    let mut others: Vec<ModulePath> = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let is = |offset: usize, wanted: &str| {
            tokens.get(at + offset).is_some_and(|token| token == wanted)
        };
        let mut length = 1;
        if token == "use" && !is(1, "<") {
            let end = tokens.iter().skip(at).position(|token| token == ";");
            length = end.unwrap();
            let tree: Vec<String> = tokens
                .iter()
                .skip(at + 1)
                .take(length - 1)
                .cloned()
                .collect();
            let before = at.checked_sub(1).and_then(|before| tokens.get(before));
            let is_re_export = before.is_some_and(|before| before == "pub" || before == ")");
            for path in imported(&tree) {
                if let Some(path) = from_the_root(&path, place, all) {
                    let name = path.last().unwrap().clone();
                    if !is_re_export {
                        module.paths.insert(path.clone());
                    }
                    module.imports.insert(name, path);
                }
            }
        } else if token == "fn" {
            let name = tokens.get(at + 1).unwrap();
            let parameters = tokens.iter().skip(at + 2).skip_while(|token| *token != "(");
            let mut receiver = parameters
                .skip(1)
                .take_while(|token| ![",", ")", ":"].contains(&token.as_str()));
            if receiver.any(|token| token == "self") {
                module.methods.insert(name.clone());
            }
        } else if token == "self" && is(1, ".") && is(3, "(") {
            module.calls.insert(tokens.get(at + 2).unwrap().clone());
        } else if is(1, "::") && token.chars().all(is_of_word) {
            let mut path = vec![token.clone()];
            while tokens.get(at + length).is_some_and(|token| token == "::") {
                let Some(next) = tokens.get(at + length + 1) else {
                    break;
                };
                if !next.chars().all(is_of_word) {
                    break;
                }
                path.push(next.clone());
                length += 2;
            }
            others.push(path);
        }
        at += length;
    }
    for path in others {
        let (first, rest) = path.split_first().unwrap();
        let of_import = module.imports.get(first);
        let path = match from_the_root(&path, place, all) {
            Some(path) => Some(path),
            None => of_import.map(|import| [import.as_slice(), rest].concat()),
        };
        module.paths.extend(path);
    }
    module
}

/// The module where this path ends: where the thing is, and not where somebody re-exports it.
fn owner(path: &[String], modules: &BTreeMap<ModulePath, Module>) -> Option<ModulePath> {
    let mut path = path.to_vec();
    // A re-export of a re-export is followed, and a name that leads back to itself is not.
    for _ in 0..8 {
        let length = (0..=path.len())
            .rev()
            .find(|length| modules.contains_key(path.split_at(*length).0))?;
        let (module, rest) = path.split_at(length);
        let known = &modules.get(module)?.imports;
        let next = match rest.split_first() {
            Some((name, rest)) => known.get(name).map(|to| [to.as_slice(), rest].concat()),
            None => None,
        };
        match next {
            Some(next) if next != path => path = next,
            _ => return Some(module.to_vec()),
        }
    }
    None
}

fn needs(sources: &BTreeMap<ModulePath, String>) -> Needs {
    let all: BTreeSet<ModulePath> = sources.keys().cloned().collect();
    let modules: BTreeMap<ModulePath, Module> = sources
        .iter()
        .map(|(place, source)| (place.clone(), read(source, place, &all)))
        .collect();
    let mut needs = Needs::new();
    for (place, module) in &modules {
        let of_place = needs.entry(place.clone()).or_default();
        for path in &module.paths {
            if let Some(other) = owner(path, &modules) {
                of_place.insert(other, path.join("::"));
            }
        }
        for call in &module.calls {
            let owners: Vec<&ModulePath> = modules
                .iter()
                .filter(|(_, module)| module.methods.contains(call))
                .map(|(place, _)| place)
                .collect();
            if let [other] = owners.as_slice() {
                of_place.insert((*other).clone(), format!("self.{call}()"));
            }
        }
        of_place.remove(place);
    }
    needs
}

/// A way from the last module of `way` back to the first one.
fn way_back(way: &mut Vec<ModulePath>, seen: &mut BTreeSet<ModulePath>, needs: &Needs) -> bool {
    let (first, last) = (way.first().unwrap().clone(), way.last().unwrap().clone());
    for next in needs.get(&last).unwrap().keys() {
        if *next == first {
            return true;
        }
        if seen.insert(next.clone()) {
            way.push(next.clone());
            if way_back(way, seen, needs) {
                return true;
            }
            way.pop();
        }
    }
    false
}

/// A circle, in words, if there is one.
fn circle(needs: &Needs) -> Option<String> {
    let circle = needs.keys().find_map(|place| {
        let mut way = vec![place.clone()];
        way_back(&mut way, &mut BTreeSet::new(), needs).then_some(way)
    })?;
    let next = circle.iter().cycle().skip(1);
    let steps = circle.iter().zip(next).map(|(from, to)| {
        let why = needs.get(from).and_then(|needs| needs.get(to)).unwrap();
        let (from, to) = (from.join("::"), to.join("::"));
        format!("{from} needs {to}, because of `{why}`")
    });
    Some(steps.collect::<Vec<_>>().join("\n"))
}

fn read_sources(folder: &Path, place: &ModulePath, found: &mut BTreeMap<ModulePath, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if name == "tests" {
            continue;
        }
        let mut place = place.clone();
        if !["lib", "mod"].contains(&name.as_str()) {
            place.push(name.clone());
        }
        if path.is_dir() {
            read_sources(&path, &place, found);
        } else {
            found.insert(place, std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn no_two_modules_need_each_other() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../functions/bridge/src");
    let mut sources = BTreeMap::new();
    read_sources(&folder, &ModulePath::new(), &mut sources);
    let needs = needs(&sources);
    let message: ModulePath = ["domain", "message"].map(str::to_owned).to_vec();
    assert!(needs.get(&message).is_some_and(|needs| !needs.is_empty()));
    if let Some(circle) = circle(&needs) {
        panic!("{circle}");
    }
}

/// The needs of a library with these modules, as `a needs b`.
fn needs_of(modules: &[(&str, &str)]) -> Vec<String> {
    let sources = modules.iter().map(|(name, source)| {
        let names = name.split("::").filter(|name| !name.is_empty());
        (names.map(str::to_owned).collect(), (*source).to_owned())
    });
    let all = needs(&sources.collect());
    let pairs = all.iter().flat_map(|(from, needs)| {
        let to = needs.keys();
        to.map(|to| format!("{} needs {}", from.join("::"), to.join("::")))
    });
    pairs.collect()
}

#[test]
fn a_need_is_an_import_a_path_or_a_call_of_the_own_method() {
    let cases = [
        ("use crate::b::Thing;", true),
        ("use crate::{b::{self, Thing as Other}};", true),
        ("fn f() { crate::b::f(); }", true),
        ("use super::b; fn f() { b::f(); }", true),
        ("impl X { fn f(&self) { self.method(); } }", true),
        ("use crate::c::Thing;", true),
        ("pub use crate::b::Thing;", false),
        ("pub(crate) use crate::b::Thing;", false),
        ("mod b;", false),
        ("// use crate::b::Thing;", false),
        ("const TEXT: &str = \"crate::b::f()\";", false),
        ("const TEXT: &str = r#\"crate::b::f() \"#;", false),
        ("const QUOTE: char = '\"'; use other::b::Thing;", false),
        ("#[cfg(test)]\nmod tests { use crate::b::Thing; }", false),
    ];
    for (source, is_need) in cases {
        let needs = needs_of(&[
            ("", ""),
            ("a", source),
            ("b", "impl X { pub fn method(&mut self) {} }"),
            ("c", "pub use crate::b::Thing;"),
        ]);
        assert_eq!(needs == ["a needs b"], is_need, "{source}: {needs:?}");
    }
}

#[test]
fn a_parent_that_only_declares_and_re_exports_is_in_nobodys_way() {
    let parent = ("a", "mod one; mod two; pub use one::One; use two::Two;");
    let one = ("a::one", "pub struct One;");
    let two = ("a::two", "use super::One; pub struct Two;");
    let needs = needs_of(&[("", ""), parent, one, two]);
    assert_eq!(needs, ["a needs a::two", "a::two needs a::one"]);
}

#[test]
fn a_circle_is_found_through_any_number_of_modules() {
    let modules = |last: &str| {
        let sources = [
            ("a", "use crate::b::B;"),
            ("b", "use crate::c::C;"),
            ("c", last),
        ];
        let sources = sources.map(|(name, source)| (vec![name.to_owned()], source.to_owned()));
        circle(&needs(&sources.into_iter().collect()))
    };
    assert_eq!(modules(""), None);
    let found = modules("fn f() { crate::a::f(); }").unwrap();
    assert_eq!(found.lines().count(), 3, "{found}");
    assert!(found.contains("c needs a, because of `a::f`"));
}
