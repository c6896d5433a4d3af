//! Every name is the field's own word or plain English. Version 0.1 had words of its own for what
//! everybody who runs queues has a name for already; none of them names a type, a function, an event,
//! a metric, a parameter, a command or a heading again. `CHANGELOG.md` may say what was renamed.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::Command;

/// Words that no name has, and the words to use instead. The words of a name are compared: `*` is any ending, a
/// blank is between two words that follow each other.
const COINED: [(&[&str], &str); 14] = [
    (&["park*", "aside"], "dead-lettered, dead-letter queue"),
    (
        &["give back", "gives back", "given back"],
        "return for retry",
    ),
    (&["fuse*", "blow", "blows", "blown"], "recipient rate limit"),
    (&["told", "untold"], "reported, unreported"),
    (&["evidence", "adopt*"], "matching report, match, unmatched"),
    (&["lane", "lanes"], "exchange group, batch"),
    (&["suspect*", "witness*"], "candidate, control"),
    (&["journal*"], "event log"),
    (&["surroundings"], "environment, runtime"),
    (&["dice"], "random"),
    (&["fate", "fates"], "disposition"),
    (
        &["heed*", "insist*"],
        "record outcome, retry until deadline",
    ),
    (&["scene", "scenes"], "scenario"),
    (&["works on"], "grace"),
];

/// The same for words that are coined only as names: in a test's name, which is a sentence, they are
/// plain English.
const COINED_AS_NAMES: [(&[&str], &str); 6] = [
    (&["hide", "hides"], "change visibility"),
    (&["held"], "circuit breaker open"),
    (&["doubt", "doubts", "doubted"], "in doubt, outcome unknown"),
    (&["nobody*"], "unmatched"),
    (&["letter", "letters"], "message"),
    (&["look", "looks", "looked", "watch*"], "check, monitor"),
];

/// A name of more words is a sentence.
const WORDS_OF_A_NAME: usize = 3;

/// Where a word is the field's own: after the word before the blank.
const FINE: [&str; 5] = [
    "in doubt",
    "dead letter",
    "dead letters",
    "cloud watch",
    // A status on which Medic fails: no message goes anywhere.
    "set aside",
];

/// Names that others chose, by the end of their path.
const NOT_OURS: [&str; 5] = [
    "CHANGELOG.md",
    "Cargo.lock",
    "package-lock.json",
    "LICENSE",
    // Itself.
    "tests/words.rs",
];

#[test]
fn no_name_is_a_word_that_only_version_0_1_knew() {
    let mut found = Vec::new();
    for path in tracked_files() {
        if NOT_OURS.iter().any(|end| path.ends_with(end)) || path.contains("/vendor/") {
            continue;
        }
        found.extend(banned_in(&path).map(|instead| format!("{path}: its path; say {instead}")));
        // A picture has no names.
        let Ok(text) = fs::read_to_string(root().join(&path)) else {
            continue;
        };
        for (number, line) in (1..).zip(text.lines()) {
            for name in names(&path, line) {
                let instead = banned_in(name);
                found.extend(instead.map(|it| format!("{path}:{number}: {name}; say {it}")));
            }
        }
    }
    assert!(found.is_empty(), "{}:\n{}", found.len(), found.join("\n"));
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn tracked_files() -> Vec<String> {
    let mut git = Command::new("git");
    let output = git.arg("ls-files").current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let files = String::from_utf8(output.stdout).unwrap();
    files.lines().map(str::to_owned).collect()
}

/// The word to use instead of the first banned word of a name.
fn banned_in(name: &str) -> Option<&'static str> {
    let words = words(name);
    let pair_at = |at: usize| words.get(at..at + 2).map(|pair| pair.join(" "));
    let is_fine = |pair: &String| FINE.contains(&pair.as_str());
    let mut said: Vec<String> = (0..words.len()).filter_map(pair_at).collect();
    for (at, word) in words.iter().enumerate() {
        let before = at.checked_sub(1).and_then(pair_at);
        if !before.is_some_and(|pair| is_fine(&pair)) {
            said.push(word.clone());
        }
    }
    let is_said = |banned: &&str| match banned.strip_suffix('*') {
        Some(begin) => said
            .iter()
            .any(|word| word.starts_with(begin) && !word.contains(' ')),
        None => said.iter().any(|word| word == banned),
    };
    let is_sentence = words.len() > WORDS_OF_A_NAME;
    let as_names = COINED_AS_NAMES.iter().filter(|_| !is_sentence);
    let mut banned = COINED.iter().chain(as_names);
    let found = banned.find(|(coined, _)| coined.iter().any(is_said));
    found.map(|(_, instead)| *instead)
}

/// The words of `snake_case`, `kebab-case`, `CamelCase` and plain text, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut spaced = String::new();
    let mut before = ' ';
    for character in name.chars() {
        if character.is_uppercase() && before.is_lowercase() {
            spaced.push(' ');
        }
        let is_part = character.is_alphanumeric();
        spaced.push(if is_part { character } else { ' ' });
        before = character;
    }
    let words = spaced.split_whitespace();
    words.map(str::to_lowercase).collect()
}

/// The names that a line gives to things, and those under which it speaks of them to others.
fn names<'a>(path: &str, line: &'a str) -> Vec<&'a str> {
    let line = line.trim();
    let ending = path.rsplit('.').next().unwrap_or_default();
    match ending {
        "md" => names_in_markdown(line),
        "rs" if line.starts_with("//") => Vec::new(),
        "yaml" | "yml" | "toml" if line.starts_with('#') => Vec::new(),
        _ => {
            let mut names = definitions(line);
            names.extend(key(line));
            names.extend(quoted(line));
            names
        }
    }
}

/// A heading, and what stands between backticks: names and commands.
fn names_in_markdown(line: &str) -> Vec<&str> {
    match line.starts_with('#') {
        true => vec![line],
        false => line.split('`').skip(1).step_by(2).collect(),
    }
}

/// The names that are defined by a keyword of Rust or JavaScript.
fn definitions(line: &str) -> Vec<&str> {
    const KEYWORDS: [&str; 11] = [
        "fn",
        "struct",
        "enum",
        "trait",
        "type",
        "const",
        "static",
        "mod",
        "class",
        "function",
        "macro_rules!",
    ];
    let code = line.split(" // ").next().unwrap_or(line);
    let pairs = code.split_whitespace().zip(code.split_whitespace().skip(1));
    let names = pairs.filter(|(keyword, _)| KEYWORDS.contains(keyword));
    names.filter_map(|(_, name)| identifier(name)).collect()
}

/// A field, a variant, or a key of a file of configuration, which the line begins with; and its value
/// if that is one name, too.
fn key(line: &str) -> Vec<&str> {
    let line = line.strip_prefix("- ").unwrap_or(line);
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let Some(name) = identifier(line) else {
        return Vec::new();
    };
    let rest = line[name.len()..].trim_start();
    let is_variant = name.starts_with(char::is_uppercase) && rest.starts_with([',', '(', '{']);
    let is_field = rest.starts_with(':') && !rest.starts_with("::") || rest.starts_with("= ");
    let value = rest.trim_start_matches([':', '=', ' ']);
    match (is_variant, is_field) {
        (_, true) if identifier(value) == Some(value) => vec![name, value],
        (true, _) | (_, true) => vec![name],
        (false, false) => Vec::new(),
    }
}

/// The texts between quotes that are one name.
fn quoted(line: &str) -> Vec<&str> {
    let quoted = ['"', '\'']
        .into_iter()
        .flat_map(|quote| line.split(quote).skip(1).step_by(2));
    quoted
        .filter(|text| identifier(text) == Some(*text))
        .collect()
}

/// The name at the begin of a text.
fn identifier(text: &str) -> Option<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let name = &text[..end];
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        .then_some(name)
}

#[test]
fn a_name_is_compared_word_by_word() {
    for banned in [
        "HeldUntil",
        "ParkedQueue",
        "is_parked",
        "park",
        "TOLD_MS",
        "medic-works-on",
        "a letter",
    ] {
        assert!(banned_in(banned).is_some(), "{banned}");
    }
    for fine in [
        "spark",
        "in_doubt",
        "DeadLetter",
        "dead-letters",
        "refuse",
        "Scenario",
        "outlook",
        "CloudWatchMetrics",
        "no_letter_is_cut_in_two",
    ] {
        assert!(banned_in(fine).is_none(), "{fine}");
    }
}

#[test]
fn names_are_found_where_things_get_them() {
    let found = |path, line| names(path, line).join(" ");
    assert_eq!(
        found("a.rs", "    pub fn give_back(self) -> u8 {"),
        "give_back"
    );
    assert_eq!(found("a.rs", "    Parked(u8),"), "Parked");
    assert_eq!(found("a.rs", "    pub told_ms: i64,"), "told_ms");
    assert_eq!(
        found("a.rs", "    let told = untold(\"sms_parked\");"),
        "sms_parked"
    );
    assert_eq!(found("a.rs", "    // `parked` is said in a comment"), "");
    assert_eq!(
        found("a.yaml", "      MetricName: Parked"),
        "MetricName Parked"
    );
    assert_eq!(found("a.yaml", "  FuseSameTextADay:"), "FuseSameTextADay");
    assert_eq!(found("a.md", "## What was parked"), "## What was parked");
    assert_eq!(
        found("a.md", "run `cargo ops parked list`, told or not"),
        "cargo ops parked list"
    );
}
