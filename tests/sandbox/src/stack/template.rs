//! Transforms the template as SAM does, and checks it without AWS.

mod cdk;
mod decided;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::{sam_environment, work_folder};
use crate::tools::{Tool, repository};

pub use cdk::{synthesise, test_construct};

/// The template that is deployed.
#[must_use]
pub fn file() -> PathBuf {
    repository().join("infra/template.yaml")
}

/// Turns a template into plain CloudFormation with SAM's transform. The tools have to be installed.
///
/// # Errors
/// With the transform's output, when it refuses the template.
pub fn transformed(template: &Path) -> anyhow::Result<Value> {
    let mut command = Command::new(Tool::Emulator.python());
    command
        .args(["-c", include_str!("transform.py")])
        .arg(template);
    let output = run(&mut command, "SAM's transform")?;
    serde_json::from_slice(&output).context("SAM's transform did not give JSON")
}

/// Runs `sam validate --lint`. The tools have to be installed.
///
/// # Errors
/// With the problems that it has found.
pub fn validate(template: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(Tool::Sam.python());
    command
        .args(["-m", "samcli", "validate", "--lint", "--template-file"])
        .arg(template);
    run(&mut command, "sam validate --lint").map(drop)
}

/// Runs `cfn-lint` on the transformed template, where it finds more than in the template itself. The tools
/// have to be installed.
///
/// # Errors
/// With the problems that it has found.
pub fn lint_transformed(template: &Path) -> anyhow::Result<()> {
    lint_transformed_without(&[], template)
}

/// As [`lint_transformed`], without some of the rules.
fn lint_transformed_without(rules: &[&str], template: &Path) -> anyhow::Result<()> {
    on_transformed(template, |file| {
        let mut command = Command::new(Tool::Sam.python());
        command.args(["-m", "cfnlint.runner.cli"]);
        for rule in rules {
            command.args(["--ignore-checks", rule]);
        }
        command.args(["--regions", super::aws::REGION, "--"]);
        run(command.arg(file), "cfn-lint on the transformed template")
    })
}

/// Runs `checkov` on the transformed template, without the checks that `infra/checkov.yaml` excludes. The
/// linters have to be installed.
///
/// # Errors
/// With the problems that it has found.
pub fn check_security(template: &Path) -> anyhow::Result<()> {
    on_transformed(template, |file| {
        let mut command = Command::new(Tool::Checkov.python());
        command.args(["-m", "checkov.main", "--config-file"]);
        command.arg(repository().join("infra/checkov.yaml"));
        run(
            command.arg("--file").arg(file),
            "checkov on the transformed template",
        )
    })
}

/// Transforms a template into a file and checks that. If the check fails, the file stays, so that somebody
/// can read it.
fn on_transformed(
    template: &Path,
    check: impl FnOnce(&Path) -> anyhow::Result<Vec<u8>>,
) -> anyhow::Result<()> {
    let folder = work_folder();
    std::fs::create_dir_all(&folder)?;
    let file = folder.join(format!("transformed-{}.json", std::process::id()));
    std::fs::write(&file, format!("{:#}", transformed(template)?))?;
    check(&file)?;
    std::fs::remove_file(&file)?;
    Ok(())
}

pub(crate) fn run(command: &mut Command, what: &str) -> anyhow::Result<Vec<u8>> {
    let output = command
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .envs(sam_environment())
        .output()
        .with_context(|| format!("cannot run {what}; are the tools installed?"))?;
    ensure!(
        output.status.success(),
        "{what} failed:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}
