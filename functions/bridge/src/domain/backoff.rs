//! How long something that could not be done waits before it is tried again.

/// Where randomness comes from: the operating system on Lambda, a seed in a simulation.
pub trait Dice {
    /// A number from 0 to `limit`, both included.
    fn up_to(&self, limit: u64) -> u64;
}

/// The longest a message is made to wait for its next try. A thousand receives (the queues'
/// `maxReceiveCount`) of this are ten days.
pub const LONGEST_WAIT_MS: i64 = 15 * 60 * 1000;

/// The longest that a message is hidden. SQS takes twelve hours, counted from the receive, and
/// refuses more altogether: this leaves room for the invocation.
pub const LONGEST_VISIBILITY_MS: i64 = 11 * 60 * 60 * 1000;

const FIRST_WAIT_MS: i64 = 5_000;

/// The wait, in milliseconds, after the given number of tries (1 for the first).
///
/// Exponential from five seconds up to [`LONGEST_WAIT_MS`], never less than `at_least_ms`, and then
/// up to a fifth more at random, so that what failed together does not come back together. The
/// jitter is on top, never under: a wait that keeps clear of Medic's own time-out stays clear of it.
pub fn wait_ms(tries: u32, at_least_ms: i64, dice: &impl Dice) -> i64 {
    let doublings = tries.saturating_sub(1).min(16);
    let exponential = (FIRST_WAIT_MS << doublings).min(LONGEST_WAIT_MS);
    let wait = exponential.max(at_least_ms);
    let jitter = dice.up_to(u64::try_from(wait / 5).unwrap_or(0));
    wait.saturating_add(i64::try_from(jitter).unwrap_or(0))
        .min(LONGEST_VISIBILITY_MS)
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
    impl Dice for Lowest {
        fn up_to(&self, _: u64) -> u64 {
            0
        }
    }
    struct Highest;
    impl Dice for Highest {
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
    fn no_wait_is_longer_than_sqs_takes() {
        assert_eq!(wait_ms(1, i64::MAX / 2, &Highest), LONGEST_VISIBILITY_MS);
        assert_eq!(whole_seconds(i64::MAX), 39_600);
        assert_eq!(whole_seconds(1), 1);
        assert_eq!(whole_seconds(-5), 0);
    }
}
