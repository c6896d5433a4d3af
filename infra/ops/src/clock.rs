//! AWS's clock beside that of this machine.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_sdk_cloudformation::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_cloudformation::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_cloudformation::error::BoxError;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

use crate::terminal::format_duration;

/// A date as HTTP writes it.
const HTTP_DATE: &[BorrowedFormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// A clock is right when it is off by no more than this: an answer takes some seconds on a slow
/// line, and AWS refuses signatures that are five minutes off.
const RIGHT_WITHIN: Duration = Duration::MINUTE;

/// How far this machine's clock is ahead of AWS's, by the last answer, whether it was a refusal or
/// not. (The SDK makes up for a clock that is wrong, when AWS says that it is and what time it is.)
#[derive(Clone, Debug, Default)]
pub struct AwsClock(Arc<Mutex<Option<Duration>>>);

impl AwsClock {
    /// How far this machine's clock is ahead: negative when it is behind. None, before an answer.
    pub fn off(&self) -> Option<Duration> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// By how much this machine's clock is wrong, in words, if it is.
    pub fn wrong(&self) -> Option<String> {
        wrong_by(self.off()?)
    }

    fn heard(&self, date: &str, now: OffsetDateTime) {
        if let Ok(there) = PrimitiveDateTime::parse(date, HTTP_DATE) {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *kept = Some(now - there.assume_utc());
        }
    }
}

impl Intercept for AwsClock {
    fn name(&self) -> &'static str {
        "AwsClock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date) = context.response().headers().get("date") {
            self.heard(date, SystemTime::now().into());
        }
        Ok(())
    }
}

/// Whether a clock that is so far ahead is right.
pub fn is_right(off: Duration) -> bool {
    off.abs() <= RIGHT_WITHIN
}

fn wrong_by(off: Duration) -> Option<String> {
    if is_right(off) {
        return None;
    }
    let way = if off.is_positive() {
        "ahead of"
    } else {
        "behind"
    };
    let off = format_duration(off.unsigned_abs());
    Some(format!("this machine's clock is {off} {way} that of AWS"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_minutes_off_is_wrong() {
        let clock = AwsClock::default();
        assert_eq!(clock.off(), None);
        let now = OffsetDateTime::from_unix_timestamp(1_795_354_804).unwrap();
        clock.heard("Sun, 22 Nov 2026 13:40:04 GMT", now);
        assert_eq!(clock.off(), Some(Duration::ZERO));
        clock.heard("no date", now);
        assert_eq!((clock.off(), clock.wrong()), (Some(Duration::ZERO), None));
        clock.heard("Sun, 22 Nov 2026 13:39:10 GMT", now);
        assert_eq!(clock.wrong(), None);
        clock.heard("Sun, 22 Nov 2026 13:30:04 GMT", now);
        let wrong = clock.wrong().unwrap();
        assert_eq!(wrong, "this machine's clock is 10 min ahead of that of AWS");
        clock.heard("Sun, 22 Nov 2026 18:40:04 GMT", now);
        let wrong = clock.wrong().unwrap();
        assert_eq!(wrong, "this machine's clock is 5 h behind that of AWS");
    }
}
