//! The documents of the bundle: its own, and those of the project that its reader needs.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::{OPERATOR_IN_BUNDLE, VERSION, repository};

/// What only the bundle has, and what it is called there.
const OWN: [(&str, &str); 2] = [
    ("README.md", include_str!("../content/README.md")),
    ("samconfig.toml", include_str!("../content/samconfig.toml")),
];

/// Files of the project, and what they are called in the bundle.
const COPIED: [(&str, &str); 4] = [
    ("infra/README.md", "CONFIGURATION.md"),
    ("infra/RUNBOOK.md", "RUNBOOK.md"),
    ("infra/SECURITY.md", "SECURITY.md"),
    ("CHANGELOG.md", "CHANGELOG.md"),
];

/// Where a link in one of these leads, if it leads to another file of the bundle.
const LINKED: [(&str, &str); 8] = [
    ("../CHANGELOG.md", "CHANGELOG.md"),
    ("infra/README.md", "CONFIGURATION.md"),
    ("README.md", "CONFIGURATION.md"),
    ("infra/RUNBOOK.md", "RUNBOOK.md"),
    ("RUNBOOK.md", "RUNBOOK.md"),
    ("infra/SECURITY.md", "SECURITY.md"),
    ("SECURITY.md", "SECURITY.md"),
    ("template.yaml", "template.yaml"),
];

/// Writes all documents.
///
/// # Errors
/// When a file cannot be read or written.
pub fn write(bundle: &Path) -> anyhow::Result<()> {
    for (name, text) in OWN {
        fs::write(bundle.join(name), text.replace("VERSION", VERSION))?;
    }
    for (source, name) in COPIED {
        let text = fs::read_to_string(repository().join(source))
            .with_context(|| format!("cannot read {source}"))?;
        fs::write(
            bundle.join(name),
            linked_in_the_bundle(&for_the_bundle(&text)),
        )?;
    }
    fs::copy(repository().join("LICENSE"), bundle.join("LICENSE"))?;
    Ok(())
}

/// A text that calls the operator's program by its name in the bundle.
pub fn for_the_bundle(text: &str) -> String {
    text.replace("cargo ops", OPERATOR_IN_BUNDLE)
}

/// A document with links to files of the bundle, and with plain words in the place of other links to files.
fn linked_in_the_bundle(document: &str) -> String {
    let mut linked = String::new();
    let mut rest = document;
    while let Some((before, words, target, after)) = next_link(rest) {
        linked.push_str(before);
        let (file, place) = target
            .split_once('#')
            .map_or((target, None), |(file, place)| (file, Some(place)));
        let place = place.map(|place| format!("#{place}")).unwrap_or_default();
        let elsewhere = LINKED.iter().find(|(source, _)| *source == file);
        match elsewhere {
            Some((_, name)) => linked.push_str(&format!("[{words}]({name}{place})")),
            None if file.is_empty() || file.contains("://") => {
                linked.push_str(&format!("[{words}]({target})"));
            }
            None => linked.push_str(words),
        }
        rest = after;
    }
    linked + rest
}

/// The first link: what is before it, its words, its target, and what is after it.
fn next_link(text: &str) -> Option<(&str, &str, &str, &str)> {
    let (head, tail) = text.split_once("](")?;
    let (target, after) = tail.split_once(')')?;
    let (before, words) = head.rsplit_once('[')?;
    Some((before, words, target, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_a_file_of_the_bundle_or_is_plain_words() {
        let document = "a [runbook](RUNBOOK.md#deploying), [cdk](cdk), [below](#below), [AWS](https://aws.amazon.com) b";
        let expected = "a [runbook](RUNBOOK.md#deploying), cdk, [below](#below), [AWS](https://aws.amazon.com) b";
        assert_eq!(linked_in_the_bundle(document), expected);
    }

    #[test]
    fn no_document_of_the_bundle_links_to_a_file_that_is_not_there() {
        let folder = std::env::temp_dir().join(format!("bundle-documents-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        write(&folder).unwrap();
        fs::write(folder.join("template.yaml"), "").unwrap();
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let mut rest = text.as_str();
            while let Some((_, _, target, after)) = next_link(rest) {
                let file = target.split('#').next().unwrap_or_default();
                let is_there =
                    file.is_empty() || file.contains("://") || folder.join(file).is_file();
                assert!(is_there, "{}: {target}", path.display());
                rest = after;
            }
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
