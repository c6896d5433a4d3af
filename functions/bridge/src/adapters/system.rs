//! Time, chance and the log of a Lambda function.

use std::fmt;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::rand::{SecureRandom, SystemRandom};

use crate::config::optional;
use crate::log::{EventLog, LogEvent, Origin, Redacted};
use crate::ports::{Clock, RandomSource};

/// The system's clock and random numbers, and a log of JSON lines on the standard output, which is
/// where Lambda takes it from.
#[derive(Debug)]
pub struct System {
    origin: Origin,
}

impl System {
    /// For the function of this name; counts for the stack in `STACK_NAME`: several stacks share an
    /// account.
    pub fn new(function: &'static str) -> Self {
        Self {
            origin: Origin {
                stack: optional("STACK_NAME").unwrap_or_default(),
                function,
            },
        }
    }

    /// Keeps panics from printing what they were handling: their message can hold a number or a key.
    /// The place is enough to find the fault.
    pub fn silence_panics(&self) {
        let origin = self.origin.clone();
        std::panic::set_hook(Box::new(move |panic| {
            let place = panic
                .location()
                .map(ToString::to_string)
                .unwrap_or_default();
            let place = Redacted::new(&place);
            write(&LogEvent::Panicked { place }, &origin);
        }));
    }

    /// Notes why a function cannot run: for a setting that it cannot read, most likely.
    ///
    /// # Errors
    /// What it was given, once the log has it.
    pub fn noted<E: fmt::Display>(&self, result: Result<(), E>) -> Result<(), E> {
        if let Err(error) = &result {
            let error = Redacted::new(error);
            (&self).record(LogEvent::CannotRun { error });
        }
        result
    }
}

/// Real time and real chance, for whoever needs no log.
#[derive(Clone, Copy, Debug)]
pub struct Real;

impl Clock for Real {
    fn now_ms(&self) -> i64 {
        now_ms()
    }

    async fn pause(&self, milliseconds: u64) {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }
}

impl RandomSource for Real {
    fn up_to(&self, limit: u64) -> u64 {
        random_up_to(limit)
    }
}

impl Clock for &System {
    fn now_ms(&self) -> i64 {
        Real.now_ms()
    }

    async fn pause(&self, milliseconds: u64) {
        Real.pause(milliseconds).await;
    }
}

impl RandomSource for &System {
    fn up_to(&self, limit: u64) -> u64 {
        Real.up_to(limit)
    }
}

impl EventLog for &System {
    fn record(&self, event: LogEvent) {
        write(&event, &self.origin);
    }
}

/// A number from 0 to `limit`, both included, by the operating system's random numbers.
pub fn random_up_to(limit: u64) -> u64 {
    let mut bytes = [0; 8];
    // Without randomness there is no jitter and no new token; the system's generator does not fail once
    // it has been seeded, which was before this process began.
    let _ = SystemRandom::new().fill(&mut bytes);
    let number = u64::from_le_bytes(bytes);
    match limit.checked_add(1) {
        Some(sides) => number % sides,
        None => number,
    }
}

fn write(event: &LogEvent, origin: &Origin) {
    let line = event.to_line(origin, now_ms());
    // Nothing is left undone for a log line.
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
