//! The CDK application, which includes the template.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::{file, run, transformed};
use crate::stack::{FUNCTIONS, work_folder};
use crate::tools::repository;

/// The stack's name in the CDK application.
const STACK: &str = "cht-africastalking";

/// The parameter that CDK adds to every template: the version of its own set-up of the account.
const OF_CDK: &str = "BootstrapVersion";

/// Synthesises the CDK application with the packages that its lock file pins, and checks that it describes
/// the same system as the template. Needs Node.js 20 or newer with `npm`. It blocks.
///
/// # Errors
/// With the output of `npm` or `cdk` when they fail, or with the difference.
pub fn synthesise() -> anyhow::Result<()> {
    let application = repository().join("infra/cdk");
    install(&application)?;
    let folder = work_folder().join("cdk");
    let functions = folder.join("functions");
    for function in FUNCTIONS {
        // CDK only needs the folders of the packages, and does not read what is in them.
        fs::create_dir_all(functions.join(function))?;
        fs::write(functions.join(function).join("bootstrap"), function)?;
    }
    let context = format!("functions={}", functions.display());
    let output = folder.join("out");
    let mut command = Command::new("node");
    command.arg(application.join("node_modules/aws-cdk/bin/cdk"));
    command.args(["synth", "--quiet", "--no-notices", "--context", &context]);
    command.arg("--output").arg(&output);
    run(command.current_dir(&application), "cdk synth")?;
    let synthesised = output.join(format!("{STACK}.template.json"));
    is_the_same(&transformed(&file())?, &transformed(&synthesised)?)
}

/// Installs the packages that the lock file pins, unless they are installed already.
fn install(application: &Path) -> anyhow::Result<()> {
    let lock = fs::read(application.join("package-lock.json"))?;
    let stamp: PathBuf = application.join("node_modules/installed");
    // The stamp is written last, so an interrupted installation has none.
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    let mut command = Command::new("npm");
    command.args(["ci", "--no-audit", "--no-fund"]);
    run(
        command.current_dir(application),
        "npm ci in infra/cdk (Node.js 20 or newer)",
    )?;
    fs::write(&stamp, lock).context("cannot write the stamp of the packages")
}

/// Checks that the synthesised template has every section of the template, and nothing more than CDK adds.
/// Only the places of the functions' packages differ.
fn is_the_same(template: &Value, synthesised: &Value) -> anyhow::Result<()> {
    for section in ["Parameters", "Conditions", "Resources", "Outputs"] {
        let (ours, theirs) = (&template[section], &synthesised[section]);
        let names = |section: &Value| -> Vec<String> {
            let section = section.as_object().map(|section| section.keys().cloned());
            section.into_iter().flatten().collect()
        };
        for name in names(ours) {
            let same = ours[&name] == theirs[&name];
            ensure!(same, "CDK makes another {name} of it: {}", theirs[&name]);
        }
        let mut added = names(theirs);
        added.retain(|name| ours.get(name).is_none() && name != OF_CDK);
        ensure!(added.is_empty(), "CDK adds {added:?} to the {section}");
    }
    Ok(())
}
