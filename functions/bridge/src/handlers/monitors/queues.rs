//! Monitors the queues of the other functions: a function that never starts cannot say so itself.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use super::TIME_FOR_A_CHECK;
use crate::domain::time::Timestamp;
use crate::log::{LogEvent, Redacted, WorkQueue};
use crate::ports::{QueueBacklog, QueueDepth, Runtime};

/// The shortest time between two checks, because under load one invocation follows another at once.
/// A little shorter than the minute between two polls, so that each poll checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(50);

/// A queue is stalled when each check for so long found messages and none in flight. A function that
/// runs receives a message within a second, and every message that it has returned for a retry is
/// still in flight.
const STALLED_AFTER: Duration = Duration::from_mins(10);

/// So many checks belong to that, because `medic-exchange` itself can wait for minutes, and SQS counts
/// only approximately.
const STALLED_CHECKS: u32 = 5;

/// Finds queues from which nobody receives: the event source mapping is disabled or not allowed to.
///
/// What it has seen is in the memory of the process. A new process begins anew and needs another ten
/// minutes, and Lambda keeps a process that is used every minute for hours. Only a function that dies
/// in most of its invocations would never see a stall, and each of these is an error that Lambda
/// counts. Storing it would cost a write each minute.
#[derive(Debug, Default)]
pub struct QueueMonitor {
    /// When this process checked last.
    checked: Cell<Option<Timestamp>>,
    /// The queues from which nobody received at the last check.
    unread: RefCell<BTreeMap<WorkQueue, Unread>>,
}

/// Several checks in a row found messages in a queue, and none in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unread {
    since: Timestamp,
    checks: u32,
}

impl QueueMonitor {
    /// Checks each of the queues, unless the invocation ends too soon. To be called before anything is
    /// put into one of them: a message that was sent a moment ago is not in flight yet either.
    pub async fn check<Q: QueueBacklog>(
        &self,
        queues: &[(WorkQueue, &Q)],
        runtime: &impl Runtime,
        deadline: Timestamp,
    ) {
        let now = runtime.now();
        let checked = self.checked.get();
        let is_due = checked.is_none_or(|checked| now.since(checked) >= CHECK_INTERVAL);
        if !is_due || now + TIME_FOR_A_CHECK > deadline {
            return;
        }
        self.checked.set(Some(now));
        for (name, queue) in queues {
            match queue.depth().await {
                Ok(depth) => {
                    if let Some(stalled) = self.record(*name, depth, now) {
                        runtime.record(stalled);
                    }
                }
                // What was seen before stands: nothing was seen now.
                Err(error) => runtime.record(LogEvent::QueueFailed {
                    error: Redacted::new(&error),
                }),
            }
        }
    }

    /// Remembers a depth, and returns the event if the queue is stalled.
    fn record(&self, queue: WorkQueue, depth: QueueDepth, now: Timestamp) -> Option<LogEvent> {
        let mut unread = self.unread.borrow_mut();
        let Some(latest) = after(unread.get(&queue).copied(), depth, now) else {
            unread.remove(&queue);
            return None;
        };
        unread.insert(queue, latest);
        let since = now.since(latest.since);
        let is_stalled = since >= STALLED_AFTER && latest.checks >= STALLED_CHECKS;
        is_stalled.then_some(LogEvent::QueueStalled {
            queue,
            messages: depth.visible,
            since_s: since.as_secs(),
        })
    }
}

/// What is known of a queue after one more check.
fn after(before: Option<Unread>, depth: QueueDepth, now: Timestamp) -> Option<Unread> {
    let is_unread = depth.visible > 0 && depth.in_flight == 0;
    is_unread.then(|| match before {
        Some(before) => Unread {
            checks: before.checks.saturating_add(1),
            ..before
        },
        None => Unread {
            since: now,
            checks: 1,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::backoff::RandomSource;
    use crate::log::EventLog;
    use crate::ports::{Clock, QueueError};
    use futures_util::FutureExt;

    const MINUTE: Duration = Duration::from_mins(1);

    fn at(minutes: u32) -> Timestamp {
        Timestamp::from_millis(0) + MINUTE * minutes
    }

    /// A queue with this many messages, or one that does not answer.
    #[derive(Default)]
    struct Queue {
        depth: Cell<Option<(u64, u64)>>,
        asked: Cell<u32>,
    }

    impl Queue {
        fn has(&self, visible: u64, in_flight: u64) {
            self.depth.set(Some((visible, in_flight)));
        }
    }

    impl QueueBacklog for Queue {
        async fn depth(&self) -> Result<QueueDepth, QueueError> {
            self.asked.set(self.asked.get() + 1);
            let depth = self.depth.get();
            let depth = depth.map(|(visible, in_flight)| QueueDepth { visible, in_flight });
            depth.ok_or_else(|| QueueError::of_server("no answer"))
        }
    }

    #[derive(Default)]
    struct Around {
        now: Cell<Timestamp>,
        log: RefCell<Vec<LogEvent>>,
    }

    impl Clock for Around {
        fn now(&self) -> Timestamp {
            self.now.get()
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
            self.log.borrow_mut().push(event);
        }
    }

    /// A process with its two queues.
    #[derive(Default)]
    struct Process {
        monitor: QueueMonitor,
        outbox: Queue,
        reports: Queue,
        around: Around,
    }

    impl Process {
        fn with(outbox: (u64, u64), reports: (u64, u64)) -> Self {
            let process = Self::default();
            process.outbox.has(outbox.0, outbox.1);
            process.reports.has(reports.0, reports.1);
            process
        }

        /// What is logged when it checks at this time, with a minute left.
        fn check_at(&self, now: Timestamp) -> Vec<LogEvent> {
            self.check(now, now + MINUTE)
        }

        fn check(&self, now: Timestamp, deadline: Timestamp) -> Vec<LogEvent> {
            self.around.now.set(now);
            let queues = [
                (WorkQueue::Outbox, &self.outbox),
                (WorkQueue::Reports, &self.reports),
            ];
            let check = self.monitor.check(&queues, &self.around, deadline);
            check.now_or_never().unwrap();
            self.around.log.take()
        }
    }

    fn stalled(queue: WorkQueue, messages: u64, minutes: u64) -> LogEvent {
        LogEvent::QueueStalled {
            queue,
            messages,
            since_s: minutes * 60,
        }
    }

    #[test]
    fn a_queue_is_stalled_when_nobody_has_received_from_it_for_ten_minutes() {
        for (outbox, reports, expected) in [
            ((3, 0), (0, 0), WorkQueue::Outbox),
            ((0, 0), (3, 0), WorkQueue::Reports),
        ] {
            let process = Process::with(outbox, reports);
            for minute in 0..10 {
                assert!(process.check_at(at(minute)).is_empty(), "{minute}");
            }
            for minute in 10..13 {
                let event = stalled(expected, 3, minute.into());
                assert_eq!(process.check_at(at(minute)), [event]);
            }
        }
    }

    #[test]
    fn a_message_in_flight_or_an_empty_queue_shows_that_somebody_reads_it() {
        for alive in [(0, 0), (0, 5), (5, 1), (10_000, 30)] {
            let process = Process::with((3, 0), (0, 0));
            for minute in 0..10 {
                process.check_at(at(minute));
            }
            process.outbox.has(alive.0, alive.1);
            assert!(process.check_at(at(10)).is_empty(), "{alive:?}");
            // It begins anew.
            process.outbox.has(3, 0);
            for minute in 11..21 {
                assert!(process.check_at(at(minute)).is_empty(), "{minute}");
            }
            let event = stalled(WorkQueue::Outbox, 3, 10);
            assert_eq!(process.check_at(at(21)), [event]);
        }
    }

    #[test]
    fn two_checks_with_a_long_wait_between_them_are_not_enough() {
        let process = Process::with((1, 0), (0, 0));
        for minute in [0, 13, 26, 39] {
            assert!(process.check_at(at(minute)).is_empty(), "{minute}");
        }
        let event = stalled(WorkQueue::Outbox, 1, 52);
        assert_eq!(process.check_at(at(52)), [event]);
    }

    #[test]
    fn a_queue_that_does_not_answer_is_logged_and_what_was_seen_before_stands() {
        let process = Process::with((1, 0), (0, 0));
        for minute in 0..9 {
            process.check_at(at(minute));
        }
        process.outbox.depth.set(None);
        let logged = process.check_at(at(9));
        assert!(
            matches!(logged[..], [LogEvent::QueueFailed { .. }]),
            "{logged:?}"
        );
        process.outbox.has(1, 0);
        let event = stalled(WorkQueue::Outbox, 1, 10);
        assert_eq!(process.check_at(at(10)), [event]);
    }

    #[test]
    fn one_invocation_after_another_checks_about_once_a_minute_and_each_poll_checks() {
        let checks = |interval: Duration| {
            let process = Process::with((0, 0), (0, 0));
            let mut now = at(0);
            while now < at(10) {
                process.check_at(now);
                now = now + interval;
            }
            assert_eq!(process.outbox.asked, process.reports.asked);
            process.outbox.asked.get()
        };
        assert_eq!(checks(Duration::from_secs(1)), 12);
        assert_eq!(checks(MINUTE), 10);
    }

    #[test]
    fn an_invocation_that_is_about_to_end_leaves_it_to_the_next_one() {
        let process = Process::with((1, 0), (0, 0));
        let deadline = at(0) + TIME_FOR_A_CHECK - Duration::from_millis(1);
        process.check(at(0), deadline);
        assert_eq!(process.outbox.asked.get(), 0);
    }
}
