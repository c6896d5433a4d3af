//! The programs of both stacks, where their templates expect them.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use sandbox::stack::{self, BRIDGE_TEMPLATE, FUNCTIONS};
use sandbox::tools::{self, repository};

use crate::lambda::programs;

/// The template of the two ends.
const ENDS_TEMPLATE: &str = "tests/load/ends/template.yaml";

/// The program of the two ends.
const ENDS: &str = "ends";

/// What can be deployed.
#[derive(Clone, Debug)]
pub struct Deployables {
    /// The template of the bridge.
    pub bridge: PathBuf,
    /// The template of the ends.
    pub ends: PathBuf,
    /// A folder with the bridge's programs, which run on this machine.
    pub native: PathBuf,
}

/// Compiles everything. It blocks, the first time for several minutes. An emulator runs the functions on this
/// machine, so any program does; AWS gets the release, built for Amazon Linux.
///
/// # Errors
/// When something does not compile, or a tool is missing.
pub fn build(for_emulator: bool) -> anyhow::Result<Deployables> {
    tools::install()?;
    if for_emulator {
        return Ok(Deployables {
            bridge: stack::build_template(BRIDGE_TEMPLATE, &FUNCTIONS)?,
            ends: stack::build_template(ENDS_TEMPLATE, &[ENDS])?,
            native: programs::build("dev")?,
        });
    }
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(repository())
        .args(["lambda", "build", "--release"]);
    for function in FUNCTIONS.iter().chain([&ENDS]) {
        command.args(["--bin", function]);
    }
    let status = command.status().context("cannot run cargo")?;
    ensure!(
        status.success(),
        "the functions cannot be built; `cargo lambda` is needed: pipx install cargo-lambda"
    );
    let built = |function: &&str| {
        let program = format!("target/lambda/{function}/bootstrap");
        ((*function).to_owned(), repository().join(program))
    };
    let bridge: Vec<_> = FUNCTIONS.iter().map(built).collect();
    let folder = repository().join("target/load/deployment");
    Ok(Deployables {
        bridge: stack::lay_out_template(&folder, BRIDGE_TEMPLATE, &bridge)?,
        ends: stack::lay_out_template(&folder, ENDS_TEMPLATE, &[built(&ENDS)])?,
        native: native_release(&bridge)?,
    })
}

/// The release as this machine runs it: what AWS gets, where that is the same.
fn native_release(built: &[(String, PathBuf)]) -> anyhow::Result<PathBuf> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return programs::build("release");
    }
    let folder = repository().join("target/load/programs");
    std::fs::create_dir_all(&folder)?;
    for (function, program) in built {
        std::fs::copy(program, folder.join(function))?;
    }
    Ok(folder)
}
