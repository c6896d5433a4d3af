//! Compiles the five functions, and puts their programs where SAM expects them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::UNIX_EPOCH;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::work_folder;
use crate::tools::repository;

/// Their packages, which are also the names of their programs.
pub const FUNCTIONS: [&str; 5] = [
    "incoming-messages",
    "delivery-reports",
    "report-recorder",
    "outbound-sender",
    "medic-exchange",
];

/// Cargo sets these for the programs that it runs. Another cargo that inherited them would compile
/// everything again.
const CARGO_OWN_VARIABLES: [&str; 6] = [
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "CARGO_BIN_",
    "CARGO_CRATE_",
    "CARGO_PRIMARY_",
    "CARGO_TARGET_TMPDIR",
];

/// Compiles the functions of a template without optimisation, and lays them out with [`lay_out_template`] in
/// the folder of the tests. It blocks, the first time for several minutes.
///
/// # Errors
/// When something does not compile.
pub fn build_template(template: &str, functions: &[&str]) -> anyhow::Result<PathBuf> {
    let programs = compile("dev", functions)?;
    lay_out_template(&work_folder().join("deployment"), template, &programs)
}

/// Puts a copy of a template into a folder, and the programs in the place of their sources: `../functions/NAME`,
/// seen from the template. The template is named by its path in the repository. Returns the path of the
/// copy, which is deployed as it is.
///
/// # Errors
/// When a file cannot be read or written.
pub fn lay_out_template(
    folder: &Path,
    template: &str,
    programs: &[(String, PathBuf)],
) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let lock = File::create(folder.join("lock")).context("cannot lock the deployment folder")?;
    // Another test may be doing the same. The lock is released when the file is closed.
    lock.lock().context("cannot lock the deployment folder")?;
    let original = fs::read(repository().join(template))?;
    let template = folder.join(template);
    let beside = template.parent().context("a template is in a folder")?;
    fs::create_dir_all(beside)?;
    for (name, program) in programs {
        lay_out(program, &beside.join("../functions").join(name))
            .with_context(|| format!("cannot lay out {name}"))?;
    }
    if !fs::read(&template).is_ok_and(|copy| copy == original) {
        let new = folder.join("template.new");
        fs::write(&new, original)?;
        fs::rename(new, &template)?;
    }
    Ok(template)
}

/// The program of a function, as it is deployed. It exists after [`super::prepare`].
#[must_use]
pub fn program(function: &str) -> PathBuf {
    let functions = work_folder().join("deployment/functions");
    functions.join(function).join("bootstrap")
}

/// Compiles the programs of these packages with a cargo profile, and returns the name and path of each. It
/// blocks.
///
/// # Errors
/// When something does not compile.
pub fn compile(profile: &str, names: &[&str]) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(repository())
        .args(["build", "--profile", profile])
        .arg("--message-format=json-render-diagnostics")
        .args(names.iter().flat_map(|name| ["--package", name]))
        .stdin(Stdio::null())
        // The progress that cargo prints goes to our own standard error.
        .stderr(Stdio::inherit());
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if CARGO_OWN_VARIABLES
            .iter()
            .any(|own| name_text.starts_with(own))
        {
            command.env_remove(&name);
        }
    }
    let output = command.output().context("cannot run cargo")?;
    ensure!(
        output.status.success(),
        "{} do not compile",
        names.join(", ")
    );
    let programs: Vec<_> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| built_program(&serde_json::from_str(line).ok()?, names))
        .collect();
    for name in names {
        ensure!(
            programs.iter().any(|(program, _)| program == name),
            "cargo has built no program {name}"
        );
    }
    Ok(programs)
}

/// The name and path of the program that this message of cargo reports as built, if it is one of these.
fn built_program(message: &Value, names: &[&str]) -> Option<(String, PathBuf)> {
    let path = message.get("executable")?.as_str()?;
    let name = message.pointer("/target/name")?.as_str()?;
    names
        .contains(&name)
        .then(|| (name.to_owned(), PathBuf::from(path)))
}

/// Copies a program into a folder as `bootstrap`, without debug information, unless it is there already.
pub(super) fn lay_out(program: &Path, folder: &Path) -> anyhow::Result<()> {
    let source = fs::metadata(program)?;
    let changed = source.modified()?.duration_since(UNIX_EPOCH)?;
    let stamp = format!("{} {}", changed.as_nanos(), source.len());
    // It is beside the folder, because everything in the folder goes into the package.
    let stamp_file = folder.with_extension("stamp");
    let bootstrap = folder.join("bootstrap");
    if bootstrap.exists() && fs::read_to_string(&stamp_file).is_ok_and(|found| found == stamp) {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    let new = folder.with_extension("new");
    let stripped = Command::new("strip")
        .arg("-o")
        .arg(&new)
        .arg(program)
        .output();
    if !stripped.is_ok_and(|output| output.status.success()) {
        // Without `strip`, the program is only larger.
        fs::copy(program, &new)?;
    }
    // A deployment that reads meanwhile gets the whole old program or the whole new one.
    fs::rename(&new, &bootstrap)?;
    fs::write(&stamp_file, stamp)?;
    Ok(())
}
