//! The clock, the random numbers and the log of a Lambda function.

use std::fmt;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::rand::{SecureRandom, SystemRandom};

use crate::config::optional;
use crate::domain::time::{Timestamp, millis};
use crate::log::{EventLog, Invocation, LogEvent, Origin, Redacted};
use crate::ports::{Clock, RandomSource};

/// The system's clock and random numbers, and a log of JSON lines on the standard output, from where
/// Lambda sends them to CloudWatch.
#[derive(Debug)]
pub struct System {
    log: Arc<Log>,
}

#[derive(Debug)]
struct Log {
    stack: String,
    function: &'static str,
    invocations: Mutex<Invocations>,
}

/// The invocations of this process.
#[derive(Debug, Default)]
struct Invocations {
    has_begun_one: bool,
    now: Option<Invocation>,
}

impl System {
    /// For the function of this name, in the stack that `STACK_NAME` names. Metrics carry the name
    /// of the stack because several stacks can share an account.
    pub fn new(function: &'static str) -> Self {
        Self {
            log: Arc::new(Log {
                stack: optional("STACK_NAME").unwrap_or_default(),
                function,
                invocations: Mutex::default(),
            }),
        }
    }

    /// Puts the request id into each log line until the guard is dropped. Lambda gives a process one
    /// invocation at a time.
    pub(super) fn begin_invocation(&self, request_id: &str) -> InvocationGuard<'_> {
        let mut invocations = self.log.lock();
        invocations.now = Some(Invocation {
            request_id: request_id.to_owned(),
            cold_start: !invocations.has_begun_one,
        });
        invocations.has_begun_one = true;
        InvocationGuard(&self.log)
    }

    /// Logs the place of a panic instead of its message, which can hold a phone number or a key.
    pub fn silence_panics(&self) {
        let log = Arc::clone(&self.log);
        std::panic::set_hook(Box::new(move |panic| {
            let place = panic
                .location()
                .map(ToString::to_string)
                .unwrap_or_default();
            let place = Redacted::new(&place);
            log.write(&LogEvent::Panicked { place });
        }));
    }

    /// Logs the error if there is one. Usually it is an environment variable that cannot be read.
    ///
    /// # Errors
    /// Returns the result that it was given.
    pub fn noted<E: fmt::Display>(&self, result: Result<(), E>) -> Result<(), E> {
        if let Err(error) = &result {
            let error = Redacted::new(error);
            (&self).record(LogEvent::CannotRun { error });
        }
        result
    }
}

/// The system's clock and random numbers, without a log.
#[derive(Clone, Copy, Debug)]
pub struct Real;

impl Clock for Real {
    fn now(&self) -> Timestamp {
        now()
    }

    async fn pause(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}

impl RandomSource for Real {
    fn up_to(&self, limit: u64) -> u64 {
        random_up_to(limit)
    }
}

impl Clock for &System {
    fn now(&self) -> Timestamp {
        Real.now()
    }

    async fn pause(&self, span: Duration) {
        Real.pause(span).await;
    }
}

impl RandomSource for &System {
    fn up_to(&self, limit: u64) -> u64 {
        Real.up_to(limit)
    }
}

impl EventLog for &System {
    fn record(&self, event: LogEvent) {
        self.log.write(&event);
    }
}

/// A random number of the operating system from 0 to `limit`, both included.
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

impl Log {
    fn lock(&self) -> std::sync::MutexGuard<'_, Invocations> {
        self.invocations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn origin(&self) -> Origin {
        Origin {
            stack: self.stack.clone(),
            function: self.function,
            invocation: self.lock().now.clone(),
        }
    }

    fn write(&self, event: &LogEvent) {
        let line = event.to_line(&self.origin(), now());
        // The work goes on also when a line cannot be written.
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}

/// While it lives, log lines name its invocation.
#[derive(Debug)]
pub(super) struct InvocationGuard<'a>(&'a Log);

impl Drop for InvocationGuard<'_> {
    fn drop(&mut self) {
        self.0.lock().now = None;
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(millis(since))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_invocation_of_a_process_is_a_cold_start() {
        let system = System::new("outbound-sender");
        let now = || system.log.origin().invocation;
        assert_eq!(now(), None);
        for (request_id, cold_start) in [("first", true), ("second", false)] {
            let _invocation = system.begin_invocation(request_id);
            let expected = Invocation {
                request_id: request_id.to_owned(),
                cold_start,
            };
            assert_eq!(now(), Some(expected));
        }
        assert_eq!(now(), None);
    }
}
