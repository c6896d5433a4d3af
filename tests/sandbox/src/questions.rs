//! Asking the person at the keyboard.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Context as _, bail};
use sandbox::ends::RedactedSecret;

/// Questions, which are put on the standard error.
#[derive(Debug)]
pub struct Questions {
    yes: bool,
}

impl Questions {
    /// With `yes`, every question is answered by it.
    pub fn new(yes: bool) -> Self {
        Self { yes }
    }

    /// Goes on only after a yes.
    ///
    /// # Errors
    /// After everything else, and when nobody is there to answer.
    pub fn confirm(&self, question: &str) -> anyhow::Result<()> {
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            bail!("{question} Nobody is at the keyboard to answer; --yes answers.");
        }
        let _ = write!(io::stderr(), "{question} [yes/no] ");
        let mut answer = String::new();
        let mut input = io::stdin().lock();
        input.read_line(&mut answer).context("no answer")?;
        if answer.trim().eq_ignore_ascii_case("yes") {
            return Ok(());
        }
        bail!("nothing was started");
    }

    /// What this variable of the environment holds; without it, what is typed and not shown.
    ///
    /// # Errors
    /// When nothing can be read.
    pub fn secret(&self, variable: &str, what: &str) -> anyhow::Result<RedactedSecret> {
        if let Ok(secret) = std::env::var(variable) {
            return Ok(RedactedSecret::new(&secret));
        }
        if !io::stdin().is_terminal() {
            bail!(
                "{what}: nobody is at the keyboard to type it; the variable {variable} can hold it"
            );
        }
        let typed = rpassword::prompt_password(format!("{what} (it is not shown): "));
        Ok(RedactedSecret::new(&typed.context("nothing can be read")?))
    }
}
