//! How long a queue message waits before its retry.

/// Where randomness comes from: the operating system on Lambda, a seed in a simulation.
pub trait RandomSource {
    /// A number from 0 to `limit`, both included.
    fn up_to(&self, limit: u64) -> u64;
}

/// The longest wait for a retry. A thousand receives (the queues' `maxReceiveCount`) of this are
/// ten days.
pub const LONGEST_WAIT_MS: i64 = 15 * 60 * 1000;

/// The longest visibility timeout that is set. SQS refuses more than twelve hours, counted from the
/// receive. This leaves room for the invocation.
pub const LONGEST_VISIBILITY_MS: i64 = 11 * 60 * 60 * 1000;

const FIRST_WAIT_MS: i64 = 5_000;

/// The shortest brief wait, unless the caller names another.
pub const BRIEF_WAIT_MS: i64 = 20_000;

/// The longest brief wait. A thousand receives are ten days also with waits by age.
const LONGEST_BRIEF_WAIT_MS: i64 = 30 * 60 * 1000;

/// The kind of wait before a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Exponential in the number of receives, from five seconds up to [`LONGEST_WAIT_MS`].
    Growing {
        /// Never less than this, in milliseconds.
        at_least_ms: i64,
    },
    /// A hundredth of the message's age, up to half an hour. For a message that blocks others while
    /// the other side works.
    Brief {
        /// Never less than this, in milliseconds.
        at_least_ms: i64,
    },
}

impl Wait {
    /// The wait in milliseconds without jitter, for a message with this number of receives and this
    /// age.
    fn without_jitter_ms(self, receives: u32, age_ms: i64) -> i64 {
        match self {
            Self::Growing { at_least_ms } => {
                let doublings = receives.saturating_sub(1).min(16);
                (FIRST_WAIT_MS << doublings)
                    .min(LONGEST_WAIT_MS)
                    .max(at_least_ms)
            }
            Self::Brief { at_least_ms } => {
                (age_ms / 100).min(LONGEST_BRIEF_WAIT_MS).max(at_least_ms)
            }
        }
    }
}

/// The longest wait of messages that must be retried together, with jitter. Each has its kind of
/// wait, its number of receives and its age in milliseconds. `None` without messages.
///
/// Up to a fifth is added at random, so that messages that failed together do not retry together.
/// Jitter never shortens a wait, so that one that is longer than Medic's time-out stays longer.
pub fn longest_wait_ms(
    waits: impl Iterator<Item = (Wait, u32, i64)>,
    random: &impl RandomSource,
) -> Option<i64> {
    let wait = waits
        .map(|(wait, receives, age_ms)| wait.without_jitter_ms(receives, age_ms))
        .max()?;
    let jitter = random.up_to(u64::try_from(wait / 5).unwrap_or(0));
    let wait = wait.saturating_add(i64::try_from(jitter).unwrap_or(0));
    Some(wait.min(LONGEST_VISIBILITY_MS))
}

/// The growing wait, in milliseconds with jitter, after the given number of tries (1 for the first).
pub fn wait_ms(tries: u32, at_least_ms: i64, random: &impl RandomSource) -> i64 {
    let wait = Wait::Growing { at_least_ms };
    longest_wait_ms(std::iter::once((wait, tries, 0)), random).unwrap_or(at_least_ms)
}

/// A wait in whole seconds, as SQS takes it, rounded up.
pub fn whole_seconds(wait_ms: i64) -> i32 {
    let wait_ms = wait_ms.clamp(0, LONGEST_VISIBILITY_MS);
    i32::try_from((wait_ms + 999) / 1000).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let waits: Vec<i64> = (1..=10)
            .map(|tries| wait_ms(tries, 0, &Lowest) / 1000)
            .collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 900, 900]);
        assert_eq!(wait_ms(u32::MAX, 0, &Lowest), LONGEST_WAIT_MS);
    }

    #[test]
    fn jitter_is_on_top_of_the_wait_and_never_under_it() {
        assert_eq!(wait_ms(1, 65_000, &Lowest), 65_000);
        assert_eq!(wait_ms(1, 65_000, &Highest), 78_000);
    }

    #[test]
    fn a_thousand_receives_are_ten_days() {
        let total: i64 = (1..=1000).map(|tries| wait_ms(tries, 0, &Lowest)).sum();
        assert!(total >= 10 * 24 * 3600 * 1000, "{total}");
    }

    #[test]
    fn brief_waits_grow_with_age_and_ten_days_of_them_are_no_thousand() {
        let brief = |age_ms| {
            let at_least_ms = BRIEF_WAIT_MS;
            let wait = std::iter::once((Wait::Brief { at_least_ms }, 900, age_ms));
            longest_wait_ms(wait, &Lowest).unwrap()
        };
        assert_eq!(brief(0), 20_000);
        assert_eq!(brief(3_600_000), 36_000);
        assert_eq!(brief(i64::MAX), LONGEST_BRIEF_WAIT_MS);
        let mut age_ms = 0;
        let mut receives = 0;
        while age_ms < 10 * 24 * 3600 * 1000 {
            age_ms += brief(age_ms);
            receives += 1;
        }
        assert!(receives < 1000, "{receives}");
    }

    #[test]
    fn what_comes_together_waits_as_long_as_the_longest() {
        let waits = [
            (Wait::Growing { at_least_ms: 0 }, 1, 0),
            (
                Wait::Growing {
                    at_least_ms: 65_000,
                },
                1,
                0,
            ),
            (
                Wait::Brief {
                    at_least_ms: BRIEF_WAIT_MS,
                },
                1,
                0,
            ),
        ];
        assert_eq!(longest_wait_ms(waits.into_iter(), &Lowest), Some(65_000));
        assert_eq!(longest_wait_ms(waits.into_iter(), &Highest), Some(78_000));
        assert_eq!(longest_wait_ms(std::iter::empty(), &Lowest), None);
    }

    #[test]
    fn no_wait_is_longer_than_sqs_takes() {
        assert_eq!(wait_ms(1, i64::MAX / 2, &Highest), LONGEST_VISIBILITY_MS);
        assert_eq!(whole_seconds(i64::MAX), 39_600);
        assert_eq!(whole_seconds(1), 1);
        assert_eq!(whole_seconds(-5), 0);
    }
}
