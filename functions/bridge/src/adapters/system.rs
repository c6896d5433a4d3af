//! Time, chance and the log of a Lambda function.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::rand::{SecureRandom, SystemRandom};

use super::environment::optional;
use crate::journal::{Entry, Journal};
use crate::ports::{Clock, Dice};

/// The system's clock and random numbers, and a log of JSON lines on the standard output, which is
/// where Lambda takes it from.
#[derive(Debug)]
pub struct System {
    function: String,
    random: SystemRandom,
}

impl System {
    /// For the function of this name; logs and counts under the name that it was deployed with, if
    /// Lambda tells it: several stacks share an account.
    pub fn new(function: &'static str) -> Self {
        Self {
            function: optional("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_else(|| function.to_owned()),
            random: SystemRandom::new(),
        }
    }

    /// Keeps panics from printing what they were handling: their message can hold a number or a key.
    /// The place is enough to find the fault.
    pub fn silence_panics() {
        std::panic::set_hook(Box::new(|panic| {
            let place = panic
                .location()
                .map(ToString::to_string)
                .unwrap_or_default();
            let line = serde_json::json!({ "level": "error", "event": "panic", "place": place });
            let _ = writeln!(std::io::stdout(), "{line}");
        }));
    }
}

impl Clock for &System {
    fn now_ms(&self) -> i64 {
        now_ms()
    }

    async fn pause(&self, milliseconds: u64) {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }
}

impl Dice for &System {
    fn up_to(&self, limit: u64) -> u64 {
        let mut bytes = [0; 8];
        // Without randomness there is no jitter and no new token; the system's generator does not
        // fail once it has been seeded, which was before this process began.
        let _ = self.random.fill(&mut bytes);
        let number = u64::from_le_bytes(bytes);
        match limit.checked_add(1) {
            Some(sides) => number % sides,
            None => number,
        }
    }
}

impl Journal for &System {
    fn record(&self, entry: Entry) {
        let line = entry.to_line(&self.function, now_ms());
        // Nothing is left undone for a log line.
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
