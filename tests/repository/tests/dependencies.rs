//! The dependencies keep to `deny.toml`, as far as that can be seen without `cargo deny` and without
//! the network: their licences, the crates that are banned, and where they come from.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::{Command, Output};

use serde::Deserialize;
use spdx::{Expression, ParseMode};

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

#[derive(Deserialize)]
struct Rules {
    licenses: Licences,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licences {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Banned>,
}

#[derive(Deserialize)]
struct Banned {
    name: String,
    reason: String,
}

/// Every package that `Cargo.lock` names.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    license: Option<String>,
    source: Option<String>,
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn rules() -> Rules {
    toml::from_str(&std::fs::read_to_string(root().join("deny.toml")).unwrap()).unwrap()
}

/// Runs cargo, which asks the network only for packages that were never downloaded: those of other
/// platforms.
fn cargo(arguments: &[&str]) -> Output {
    let cargo = Command::new(env!("CARGO"))
        .args(arguments)
        .arg("--locked")
        .current_dir(root())
        .output();
    cargo.unwrap()
}

fn metadata() -> Metadata {
    let output = cargo(&["metadata", "--format-version", "1"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata fails: {errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_licence_is_allowed() {
    let allowed = rules().licenses.allow;
    let is_allowed = |package: &Package| {
        let licence = package.license.as_deref().unwrap_or_default();
        Expression::parse_mode(licence, ParseMode::LAX).is_ok_and(|licence| {
            licence.evaluate(|required| allowed.contains(&required.license.to_string()))
        })
    };
    let mut refused = metadata().packages;
    refused.retain(|package| !is_allowed(package));
    let refused: Vec<_> = refused.iter().map(|p| (&p.name, &p.license)).collect();
    assert!(refused.is_empty(), "not in deny.toml: {refused:?}");
}

#[test]
fn no_banned_crate_is_used() {
    let tree = ["tree", "--workspace", "--target", "all", "--edges", "all"];
    for Banned { name, reason } in rules().bans.deny {
        // Cargo.lock may name a crate that no feature in use brings; the tree has none of those.
        let output = cargo(&[tree.as_slice(), &["--invert", &name]].concat());
        let errors = String::from_utf8_lossy(&output.stderr);
        let is_known = output.status.success() || errors.contains("did not match any packages");
        assert!(is_known, "cargo tree fails: {errors}");
        let users = String::from_utf8_lossy(&output.stdout);
        assert!(users.is_empty(), "{name} is banned: {reason}\n{users}");
    }
}

#[test]
fn every_dependency_comes_from_crates_io() {
    let metadata = metadata();
    for Package {
        id, name, source, ..
    } in &metadata.packages
    {
        match source {
            Some(source) => assert_eq!(source, CRATES_IO, "{name}"),
            None => assert!(metadata.workspace_members.contains(id), "{name}"),
        }
    }
}
