//! A month of the calendar, in UTC.

use std::fmt;
use std::str::FromStr;

use bridge::domain::time::Timestamp;
use time::{Date, Month, OffsetDateTime, Time};

/// A month, written `2026-11`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CalendarMonth {
    year: i32,
    month: Month,
}

/// The text is no month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a month is written like 2026-11")]
pub struct NotAMonth;

impl FromStr for CalendarMonth {
    type Err = NotAMonth;

    fn from_str(text: &str) -> Result<Self, NotAMonth> {
        let (year, month) = text.split_once('-').ok_or(NotAMonth)?;
        let is_of = |digits: usize, part: &str| {
            part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !is_of(4, year) || !is_of(2, month) {
            return Err(NotAMonth);
        }
        let number: u8 = month.parse().map_err(|_| NotAMonth)?;
        Ok(Self {
            year: year.parse().map_err(|_| NotAMonth)?,
            month: Month::try_from(number).map_err(|_| NotAMonth)?,
        })
    }
}

impl CalendarMonth {
    /// The month of an instant.
    pub fn of(at: Timestamp) -> Self {
        let seconds = at.as_millis().div_euclid(1_000);
        let date =
            OffsetDateTime::from_unix_timestamp(seconds).map_or(Date::MIN, OffsetDateTime::date);
        Self {
            year: date.year(),
            month: date.month(),
        }
    }

    /// Its first instant.
    pub fn begin(self) -> Timestamp {
        let day = Date::from_calendar_date(self.year, self.month, 1).unwrap_or(Date::MIN);
        let begin = day.with_time(Time::MIDNIGHT).assume_utc();
        Timestamp::from_millis(begin.unix_timestamp().saturating_mul(1_000))
    }

    /// The first instant after it.
    pub fn end(self) -> Timestamp {
        let next = match self.month {
            Month::December => Self {
                year: self.year.saturating_add(1),
                month: Month::January,
            },
            _ => Self {
                month: self.month.next(),
                ..self
            },
        };
        next.begin()
    }

    /// Whether an instant is in it.
    pub fn has(self, at: Timestamp) -> bool {
        (self.begin()..self.end()).contains(&at)
    }
}

impl fmt::Display for CalendarMonth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, u8::from(self.month))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_on_its_first_day_and_ends_where_the_next_begins() {
        let december: CalendarMonth = "2026-12".parse().unwrap();
        let january: CalendarMonth = "2027-01".parse().unwrap();
        assert_eq!(december.begin().as_millis(), 1_796_083_200_000);
        assert_eq!(december.end(), january.begin());
        assert!(december.has(december.begin()) && !december.has(december.end()));
        assert_eq!(CalendarMonth::of(january.begin()), january);
        assert_eq!(december.to_string(), "2026-12");
    }

    #[test]
    fn what_is_no_month_is_refused() {
        for text in [
            "",
            "2026",
            "2026-13",
            "2026-00",
            "26-01",
            "2026-1",
            "2026-+1",
            "2026-01-01",
        ] {
            assert_eq!(text.parse::<CalendarMonth>(), Err(NotAMonth), "{text}");
        }
    }
}
