//! The shell of an operator who has the AWS CLI's environment and SAM, and no compiler.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};
use sandbox::stack::{Emulator, operator_environment, sam_environment};
use sandbox::tools::Tool;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// The programs of the system that the README's commands need, and those that SAM itself needs.
const PROGRAMS: [&str; 8] = [
    "sh",
    "tar",
    "gzip",
    "sha256sum",
    "uname",
    "env",
    "cat",
    "ls",
];

/// A shell with a `PATH` of its own.
#[derive(Clone, Debug)]
pub struct OperatorShell {
    path: PathBuf,
    folder: PathBuf,
    environment: Vec<(&'static str, String)>,
}

impl OperatorShell {
    /// One in this folder, whose commands reach this emulator and nothing else of AWS.
    pub fn new(folder: &Path, emulator: &Emulator) -> anyhow::Result<Self> {
        let path = folder.with_extension("path");
        fs::create_dir_all(&path)?;
        for name in PROGRAMS {
            let link = path.join(name);
            if !link.exists() {
                std::os::unix::fs::symlink(of_the_system(name)?, link)?;
            }
        }
        let sam = path.join("sam");
        let python = Tool::Sam.python();
        fs::write(
            &sam,
            format!("#!/bin/sh\nexec '{}' -m samcli \"$@\"\n", python.display()),
        )?;
        fs::set_permissions(&sam, fs::Permissions::from_mode(0o755))?;
        let mut environment = sam_environment().to_vec();
        let of_operator = operator_environment(emulator).into_iter();
        // The name of the stack is in samconfig.toml.
        environment.extend(of_operator.filter(|(name, _)| *name != "OPS_STACK"));
        Ok(Self {
            path,
            folder: folder.to_owned(),
            environment,
        })
    }

    /// The same one, in another folder.
    pub fn within(&self, folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            ..self.clone()
        }
    }

    /// That a program is not found.
    pub async fn has_no(&self, program: &str) -> anyhow::Result<()> {
        let found = self.run(&format!("command -v {program}"), "").await;
        ensure!(found.is_err(), "{program} is on the path: {found:?}");
        Ok(())
    }

    /// Runs a command, with this on its standard input. Gives what it printed.
    pub async fn run(&self, command: &str, input: &str) -> anyhow::Result<String> {
        let mut process = Command::new(self.path.join("sh"))
            .args(["-c", command])
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("PATH", &self.path)
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut stdin = process.stdin.take().context("no stdin")?;
        // A command that reads nothing may have ended by now.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = process.wait_with_output().await?;
        let printed = String::from_utf8(output.stdout)?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            bail!(
                "`{command}` ended with {}:\n{printed}{errors}",
                output.status
            );
        }
        Ok(printed)
    }
}

fn of_the_system(name: &str) -> anyhow::Result<PathBuf> {
    let folders = ["/bin", "/usr/bin"].map(Path::new);
    let found = folders
        .iter()
        .map(|folder| folder.join(name))
        .find(|file| file.exists());
    found.with_context(|| format!("this system has no {name}"))
}
