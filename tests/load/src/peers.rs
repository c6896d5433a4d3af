//! The programs that the functions are compared with: the floor, and the same in Node.js.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use sandbox::stack;
use sandbox::tools::repository;

/// The files of the Node.js program.
const FILES: [&str; 3] = ["package.json", "package-lock.json", "bridge.mjs"];

/// Compiles the floor. It blocks.
///
/// # Errors
/// When it does not compile.
pub fn floor(profile: &str) -> anyhow::Result<PathBuf> {
    let programs = stack::compile(profile, &["floor"])?;
    let floor = programs
        .into_iter()
        .next()
        .context("the floor was not compiled")?;
    Ok(floor.1)
}

/// The same in Node.js.
#[derive(Clone, Debug)]
pub struct Node {
    /// Which Node.js, as it says itself.
    pub version: String,
    /// The program `node`.
    pub program: PathBuf,
    /// The script that it runs.
    pub script: PathBuf,
}

/// Installs the Node.js program's packages into `.tools/`, pinned, and bundles it. Nothing when
/// there is no Node.js.
///
/// # Errors
/// When there is one, and it fails.
pub fn node() -> anyhow::Result<Option<Node>> {
    let Ok(output) = Command::new("node")
        .args(["--print", "process.version + ' ' + process.execPath"])
        .output()
    else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let (version, program) = text
        .split_once(' ')
        .context("node does not say its version")?;
    let folder = repository().join(".tools/peer-node");
    std::fs::create_dir_all(&folder)?;
    for file in FILES {
        std::fs::copy(
            repository().join("tests/load/peers/node").join(file),
            folder.join(file),
        )?;
    }
    let _ = std::fs::remove_dir_all(folder.join("dist"));
    npm(&folder, &["ci", "--no-audit", "--no-fund", "--silent"])?;
    npm(
        &folder,
        &["run", "--silent", "build", "--", "--log-level=error"],
    )?;
    Ok(Some(Node {
        version: version.to_owned(),
        program: PathBuf::from(program),
        script: folder.join("dist/bridge.js"),
    }))
}

fn npm(folder: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("npm")
        .current_dir(folder)
        .args(arguments)
        .output();
    let output = output.context("cannot run npm")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "npm {} failed:\n{said}",
        arguments.join(" ")
    );
    Ok(())
}
