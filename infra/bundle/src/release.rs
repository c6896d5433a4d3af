//! What the test of upgrades keeps of a released version: its template, and an example of each row and message that it
//! may leave behind.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::{VERSION, repository};

/// Copies the template and the golden files of this version, and returns the folder.
///
/// # Errors
/// When a file cannot be read or written.
pub fn keep() -> anyhow::Result<PathBuf> {
    let folder = repository().join("tests/end-to-end/released").join(VERSION);
    let golden = folder.join("golden");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&golden)?;
    fs::copy(
        repository().join("infra/template.yaml"),
        folder.join("template.yaml"),
    )
    .context("cannot copy the template")?;
    for entry in fs::read_dir(repository().join("functions/bridge/tests/golden"))? {
        let entry = entry?;
        fs::copy(entry.path(), golden.join(entry.file_name()))?;
    }
    Ok(folder)
}
