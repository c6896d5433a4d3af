//! How long a queue message waits before its retry.

use std::time::Duration;

use crate::domain::time::{Timestamp, millis};

/// Where randomness comes from: the operating system on Lambda, a seed in a simulation.
pub trait RandomSource {
    /// A number from 0 to `limit`, both included.
    fn up_to(&self, limit: u64) -> u64;
}

/// The longest wait for a retry. A thousand receives (the queues' `maxReceiveCount`) of this are
/// ten days.
pub const LONGEST_WAIT: Duration = Duration::from_mins(15);

/// The longest visibility timeout that is set. SQS refuses more than twelve hours, counted from the
/// receive. This leaves room for the invocation.
pub const LONGEST_VISIBILITY: Duration = Duration::from_hours(11);

const FIRST_WAIT: Duration = Duration::from_secs(5);

/// The shortest brief wait, unless the caller names another.
pub const BRIEF_WAIT: Duration = Duration::from_secs(20);

/// The longest brief wait. A thousand receives are ten days also with waits by age.
const LONGEST_BRIEF_WAIT: Duration = Duration::from_mins(30);

/// The kind of wait before a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Exponential in the number of receives, from five seconds up to [`LONGEST_WAIT`].
    Growing {
        /// Never less than this.
        at_least: Duration,
    },
    /// A hundredth of the message's age, up to half an hour. For a message that blocks others while
    /// the other side works.
    Brief {
        /// Never less than this.
        at_least: Duration,
    },
    /// Trouble that is not the record's own (ledger, secret, other side away): 45 s, and up to 10 s at
    /// random.
    Retry,
    /// Stopped by an open circuit breaker or a pause: 3 to 4 minutes.
    Hold,
    /// Not before this instant (at least 5 s); up to a fifth of the wait, at most 10 s, is added at
    /// random.
    Until(Timestamp),
}

impl Wait {
    /// The wait without what is added at random.
    pub fn at_least(self, now: Timestamp) -> Duration {
        match self {
            Self::Growing { at_least } | Self::Brief { at_least } => at_least,
            Self::Retry => Duration::from_secs(45),
            Self::Hold => Duration::from_mins(3),
            Self::Until(then) => then.since(now).max(FIRST_WAIT),
        }
    }

    /// The visibility timeout of a record.
    pub fn visibility(self, now: Timestamp, random: &impl RandomSource) -> Duration {
        let wait = self.at_least(now);
        let most = match self {
            Self::Hold => Duration::from_mins(1),
            Self::Retry => Duration::from_secs(10),
            _ => (wait / 5).min(Duration::from_secs(10)),
        };
        let jitter = random.up_to(u64::try_from(most.as_millis()).unwrap_or(0));
        (wait + Duration::from_millis(jitter)).min(LONGEST_VISIBILITY)
    }

    /// The wait without jitter, for a message with this number of receives and this age.
    fn without_jitter(self, receives: u32, age: Duration) -> Duration {
        match self {
            Self::Growing { at_least } => {
                let doublings = receives.saturating_sub(1).min(16);
                FIRST_WAIT
                    .saturating_mul(1 << doublings)
                    .min(LONGEST_WAIT)
                    .max(at_least)
            }
            Self::Brief { at_least } => (age / 100).min(LONGEST_BRIEF_WAIT).max(at_least),
            Self::Retry | Self::Hold | Self::Until(_) => FIRST_WAIT,
        }
    }
}

/// The longest wait of messages that must be retried together, with jitter. Each has its kind of
/// wait, its number of receives and its age. `None` without messages.
///
/// Up to a fifth is added at random, so that messages that failed together do not retry together.
/// Jitter never shortens a wait, so that one that is longer than Medic's time-out stays longer.
pub fn longest_wait(
    waits: impl Iterator<Item = (Wait, u32, Duration)>,
    random: &impl RandomSource,
) -> Option<Duration> {
    let wait = waits
        .map(|(wait, receives, age)| wait.without_jitter(receives, age))
        .max()?;
    let jitter = random.up_to(u64::try_from(millis(wait / 5)).unwrap_or(0));
    let wait = wait.saturating_add(Duration::from_millis(jitter));
    Some(wait.min(LONGEST_VISIBILITY))
}

/// The growing wait with jitter, after the given number of tries (1 for the first).
pub fn wait(tries: u32, at_least: Duration, random: &impl RandomSource) -> Duration {
    let wait = Wait::Growing { at_least };
    longest_wait(std::iter::once((wait, tries, Duration::ZERO)), random).unwrap_or(at_least)
}

/// A wait in whole seconds, as SQS takes it, rounded up.
pub fn whole_seconds(wait: Duration) -> i32 {
    let wait = millis(wait.min(LONGEST_VISIBILITY));
    i32::try_from((wait + 999) / 1000).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN_DAYS: Duration = Duration::from_hours(10 * 24);

    struct Lowest;
    impl RandomSource for Lowest {
        fn up_to(&self, _: u64) -> u64 {
            0
        }
    }
    struct Highest;
    impl RandomSource for Highest {
        fn up_to(&self, limit: u64) -> u64 {
            limit
        }
    }

    #[test]
    fn waits_double_up_to_the_cap() {
        let waits: Vec<u64> = (1..=10)
            .map(|tries| wait(tries, Duration::ZERO, &Lowest).as_secs())
            .collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 900, 900]);
        assert_eq!(wait(u32::MAX, Duration::ZERO, &Lowest), LONGEST_WAIT);
    }

    #[test]
    fn jitter_is_on_top_of_the_wait_and_never_under_it() {
        assert_eq!(
            wait(1, Duration::from_secs(65), &Lowest),
            Duration::from_secs(65)
        );
        assert_eq!(
            wait(1, Duration::from_secs(65), &Highest),
            Duration::from_secs(78)
        );
    }

    #[test]
    fn a_thousand_receives_are_ten_days() {
        let total: Duration = (1..=1000)
            .map(|tries| wait(tries, Duration::ZERO, &Lowest))
            .sum();
        assert!(total >= TEN_DAYS, "{total:?}");
    }

    #[test]
    fn brief_waits_grow_with_age_and_ten_days_of_them_are_no_thousand() {
        let brief = |age| {
            let at_least = BRIEF_WAIT;
            let wait = std::iter::once((Wait::Brief { at_least }, 900, age));
            longest_wait(wait, &Lowest).unwrap()
        };
        assert_eq!(brief(Duration::ZERO), Duration::from_secs(20));
        assert_eq!(brief(Duration::from_hours(1)), Duration::from_secs(36));
        assert_eq!(brief(Duration::MAX), LONGEST_BRIEF_WAIT);
        let mut age = Duration::ZERO;
        let mut receives = 0;
        while age < TEN_DAYS {
            age += brief(age);
            receives += 1;
        }
        assert!(receives < 1000, "{receives}");
    }

    #[test]
    fn what_comes_together_waits_as_long_as_the_longest() {
        let waits = [
            (
                Wait::Growing {
                    at_least: Duration::ZERO,
                },
                1,
                Duration::ZERO,
            ),
            (
                Wait::Growing {
                    at_least: Duration::from_secs(65),
                },
                1,
                Duration::ZERO,
            ),
            (
                Wait::Brief {
                    at_least: BRIEF_WAIT,
                },
                1,
                Duration::ZERO,
            ),
        ];
        assert_eq!(
            longest_wait(waits.into_iter(), &Lowest),
            Some(Duration::from_secs(65))
        );
        assert_eq!(
            longest_wait(waits.into_iter(), &Highest),
            Some(Duration::from_secs(78))
        );
        assert_eq!(longest_wait(std::iter::empty(), &Lowest), None);
    }

    #[test]
    fn no_wait_is_longer_than_sqs_takes() {
        assert_eq!(wait(1, Duration::MAX / 2, &Highest), LONGEST_VISIBILITY);
        assert_eq!(whole_seconds(Duration::MAX), 39_600);
        assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds(Duration::ZERO), 0);
    }
}
