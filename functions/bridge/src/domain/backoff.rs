//! How long a queue message waits before its retry.

use std::time::Duration;

use super::time::Timestamp;

/// Where randomness comes from: the operating system on Lambda, a seed in a simulation.
pub trait RandomSource {
    /// A number from 0 to `limit`, both included.
    fn up_to(&self, limit: u64) -> u64;
}

/// The longest visibility timeout that is set. SQS refuses more than twelve hours, counted from the
/// receive. This leaves room for the invocation.
const LONGEST_VISIBILITY: Duration = Duration::from_hours(11);

/// The wait of [`Wait::Retry`], without its jitter. With it, with what Lambda needs to receive again, and
/// with the POSTs of the retry, an SMS that comes right after an outage is answered within a minute.
const RETRY_WAIT: Duration = Duration::from_secs(40);
const RETRY_JITTER: Duration = Duration::from_secs(5);

/// The longest jitter. It keeps messages that failed together from retrying together.
const LONGEST_JITTER: Duration = Duration::from_secs(10);

/// The shortest wait of [`Wait::Hold`].
const HOLD_WAIT: Duration = Duration::from_mins(3);

/// A hold ends with a half minute of the clock. So messages that were held one by one come back
/// together, and one invocation takes ten of them.
const HOLD_ENDS_WITH: Duration = Duration::from_secs(30);

/// The shortest wait of [`Wait::Until`].
const SHORTEST_WAIT: Duration = Duration::from_secs(5);

/// The first back-off of a message that Africa's Talking surely did not send, and the longest. The
/// longest is short enough for the first minutes after a night in which Nigeria takes no promotional SMS.
const FIRST_BACKOFF: Duration = Duration::from_secs(5);
const LONGEST_BACKOFF: Duration = Duration::from_mins(15);

/// The kind of wait before a retry. Neither a record's age nor its number of receives plays a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The trouble is not the record's own: Medic, the ledger or a secret is out of reach. 40 seconds,
    /// and up to five at random.
    Retry,
    /// A circuit breaker is open, or sending is paused. Three to three and a half minutes, until a
    /// full or half minute of the clock.
    Hold,
    /// Not before this instant, and not within five seconds. Up to a fifth of the wait is added at
    /// random, ten seconds at most. Jitter never shortens a wait, so that one that is longer than
    /// Medic's time-out stays longer.
    Until(Timestamp),
}

impl Wait {
    /// The wait without its jitter.
    pub fn at_least(self, now: Timestamp) -> Duration {
        match self {
            Self::Retry => RETRY_WAIT,
            Self::Hold => (now + HOLD_WAIT).rounded_up(HOLD_ENDS_WITH).since(now),
            Self::Until(until) => until.since(now).max(SHORTEST_WAIT),
        }
    }

    /// How long the record stays invisible, from now on.
    pub fn visibility(self, now: Timestamp, random: &impl RandomSource) -> Duration {
        let wait = self.at_least(now);
        let jitter = match self {
            Self::Retry => RETRY_JITTER,
            Self::Hold => Duration::ZERO,
            Self::Until(_) => (wait / 5).min(LONGEST_JITTER),
        };
        let jitter = random.up_to(u64::try_from(jitter.as_millis()).unwrap_or(u64::MAX));
        wait.saturating_add(Duration::from_millis(jitter))
            .min(LONGEST_VISIBILITY)
    }
}

/// The back-off of a message after so many calls that surely sent nothing (1 for the first): from five
/// seconds, doubling, up to fifteen minutes.
pub fn backoff(not_sent: u32) -> Duration {
    let doublings = not_sent.saturating_sub(1).min(16);
    FIRST_BACKOFF
        .saturating_mul(1 << doublings)
        .min(LONGEST_BACKOFF)
}

/// A wait in whole seconds, as SQS takes it, rounded up.
pub fn whole_seconds(wait: Duration) -> i32 {
    let wait = wait.min(LONGEST_VISIBILITY).as_millis();
    i32::try_from(wait.div_ceil(1000)).unwrap_or(i32::MAX)
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
    fn each_kind_of_wait_has_its_bounds() {
        let now = Timestamp::from_millis(1_000);
        let later = |seconds| Wait::Until(now + Duration::from_secs(seconds));
        for (wait, lowest, highest) in [
            (Wait::Retry, 40, 45),
            (Wait::Hold, 209, 209),
            (Wait::Until(Timestamp::from_millis(0)), 5, 6),
            (later(2), 5, 6),
            (later(20), 20, 24),
            (later(120), 120, 130),
            (later(3600), 3600, 3610),
            (Wait::Until(Timestamp::MAX), 39_600, 39_600),
        ] {
            let bounds = (
                wait.visibility(now, &Lowest).as_secs(),
                wait.visibility(now, &Highest).as_secs(),
            );
            assert_eq!(bounds, (lowest, highest), "{wait:?}");
        }
    }

    #[test]
    fn what_is_held_within_half_a_minute_comes_back_at_the_same_moment() {
        for (now_s, wait_s) in [(0, 180), (1, 209), (29, 181), (30, 180), (31, 209)] {
            let now = Timestamp::from_millis(now_s * 1_000);
            let wait = Wait::Hold.visibility(now, &Highest);
            assert_eq!(wait.as_secs(), wait_s, "{now_s}");
        }
    }

    #[test]
    fn the_backoff_of_a_message_doubles_up_to_a_quarter_of_an_hour() {
        let waits: Vec<u64> = (1..=10).map(|calls| backoff(calls).as_secs()).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 900, 900]);
        assert_eq!(backoff(u32::MAX), LONGEST_BACKOFF);
        assert_eq!(backoff(0), FIRST_BACKOFF);
    }

    #[test]
    fn no_wait_is_longer_than_sqs_takes() {
        assert_eq!(whole_seconds(Duration::MAX), 39_600);
        assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds(Duration::ZERO), 0);
    }
}
