//! The command that deploys a template.

use std::path::Path;
use std::process::Command;

use crate::tools::Tool;

/// A deployment with `sam deploy`, which asks nothing.
#[derive(Clone, Copy, Debug)]
pub struct SamDeployment<'a> {
    /// The template; the packages of its functions are where it says.
    pub template: &'a Path,
    /// The name of the stack.
    pub stack: &'a str,
    /// The bucket for the packages. None: the bucket that SAM makes for itself in each account.
    pub bucket: Option<&'a str>,
    /// The region.
    pub region: &'a str,
    /// Parameters that are not to have their defaults.
    pub parameters: &'a [(&'a str, &'a str)],
    /// Tags of the stack and of all that is in it.
    pub tags: &'a [(&'a str, &'a str)],
}

impl SamDeployment<'_> {
    /// The command. Its environment says which account it is for.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(Tool::Sam.python());
        command
            .args(["-m", "samcli", "deploy", "--template-file"])
            .arg(self.template)
            .args(["--stack-name", self.stack, "--region", self.region])
            .args(["--capabilities", "CAPABILITY_IAM"])
            .args(["--no-confirm-changeset", "--no-fail-on-empty-changeset"])
            .arg("--no-progressbar");
        match self.bucket {
            Some(bucket) => command.args(["--s3-bucket", bucket]),
            // Packages with a prefix of their own can be found and deleted.
            None => command.args(["--resolve-s3", "--s3-prefix", self.stack]),
        };
        for (option, pairs) in [
            ("--parameter-overrides", self.parameters),
            ("--tags", self.tags),
        ] {
            if !pairs.is_empty() {
                command.arg(option).args(pairs.iter().map(pair));
            }
        }
        command
    }

    /// The command that deletes a stack, and its packages in the bucket that SAM made.
    #[must_use]
    pub fn deletion(stack: &str, region: &str) -> Command {
        let mut command = Command::new(Tool::Sam.python());
        command
            .args(["-m", "samcli", "delete", "--no-prompts"])
            .args(["--stack-name", stack, "--region", region]);
        command
    }
}

fn pair((name, value): &(&str, &str)) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    format!("{name}=\"{value}\"")
}
