//! What the operator sees: results on the standard output, everything else on the standard error, so that
//! a script reads only results. The bridge's own code gets time and random numbers here, and an event log
//! that prints almost nothing.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bridge::adapters::system::random_up_to;
use bridge::domain::time::{Timestamp, millis};
use bridge::log::{EventLog, LogEvent};
use bridge::ports::{Clock, RandomSource};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::failure::Failure;

/// How often work that takes long says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// Times are shown in UTC, as AWS shows them.
const MINUTE: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");

/// What this program is called where cargo runs it. Every text of it says so.
pub const NAME_IN_THE_PROJECT: &str = "cargo ops";

/// The name of the program that cargo builds.
const NAME_OF_THE_BUILD: &str = "ops";

/// The terminal that the command was started from.
#[derive(Debug)]
pub struct Terminal {
    /// What whoever reads it types to run this program.
    name: String,
}

impl Default for Terminal {
    /// For a program of the project.
    fn default() -> Self {
        Self::called("")
    }
}

impl Terminal {
    /// For the program that was called by this path.
    pub fn called(path: &str) -> Self {
        let name = Path::new(path).file_stem().map(OsStr::to_string_lossy);
        let name = name.filter(|name| name != NAME_OF_THE_BUILD);
        Self {
            name: name.map_or_else(|| NAME_IN_THE_PROJECT.to_owned(), Cow::into_owned),
        }
    }

    /// A text that names this program as it was called.
    pub fn named(&self, text: &str) -> String {
        text.replace(NAME_IN_THE_PROJECT, &self.name)
    }

    /// Prints a line of the result. A reader that has gone away (`| head`) is no error.
    pub fn say(&self, line: &str) {
        let _ = writeln!(io::stdout(), "{}", printable(&self.named(line)));
    }

    /// Prints the result for a program.
    pub fn json(&self, value: &Value) {
        self.say(&format!("{value:#}"));
    }

    /// Prints a line that is not a part of the result.
    pub fn note(&self, line: &str) {
        let _ = writeln!(io::stderr(), "{}", printable(&self.named(line)));
    }

    /// Whether a person can answer questions.
    pub fn is_attended(&self) -> bool {
        io::stdin().is_terminal()
    }

    /// Asks a question. Only the answer `yes` confirms.
    ///
    /// # Errors
    /// When nobody is there to answer.
    pub fn confirm(&self, question: &str) -> Result<bool, Failure> {
        if !self.is_attended() {
            return Err(Failure::Usage(format!(
                "{question} Nobody is at the keyboard to answer; --yes answers."
            )));
        }
        let _ = write!(io::stderr(), "{question} [yes/no] ");
        let mut answer = String::new();
        io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(|error| Failure::Usage(format!("no answer can be read: {error}")))?;
        Ok(answer.trim().eq_ignore_ascii_case("yes"))
    }

    /// Asks for a value that is shown while it is typed.
    ///
    /// # Errors
    /// When nothing can be read.
    pub fn ask(&self, what: &str) -> Result<String, Failure> {
        let _ = write!(io::stderr(), "{what}: ");
        let mut answer = String::new();
        io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(|error| Failure::Usage(format!("nothing can be read: {error}")))?;
        Ok(answer.trim().to_owned())
    }

    /// Asks for a value that is not shown while it is typed.
    ///
    /// # Errors
    /// When nothing can be read.
    pub fn ask_secret(&self, what: &str) -> Result<String, Failure> {
        rpassword::prompt_password(format!("{what} (it is not shown): "))
            .map(|answer| answer.trim().to_owned())
            .map_err(|error| Failure::Usage(format!("nothing can be read: {error}")))
    }
}

/// Random bytes.
///
/// # Errors
/// When this machine has no source of random numbers.
pub fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Failure::Problem("this machine gives no random numbers".to_owned()))?;
    Ok(bytes)
}

/// Replaces control characters, because they would control the terminal, and anybody can send an SMS.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\n' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

impl Clock for &Terminal {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_millis(millis(since))
    }

    async fn pause(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}

impl RandomSource for &Terminal {
    fn up_to(&self, limit: u64) -> u64 {
        random_up_to(limit)
    }
}

impl EventLog for &Terminal {
    fn record(&self, event: LogEvent) {
        // Such an event contains nothing of the row.
        if matches!(event, LogEvent::RowUnreadable { .. }) {
            self.note("A row of the ledger cannot be read by this version; it is left out.");
        }
    }
}

/// Says from time to time how far a long task is.
#[derive(Debug)]
pub struct Progress<'a> {
    terminal: &'a Terminal,
    what: &'static str,
    said_at: Instant,
}

impl<'a> Progress<'a> {
    /// Begins a task. Each line says `what`, and then how many steps are done.
    pub fn begin(terminal: &'a Terminal, what: &'static str) -> Self {
        Self {
            terminal,
            what,
            said_at: Instant::now(),
        }
    }

    /// Reports how many steps are done.
    pub fn at(&mut self, done: usize) {
        if self.said_at.elapsed() >= PROGRESS_EVERY {
            self.terminal.note(&format!("{}: {done} …", self.what));
            self.said_at = Instant::now();
        }
    }
}

/// An instant, for people.
pub fn format_time(at: Timestamp) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.as_millis()).saturating_mul(1_000_000))
        .ok()
        .and_then(|time| time.format(MINUTE).ok())
        .unwrap_or_else(|| "no time".to_owned())
}

/// A span of time, for people.
pub fn format_duration(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Replaces the middle of a phone number or name. Two can still be told apart, and nobody can be called.
pub fn masked(number: &str) -> String {
    let characters: Vec<char> = number.chars().collect();
    if characters.len() <= 6 {
        return "…".to_owned();
    }
    let begin: String = characters.iter().take(4).collect();
    let end: String = characters.iter().rev().take(2).rev().collect();
    format!("{begin}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advice_names_the_program_as_it_was_called() {
        let advice = "`cargo ops resume` lets it go on";
        for (called, expected) in [
            ("/home/me/target/debug/ops", advice),
            ("", advice),
            (
                "./cht-africastalking",
                "`cht-africastalking resume` lets it go on",
            ),
            (
                "cht-africastalking-arm64",
                "`cht-africastalking-arm64 resume` lets it go on",
            ),
        ] {
            assert_eq!(Terminal::called(called).named(advice), expected, "{called}");
        }
    }

    #[test]
    fn a_masked_number_shows_its_country_and_two_digits() {
        assert_eq!(masked("+254700000001"), "+254…01");
        assert_eq!(masked("MTN"), "…");
    }

    #[test]
    fn times_are_in_utc_and_durations_in_the_unit_that_fits() {
        assert_eq!(
            format_time(Timestamp::from_millis(1_700_000_000_000)),
            "2023-11-14 22:13:20"
        );
        assert_eq!(format_duration(Duration::from_secs(61)), "61 s");
        assert_eq!(format_duration(Duration::from_mins(3)), "3 min");
        assert_eq!(format_duration(Duration::from_hours(5)), "5 h");
        assert_eq!(format_duration(Duration::from_hours(9 * 24)), "9 days");
    }
}
