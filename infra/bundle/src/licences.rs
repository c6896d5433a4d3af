//! The licences of everything that is compiled into the programs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use spdx::{Expression, ParseMode};

use crate::processor::Processor;
use crate::{FUNCTIONS, OPERATOR, VERSION, repository};

/// How the files with a licence's text begin, in capitals.
const LICENCE_FILES: [&str; 6] = [
    "LICENSE",
    "LICENCE",
    "COPYING",
    "COPYRIGHT",
    "NOTICE",
    "UNLICENSE",
];

/// The standard library is in every program, and in no list of cargo's.
const STANDARD_LIBRARY: (&str, &str, &str) = (
    "Rust's standard library",
    "MIT OR Apache-2.0",
    "https://github.com/rust-lang/rust",
);

/// What `cargo metadata` says, as far as it is needed.
#[derive(Deserialize)]
struct CargoMetadata {
    packages: Vec<CargoPackage>,
    resolve: Resolved,
}

#[derive(Deserialize)]
struct CargoPackage {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    repository: Option<String>,
    /// None for packages of this workspace.
    source: Option<String>,
    manifest_path: PathBuf,
    targets: Vec<CargoTarget>,
}

#[derive(Deserialize)]
struct CargoTarget {
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Resolved {
    nodes: Vec<ResolvedPackage>,
}

#[derive(Deserialize)]
struct ResolvedPackage {
    id: String,
    deps: Vec<ResolvedDependency>,
}

#[derive(Deserialize)]
struct ResolvedDependency {
    pkg: String,
    dep_kinds: Vec<DependencyUse>,
}

#[derive(Deserialize)]
struct DependencyUse {
    /// None for what is compiled into the program, else `dev` or `build`.
    kind: Option<String>,
}

/// A package that is in a program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ShippedPackage {
    name: String,
    version: String,
    licence: String,
    repository: String,
    folder: PathBuf,
}

/// Writes down each package with its licence, and each licence's text once.
///
/// # Errors
/// When cargo cannot say what is in the programs, or a package names no licence.
pub fn of_programs(processors: &[Processor]) -> anyhow::Result<String> {
    let mut packages = BTreeSet::new();
    for processor in processors {
        packages.extend(shipped(&metadata(*processor)?)?);
    }
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut list = String::new();
    for package in &packages {
        let ShippedPackage {
            name,
            version,
            licence,
            repository,
            ..
        } = package;
        writeln!(list, "{name} {version}: {licence}, {repository}")?;
        for text in texts_of(package)? {
            texts
                .entry(text)
                .or_default()
                .push(format!("{name} {version}"));
        }
    }
    let (library, licence, source) = STANDARD_LIBRARY;
    writeln!(list, "{library}: {licence}, {source}")?;
    for text in standard_texts(licence)? {
        texts.entry(text).or_default().push(library.to_owned());
    }
    let mut licences = format!(
        "cht-africastalking {VERSION} is under the Apache License 2.0, which is in the file LICENSE.\n\
         What follows is compiled into its programs. The texts of the licences come after the list.\n\n{list}"
    );
    for (text, users) in texts {
        let rule = "-".repeat(100);
        write!(licences, "\n{rule}\nFor {}:\n\n{text}\n", users.join(", "))?;
    }
    Ok(licences)
}

fn metadata(processor: Processor) -> anyhow::Result<CargoMetadata> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(repository())
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--filter-platform",
        ])
        .arg(processor.target())
        .output()
        .context("cannot run cargo")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`cargo metadata` failed: {errors}");
    serde_json::from_slice(&output.stdout).context("cannot read what `cargo metadata` says")
}

/// The packages of others that are compiled into the programs: what a program depends on, what that depends on, and so
/// forth, without what only builds or tests. Macros run in the compiler and are in no program.
fn shipped(metadata: &CargoMetadata) -> anyhow::Result<Vec<ShippedPackage>> {
    let by_id: BTreeMap<&str, &CargoPackage> = metadata
        .packages
        .iter()
        .map(|package| (package.id.as_str(), package))
        .collect();
    let nodes = metadata.resolve.nodes.iter();
    let dependencies: BTreeMap<&str, &[ResolvedDependency]> = nodes
        .map(|node| (node.id.as_str(), node.deps.as_slice()))
        .collect();
    let programs = FUNCTIONS.into_iter().chain([OPERATOR]);
    let mut waiting = VecDeque::new();
    for program in programs {
        let mut ours = metadata
            .packages
            .iter()
            .filter(|package| package.source.is_none());
        let package = ours.find(|package| package.name == program);
        waiting.push_back(
            package
                .with_context(|| format!("no package {program}"))?
                .id
                .as_str(),
        );
    }
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    while let Some(id) = waiting.pop_front() {
        let package = by_id.get(id).with_context(|| format!("no package {id}"))?;
        let is_macro = |target: &CargoTarget| target.kind.iter().any(|kind| kind == "proc-macro");
        if !seen.insert(id) || package.targets.iter().any(is_macro) {
            continue;
        }
        let needed = dependencies.get(id).copied().unwrap_or_default().iter();
        let compiled_in = needed.filter(|it| it.dep_kinds.iter().any(|used| used.kind.is_none()));
        waiting.extend(compiled_in.map(|it| it.pkg.as_str()));
        if package.source.is_some() {
            found.push(as_shipped(package)?);
        }
    }
    Ok(found)
}

fn as_shipped(package: &CargoPackage) -> anyhow::Result<ShippedPackage> {
    let name = &package.name;
    let licence = package.license.as_ref();
    let folder = package.manifest_path.parent();
    Ok(ShippedPackage {
        name: name.clone(),
        version: package.version.clone(),
        licence: licence
            .with_context(|| format!("{name} names no licence"))?
            .clone(),
        repository: package
            .repository
            .clone()
            .unwrap_or_else(|| format!("https://crates.io/crates/{name}")),
        folder: folder.context("a manifest without a folder")?.to_owned(),
    })
}

/// The texts that a package brings; if it brings none, those of the licences that it names.
fn texts_of(package: &ShippedPackage) -> anyhow::Result<Vec<String>> {
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(&package.folder)? {
        let path = entry?.path();
        if path.is_file() && is_licence_file(&path) {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return standard_texts(&package.licence);
    }
    let read = |file: &PathBuf| {
        let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(without_blanks(&String::from_utf8_lossy(&bytes)))
    };
    files.iter().map(read).collect()
}

fn is_licence_file(path: &Path) -> bool {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_ascii_uppercase();
    let is_source = path.extension().is_some_and(|extension| extension == "rs");
    !is_source && LICENCE_FILES.iter().any(|begin| name.starts_with(begin))
}

/// A text without blanks at the ends of its lines, so that equal texts are equal.
fn without_blanks(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

/// The texts of the licences in an expression such as `MIT OR Apache-2.0`.
fn standard_texts(expression: &str) -> anyhow::Result<Vec<String>> {
    let expression = Expression::parse_mode(expression, ParseMode::LAX)
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let ids = expression
        .requirements()
        .filter_map(|it| it.req.license.id());
    Ok(ids.map(|id| without_blanks(id.text())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_in_a_program_is_named_and_what_only_tests_or_builds_is_not() {
        let licences = of_programs(&[Processor::X86]).unwrap();
        let names = |name: &str| {
            licences
                .lines()
                .any(|line| line.starts_with(&format!("{name} ")))
        };
        for shipped in [
            "aws-sdk-sqs",
            "rustls",
            "ring",
            "tokio",
            "clap",
            "rpassword",
        ] {
            assert!(names(shipped), "{shipped} is missing");
        }
        for other in ["proptest", "axum", "cc", "serde_derive", "bridge"] {
            assert!(!names(other), "{other} is in no program");
        }
        assert!(licences.contains("Rust's standard library: MIT OR Apache-2.0"));
        assert!(licences.contains("Permission is hereby granted, free of charge"));
        assert!(licences.contains("TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION"));
    }

    #[test]
    fn a_package_without_a_licences_text_gets_the_standard_one_of_each_licence() {
        let texts = standard_texts("MIT/Apache-2.0").unwrap();
        assert_eq!(texts.len(), 2, "{texts:?}");
        assert!(standard_texts("no licence at all").is_err());
    }
}
