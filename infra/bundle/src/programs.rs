//! The five functions and the operator's program: compiles them, and packs them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::processor::Processor;
use crate::{FUNCTIONS, OPERATOR, OPERATOR_IN_BUNDLE, repository};

/// What Lambda runs of a package.
const BOOTSTRAP: &str = "bootstrap";

/// For a file that is run, and for one that is read.
const EXECUTABLE: u32 = 0o755;

/// Compiles all programs as a release, and returns the folder with `NAME/bootstrap` for each.
///
/// The operator's program is compiled in the same way, so that it needs no newer C library than Amazon Linux 2023 has.
///
/// # Errors
/// When cargo-lambda is missing, or something does not compile.
pub fn build(processor: Processor) -> anyhow::Result<PathBuf> {
    let folder = repository()
        .join("target/bundle-programs")
        .join(processor.name());
    compile(&FUNCTIONS, processor, &folder)?;
    // By itself: else the functions would get the features of libraries that only this one needs.
    compile(&[OPERATOR], processor, &folder)?;
    Ok(folder)
}

fn compile(names: &[&str], processor: Processor, folder: &Path) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(repository())
        .args(["lambda", "build", "--release", "--locked", "--lambda-dir"])
        .arg(folder);
    if processor == Processor::Arm64 {
        command.arg("--arm64");
    }
    command.args(
        names
            .iter()
            .flat_map(|name| ["--package", name, "--bin", name]),
    );
    let status = command.status().context("cannot run cargo")?;
    ensure!(
        status.success(),
        "`cargo lambda build` failed; if there is no such command, `pipx install cargo-lambda` installs it"
    );
    Ok(())
}

/// Puts the functions' packages and the operator's program into the bundle.
///
/// # Errors
/// When a program is missing, or was built for another processor.
pub fn pack(
    programs: &Path,
    processor: Processor,
    is_first: bool,
    bundle: &Path,
) -> anyhow::Result<()> {
    let packages = bundle.join("functions").join(processor.name());
    fs::create_dir_all(&packages)?;
    for function in FUNCTIONS {
        let program = programs.join(function).join(BOOTSTRAP);
        processor.check(&program)?;
        zip_program(&program, &packages.join(format!("{function}.zip")))
            .with_context(|| format!("cannot pack {function}"))?;
    }
    let program = programs.join(OPERATOR).join(BOOTSTRAP);
    processor.check(&program)?;
    let name = match is_first {
        true => OPERATOR_IN_BUNDLE.to_owned(),
        false => format!("{OPERATOR_IN_BUNDLE}-{processor}"),
    };
    fs::copy(&program, bundle.join(name)).context("cannot copy the operator's program")?;
    Ok(())
}

/// A package for Lambda. It has the same bytes whenever and wherever it is made.
fn zip_program(program: &Path, package: &Path) -> anyhow::Result<()> {
    let mut zip = ZipWriter::new(File::create(package)?);
    let options = SimpleFileOptions::default()
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(EXECUTABLE);
    zip.start_file(BOOTSTRAP, options)?;
    std::io::copy(&mut File::open(program)?, &mut zip)?;
    zip.finish()?;
    Ok(())
}
