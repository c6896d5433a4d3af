//! Monitors the ledger for statuses and messages that wait for too long.

use std::cell::Cell;
use std::ops::Range;

use super::TIME_FOR_A_CHECK_MS;
use crate::log::{LogEvent, Redacted};
use crate::ports::{LedgerBacklog, LedgerError, Runtime};

const HOUR_MS: i64 = 60 * 60 * 1000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// The shortest time between two checks, in milliseconds, because under load one invocation follows
/// another at once. Shorter than the minute between two polls, so that each poll checks.
const CHECK_INTERVAL_MS: i64 = 30_000;

/// A status that is unreported for this long has missed two polls.
const LATE_MS: i64 = 2 * 60 * 1000;

/// Checks after an exchange with Medic for unreported statuses, and once an hour for messages
/// without a final report.
#[derive(Debug, Default)]
pub struct LedgerMonitor {
    /// When this process checked last.
    checked_ms: Cell<Option<i64>>,
    /// When this process counted messages without a final report last. A new process counts anew.
    counted_ms: Cell<Option<i64>>,
}

impl LedgerMonitor {
    /// Checks, unless the invocation ends too soon (at `deadline_ms`, in milliseconds since 1970).
    pub async fn check(
        &self,
        ledger: &impl LedgerBacklog,
        runtime: &impl Runtime,
        deadline_ms: i64,
    ) {
        let now_ms = runtime.now_ms();
        let is_due = is_over(self.checked_ms.get(), CHECK_INTERVAL_MS, now_ms);
        if !is_due || now_ms.saturating_add(TIME_FOR_A_CHECK_MS) > deadline_ms {
            return;
        }
        self.checked_ms.set(Some(now_ms));
        let checked = async {
            self.check_for_unreported(ledger, runtime).await?;
            self.count_awaiting_final_report(ledger, runtime).await
        };
        if let Err(error) = checked.await {
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
        let Some(since_ms) = ledger.unreported_since_ms().await? else {
            return Ok(());
        };
        let age_ms = runtime.now_ms().saturating_sub(since_ms);
        if age_ms >= LATE_MS {
            let oldest_s = age_ms / 1000;
            runtime.record(LogEvent::StatusesUnreported { oldest_s });
        }
        Ok(())
    }

    async fn count_awaiting_final_report(
        &self,
        ledger: &impl LedgerBacklog,
        runtime: &impl Runtime,
    ) -> Result<(), LedgerError> {
        let now_ms = runtime.now_ms();
        if !is_over(self.counted_ms.get(), HOUR_MS, now_ms) {
            return Ok(());
        }
        let messages = ledger
            .awaiting_final_report(offered_a_day_ago(now_ms))
            .await?;
        self.counted_ms.set(Some(now_ms));
        if messages > 0 {
            runtime.record(LogEvent::AwaitingFinalReport { messages });
        }
        Ok(())
    }
}

/// Whether this much time has passed since then. Also true if there was no such time.
fn is_over(since_ms: Option<i64>, interval_ms: i64, now_ms: i64) -> bool {
    since_ms.is_none_or(|since_ms| now_ms.saturating_sub(since_ms) >= interval_ms)
}

/// Between one and two days ago. Older messages are not counted, because those of networks that
/// never report would add up for months.
fn offered_a_day_ago(now_ms: i64) -> Range<i64> {
    now_ms.saturating_sub(2 * DAY_MS)..now_ms.saturating_sub(DAY_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::backoff::RandomSource;
    use crate::log::EventLog;
    use crate::ports::Clock;
    use futures_util::FutureExt;
    use std::cell::RefCell;

    /// Since when a status is unreported, and when messages were offered of which no end is known.
    #[derive(Default)]
    struct Ledger {
        unreported_since_ms: Option<i64>,
        offered_ms: Vec<i64>,
        is_down: bool,
        counts: Cell<u32>,
    }

    impl LedgerBacklog for Ledger {
        async fn unreported_since_ms(&self) -> Result<Option<i64>, LedgerError> {
            match self.is_down {
                true => Err(LedgerError("no answer".to_owned())),
                false => Ok(self.unreported_since_ms),
            }
        }

        async fn awaiting_final_report(&self, offered_ms: Range<i64>) -> Result<u64, LedgerError> {
            self.counts.set(self.counts.get() + 1);
            let within = self.offered_ms.iter().filter(|at| offered_ms.contains(at));
            Ok(u64::try_from(within.count()).unwrap())
        }
    }

    struct Around(Cell<i64>, RefCell<Vec<LogEvent>>);

    impl Clock for Around {
        fn now_ms(&self) -> i64 {
            self.0.get()
        }

        async fn pause(&self, _: u64) {}
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
    fn check_at(monitor: &LedgerMonitor, ledger: &Ledger, now_ms: i64) -> Vec<LogEvent> {
        let around = Around(Cell::new(now_ms), RefCell::default());
        let check = monitor.check(ledger, &around, now_ms + 60_000);
        check.now_or_never().unwrap();
        around.1.into_inner()
    }

    #[test]
    fn a_status_is_late_when_it_has_missed_two_polls() {
        let ledger = Ledger {
            unreported_since_ms: Some(1_000),
            ..Ledger::default()
        };
        let looks = |now_ms| check_at(&LedgerMonitor::default(), &ledger, now_ms);
        assert!(looks(120_999).is_empty());
        assert_eq!(
            looks(121_000),
            [LogEvent::StatusesUnreported { oldest_s: 120 }]
        );
    }

    #[test]
    fn one_invocation_after_another_looks_twice_a_minute_and_each_poll_once() {
        let ledger = Ledger {
            unreported_since_ms: Some(0),
            ..Ledger::default()
        };
        let looks = |interval_ms| {
            let monitor = LedgerMonitor::default();
            let times = (0..600_000).step_by(interval_ms);
            let said = times.map(|at_ms| check_at(&monitor, &ledger, HOUR_MS + at_ms).len());
            said.sum::<usize>()
        };
        assert_eq!(looks(1_000), 20);
        assert_eq!(looks(60_000), 10);
    }

    #[test]
    fn what_was_offered_one_to_two_days_ago_and_has_no_end_is_counted_once_an_hour() {
        let now_ms = 10 * DAY_MS;
        let ledger = Ledger {
            offered_ms: [0, 23, 24, 25, 47, 48, 49, 200]
                .map(|hours| now_ms - hours * HOUR_MS)
                .to_vec(),
            ..Ledger::default()
        };
        let monitor = LedgerMonitor::default();
        let counted = LogEvent::AwaitingFinalReport { messages: 3 };
        assert_eq!(check_at(&monitor, &ledger, now_ms), [counted]);
        for minute in 1..60 {
            check_at(&monitor, &ledger, now_ms + minute * 60_000);
        }
        assert_eq!(ledger.counts.get(), 1);
        check_at(&monitor, &ledger, now_ms + HOUR_MS);
        assert_eq!(ledger.counts.get(), 2);
    }

    #[test]
    fn nothing_is_said_when_there_is_nothing() {
        let ledger = Ledger::default();
        assert!(check_at(&LedgerMonitor::default(), &ledger, DAY_MS).is_empty());
        assert_eq!(ledger.counts.get(), 1);
    }

    #[test]
    fn a_ledger_that_does_not_answer_is_said_once_and_looked_at_again() {
        let ledger = Ledger {
            is_down: true,
            ..Ledger::default()
        };
        let said = check_at(&LedgerMonitor::default(), &ledger, DAY_MS);
        assert!(
            matches!(said[..], [LogEvent::LedgerFailed { .. }]),
            "{said:?}"
        );
    }

    #[test]
    fn an_invocation_that_is_about_to_end_leaves_it_to_the_next_one() {
        let ledger = Ledger::default();
        let around = Around(Cell::new(0), RefCell::default());
        let monitor = LedgerMonitor::default();
        let check = monitor.check(&ledger, &around, TIME_FOR_A_CHECK_MS - 1);
        check.now_or_never().unwrap();
        assert_eq!(ledger.counts.get(), 0);
    }
}
