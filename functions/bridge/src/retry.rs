//! Retries: one helper, whose schedule is data.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::ports::{Clock, RandomSource};

/// How many attempts there are, and how long the waits between them. A wait is random up to a limit
/// that doubles, so that callers that failed together do not retry together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The largest number of attempts, the first included.
    pub attempts: u32,
    /// The longest wait after the first attempt.
    pub first_wait: Duration,
    /// The longest wait after any attempt.
    pub longest_wait: Duration,
}

/// A row that others change at the same time. The worst is a storm to one recipient, whose row thirty
/// senders count in at once: one of them wins each time.
pub const CONFLICTING_WRITES: Schedule = Schedule {
    attempts: 40,
    first_wait: Duration::from_millis(10),
    longest_wait: Duration::from_millis(100),
};

/// A part of a read that DynamoDB leaves out while the table is throttled.
pub const UNPROCESSED_KEYS: Schedule = Schedule {
    attempts: 5,
    first_wait: Duration::from_millis(50),
    longest_wait: Duration::from_millis(400),
};

/// A step of a message while the ledger fails, which can also be left to the next receive. The SDK has
/// made three attempts by then.
pub const LEDGER_ERRORS: Schedule = Schedule {
    attempts: 3,
    first_wait: Duration::from_millis(100),
    longest_wait: Duration::from_millis(200),
};

/// An outcome that must be recorded before the invocation ends. The caller stops when it is too
/// late.
pub const UNTIL_THE_DEADLINE: Schedule = Schedule {
    attempts: u32::MAX,
    first_wait: Duration::from_millis(500),
    longest_wait: Duration::from_millis(500),
};

/// The right to POST while SQS does not answer. Without it the batch would come again only after the
/// visibility timeout of its queue. The caller stops when it is too late.
pub const ILL_QUEUE: Schedule = Schedule {
    attempts: u32::MAX,
    first_wait: Duration::from_secs(1),
    longest_wait: Duration::from_secs(10),
};

/// Entries of a batch that failed through a fault of SQS.
pub const FAILED_ENTRIES: Schedule = Schedule {
    attempts: 3,
    first_wait: Duration::from_millis(100),
    longest_wait: Duration::from_millis(200),
};

/// Repeats the step until it returns [`ControlFlow::Break`] or the schedule ends. Returns the value
/// of the break.
///
/// # Errors
/// The error of the last attempt when the schedule ends, or the error of the break.
pub async fn retry<T, E>(
    schedule: Schedule,
    runtime: &(impl Clock + RandomSource),
    mut act: impl AsyncFnMut() -> ControlFlow<Result<T, E>, E>,
) -> Result<T, E> {
    let mut limit = schedule.first_wait;
    let mut attempt = 1;
    loop {
        let error = match act().await {
            ControlFlow::Break(result) => return result,
            ControlFlow::Continue(error) => error,
        };
        if attempt >= schedule.attempts {
            return Err(error);
        }
        attempt = attempt.saturating_add(1);
        let milliseconds = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let wait = Duration::from_millis(runtime.up_to(milliseconds));
        runtime.pause(wait).await;
        limit = limit.saturating_mul(2).min(schedule.longest_wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;
    use futures_util::FutureExt as _;
    use std::cell::RefCell;

    /// Remembers how long it was waited for.
    #[derive(Default)]
    struct Waits(RefCell<Vec<Duration>>);

    impl Clock for Waits {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(0)
        }

        async fn pause(&self, span: Duration) {
            self.0.borrow_mut().push(span);
        }
    }

    impl RandomSource for Waits {
        fn up_to(&self, limit: u64) -> u64 {
            limit
        }
    }

    const FIVE: Schedule = Schedule {
        attempts: 5,
        first_wait: Duration::from_millis(10),
        longest_wait: Duration::from_millis(40),
    };

    #[test]
    fn waits_double_up_to_the_longest_and_the_last_error_is_given() {
        let waits = Waits::default();
        let mut attempts = 0;
        let result = retry(FIVE, &waits, async || {
            attempts += 1;
            ControlFlow::<Result<(), u32>, u32>::Continue(attempts)
        });
        assert_eq!(result.now_or_never(), Some(Err(5)));
        assert_eq!(
            waits.0.into_inner(),
            [10, 20, 40, 40].map(Duration::from_millis)
        );
    }

    #[test]
    fn what_is_over_is_not_tried_again() {
        for end in [Ok(()), Err("refused")] {
            let waits = Waits::default();
            let mut attempts = 0;
            let result = retry(FIVE, &waits, async || {
                attempts += 1;
                match attempts {
                    1 => ControlFlow::Continue("no answer"),
                    _ => ControlFlow::Break(end),
                }
            });
            assert_eq!(result.now_or_never(), Some(end));
            assert_eq!(waits.0.into_inner(), [Duration::from_millis(10)]);
        }
    }
}
