//! Another program in the place of a function's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::template::run;
use super::{EmulatedStack, eventually, functions, work_folder};
use crate::tools::Tool;

/// How long Lambda may take to change a function.
const CHANGED_WITHIN: Duration = Duration::from_secs(30);

/// A function that runs another program than its own.
#[derive(Debug)]
#[must_use = "the function keeps the other program until EmulatedStack::restore"]
pub struct Replaced {
    function: String,
    own_timeout_s: u64,
}

impl EmulatedStack {
    /// Puts a program in the place of a function's own, and gives the function another time-out. An
    /// invocation that is under way is killed. All else stays: permissions, environment, memory and
    /// mapping.
    ///
    /// # Errors
    /// When there is no such function, or Lambda refuses.
    pub async fn replace(
        &self,
        function: &str,
        program: &Path,
        timeout_s: u64,
    ) -> anyhow::Result<Replaced> {
        let path = format!("{}/configuration", self.function_path(function).await?);
        let configuration = self.aws().rest("lambda", &path, None).await?;
        let own_timeout_s = configuration.get("Timeout").and_then(Value::as_u64);
        let replaced = Replaced {
            function: function.to_owned(),
            own_timeout_s: own_timeout_s.context("the function has no time-out")?,
        };
        self.run_in(function, program, timeout_s).await?;
        Ok(replaced)
    }

    /// Gives a function its own program and time-out back.
    ///
    /// # Errors
    /// When Lambda refuses.
    pub async fn restore(&self, replaced: Replaced) -> anyhow::Result<()> {
        let Replaced {
            function,
            own_timeout_s,
        } = replaced;
        let own_program = functions::program(&function);
        self.run_in(&function, &own_program, own_timeout_s).await
    }

    /// How many invocations of a function have ended with an error, as Lambda counts them: also those
    /// in which the function was killed.
    ///
    /// # Errors
    /// When the emulator does not tell.
    pub async fn invocation_errors(&self, function: &str) -> anyhow::Result<f64> {
        let name = self.resource(&resource_name(function)).await?;
        let dimension = ("FunctionName", name.as_str());
        self.aws()
            .metric_sum("AWS/Lambda", "Errors", dimension)
            .await
    }

    async fn run_in(&self, function: &str, program: &Path, timeout_s: u64) -> anyhow::Result<()> {
        let program = program.to_owned();
        let package = tokio::task::spawn_blocking(move || package(&program)).await??;
        let path = self.function_path(function).await?;
        let code = json!({ "ZipFile": BASE64_STANDARD.encode(package) });
        self.change(&path, "code", &code).await?;
        let configuration = json!({ "Timeout": timeout_s });
        self.change(&path, "configuration", &configuration).await
    }

    /// Changes a function, and waits until that is done: Lambda refuses a second change meanwhile.
    async fn change(&self, path: &str, what: &str, input: &Value) -> anyhow::Result<()> {
        let part = format!("{path}/{what}");
        self.aws().rest("lambda", &part, Some(input)).await?;
        let configuration = format!("{path}/configuration");
        eventually("a function that was changed", CHANGED_WITHIN, async || {
            let function = self.aws().rest("lambda", &configuration, None).await?;
            let status = function.get("LastUpdateStatus").and_then(Value::as_str);
            Ok((status == Some("Successful")).then_some(()))
        })
        .await
    }

    async fn function_path(&self, function: &str) -> anyhow::Result<String> {
        let name = self.resource(&resource_name(function)).await?;
        Ok(format!("/2015-03-31/functions/{name}"))
    }
}

/// A function's name in the template: `MedicExchangeFunction` for `medic-exchange`.
#[must_use]
pub fn resource_name(function: &str) -> String {
    let mut name = String::new();
    for word in function.split('-') {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    name + "Function"
}

/// The package of a function with this program. It blocks.
fn package(program: &Path) -> anyhow::Result<Vec<u8>> {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let folder = work_folder().join(format!("package-{}-{number}", std::process::id()));
    let content = folder.join("content");
    let package = folder.join("package.zip");
    functions::lay_out(program, &content)?;
    let zip = |bootstrap: PathBuf| {
        let mut command = Command::new(Tool::Emulator.python());
        command.args(["-m", "zipfile", "-c"]).arg(&package);
        run(command.arg(bootstrap), "Python's zipfile")?;
        fs::read(&package).context("there is no package")
    };
    let zipped = zip(content.join("bootstrap"));
    let _ = fs::remove_dir_all(&folder);
    zipped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_found_in_the_template_by_its_name() {
        assert_eq!(resource_name("medic-exchange"), "MedicExchangeFunction");
    }
}
