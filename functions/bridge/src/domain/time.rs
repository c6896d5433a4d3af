//! Instants, as queues, ledger and both ends date things. A span of time is a [`Duration`].

use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An instant, to the millisecond. Stored and sent as milliseconds since 1970, UTC.
///
/// Its arithmetic ends at the largest and the smallest number instead of overflowing.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Later than every other.
    pub const MAX: Self = Self(i64::MAX);

    /// From milliseconds since 1970, UTC.
    pub const fn from_millis(milliseconds: i64) -> Self {
        Self(milliseconds)
    }

    /// Milliseconds since 1970, UTC.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The time that has passed since an earlier instant. Nothing, if that is later: clocks differ.
    pub fn since(self, earlier: Self) -> Duration {
        let milliseconds = self.0.saturating_sub(earlier.0);
        Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
    }

    /// The instant itself or the next one that is a multiple of `span` after 1970.
    #[must_use]
    pub fn rounded_up(self, span: Duration) -> Self {
        let over = self.0.checked_rem_euclid(millis(span)).unwrap_or(0);
        match over {
            0 => self,
            over => Self(self.0.saturating_add(millis(span) - over)),
        }
    }
}

/// A span in whole milliseconds, as logs and time-outs take it.
pub fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_and_a_span_make_an_instant_and_no_sum_overflows() {
        let instant = Timestamp::from_millis(5);
        assert_eq!((instant + Duration::from_secs(1)).as_millis(), 1_005);
        assert_eq!((instant - Duration::from_millis(9)).as_millis(), -4);
        assert_eq!(Timestamp::MAX + Duration::MAX, Timestamp::MAX);
        assert_eq!(
            (Timestamp::from_millis(i64::MIN) - Duration::MAX).as_millis(),
            i64::MIN
        );
    }

    #[test]
    fn an_instant_is_rounded_up_to_a_multiple_of_a_span() {
        let minute = Duration::from_mins(1);
        for (instant, rounded) in [(0, 0), (1, 60_000), (60_000, 60_000), (-1, 0)] {
            let instant = Timestamp::from_millis(instant);
            assert_eq!(instant.rounded_up(minute).as_millis(), rounded);
            assert_eq!(instant.rounded_up(Duration::ZERO), instant);
        }
        assert_eq!(Timestamp::MAX.rounded_up(minute), Timestamp::MAX);
    }

    #[test]
    fn a_clock_that_is_behind_makes_no_negative_age() {
        let (early, late) = (Timestamp::from_millis(1), Timestamp::from_millis(3));
        assert_eq!(late.since(early), Duration::from_millis(2));
        assert_eq!(early.since(late), Duration::ZERO);
    }

    #[test]
    fn it_is_stored_as_milliseconds() {
        let instant = Timestamp::from_millis(1_700_000_000_123);
        let text = serde_json::to_string(&instant).unwrap();
        assert_eq!(text, "1700000000123");
        assert_eq!(serde_json::from_str::<Timestamp>(&text).unwrap(), instant);
    }
}
