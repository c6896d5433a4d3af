//! Monitors the ledger for statuses that wait for too long.

use std::cell::Cell;
use std::time::Duration;

use super::TIME_FOR_A_CHECK;
use crate::domain::time::Timestamp;
use crate::log::{LogEvent, Redacted};
use crate::ports::{LedgerBacklog, LedgerError, Runtime};

/// The shortest time between two checks, because under load one invocation follows another at once.
/// Shorter than the minute between two polls, so that each poll checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// A status that is unreported for this long has missed two polls.
const LATE: Duration = Duration::from_mins(2);

/// Checks after an exchange with Medic for unreported statuses.
#[derive(Debug, Default)]
pub struct LedgerMonitor {
    /// When this process checked last.
    checked: Cell<Option<Timestamp>>,
}

impl LedgerMonitor {
    /// Checks, unless the invocation ends too soon (at `deadline`).
    pub async fn check(
        &self,
        ledger: &impl LedgerBacklog,
        runtime: &impl Runtime,
        deadline: Timestamp,
    ) {
        let now = runtime.now();
        let is_due = is_over(self.checked.get(), CHECK_INTERVAL, now);
        if !is_due || now + TIME_FOR_A_CHECK > deadline {
            return;
        }
        self.checked.set(Some(now));
        if let Err(error) = self.check_for_unreported(ledger, runtime).await {
            runtime.record(LogEvent::LedgerFailed {
                error: Redacted::new(&error),
            });
        }
    }

    async fn check_for_unreported(
        &self,
        ledger: &impl LedgerBacklog,
        runtime: &impl Runtime,
    ) -> Result<(), LedgerError> {
        let Some(since) = ledger.unreported_since().await? else {
            return Ok(());
        };
        let age = runtime.now().since(since);
        if age >= LATE {
            let oldest_s = age.as_secs();
            runtime.record(LogEvent::StatusesUnreported { oldest_s });
        }
        Ok(())
    }
}

/// Whether this much time has passed since then. Also true if there was no such time.
fn is_over(since: Option<Timestamp>, interval: Duration, now: Timestamp) -> bool {
    since.is_none_or(|since| now.since(since) >= interval)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::backoff::RandomSource;
    use crate::log::EventLog;
    use crate::ports::Clock;
    use futures_util::FutureExt;
    use std::cell::RefCell;

    /// Since when a status is unreported.
    #[derive(Default)]
    struct Ledger {
        unreported_since: Option<Timestamp>,
        is_down: bool,
        checks: Cell<u32>,
    }

    impl LedgerBacklog for Ledger {
        async fn unreported_since(&self) -> Result<Option<Timestamp>, LedgerError> {
            self.checks.set(self.checks.get() + 1);
            match self.is_down {
                true => Err(LedgerError("no answer".to_owned())),
                false => Ok(self.unreported_since),
            }
        }
    }

    struct Around(Cell<Timestamp>, RefCell<Vec<LogEvent>>);

    impl Clock for Around {
        fn now(&self) -> Timestamp {
            self.0.get()
        }

        async fn pause(&self, _: Duration) {}
    }

    impl RandomSource for Around {
        fn up_to(&self, _: u64) -> u64 {
            0
        }
    }

    impl EventLog for Around {
        fn record(&self, event: LogEvent) {
            self.1.borrow_mut().push(event);
        }
    }

    /// What is said when somebody looks at this time, with a minute left.
    fn check_at(monitor: &LedgerMonitor, ledger: &Ledger, now: Timestamp) -> Vec<LogEvent> {
        let around = Around(Cell::new(now), RefCell::default());
        let check = monitor.check(ledger, &around, now + Duration::from_mins(1));
        check.now_or_never().unwrap();
        around.1.into_inner()
    }

    #[test]
    fn a_status_is_late_when_it_has_missed_two_polls() {
        let ledger = Ledger {
            unreported_since: Some(Timestamp::from_millis(1_000)),
            ..Ledger::default()
        };
        let looks = |now| check_at(&LedgerMonitor::default(), &ledger, now);
        assert!(looks(Timestamp::from_millis(120_999)).is_empty());
        assert_eq!(
            looks(Timestamp::from_millis(121_000)),
            [LogEvent::StatusesUnreported { oldest_s: 120 }]
        );
    }

    #[test]
    fn one_invocation_after_another_looks_twice_a_minute_and_each_poll_once() {
        let ledger = Ledger {
            unreported_since: Some(Timestamp::from_millis(0)),
            ..Ledger::default()
        };
        let looks = |interval| {
            let monitor = LedgerMonitor::default();
            let times = (3_600_000..4_200_000)
                .step_by(interval)
                .map(Timestamp::from_millis);
            let said = times.map(|now| check_at(&monitor, &ledger, now).len());
            said.sum::<usize>()
        };
        assert_eq!(looks(1_000), 20);
        assert_eq!(looks(60_000), 10);
    }

    #[test]
    fn nothing_is_said_when_there_is_nothing() {
        let ledger = Ledger::default();
        assert!(
            check_at(
                &LedgerMonitor::default(),
                &ledger,
                Timestamp::from_millis(0)
            )
            .is_empty()
        );
        assert_eq!(ledger.checks.get(), 1);
    }

    #[test]
    fn a_ledger_that_does_not_answer_is_said_once_and_looked_at_again() {
        let ledger = Ledger {
            is_down: true,
            ..Ledger::default()
        };
        let said = check_at(
            &LedgerMonitor::default(),
            &ledger,
            Timestamp::from_millis(0),
        );
        assert!(
            matches!(said[..], [LogEvent::LedgerFailed { .. }]),
            "{said:?}"
        );
    }

    #[test]
    fn an_invocation_that_is_about_to_end_leaves_it_to_the_next_one() {
        let ledger = Ledger::default();
        let around = Around(Cell::new(Timestamp::from_millis(0)), RefCell::default());
        let monitor = LedgerMonitor::default();
        let check = monitor.check(
            &ledger,
            &around,
            Timestamp::from_millis(0) + TIME_FOR_A_CHECK - Duration::from_millis(1),
        );
        check.now_or_never().unwrap();
        assert_eq!(ledger.checks.get(), 0);
    }
}
