//! The `date` of an incoming message.

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::domain::text::trimmed;
use crate::domain::time::Timestamp;

/// The instant of a date, in any of the forms seen: `2017-05-03T06:04:45Z`, `2021-01-14 08:10:15`
/// (no zone: UTC), with or without a fraction of a second.
pub fn read_date(text: &str) -> Option<Timestamp> {
    let text = trimmed(text);
    let nanoseconds = OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .or_else(|| without_zone(text))?
        .unix_timestamp_nanos();
    let milliseconds = i64::try_from(nanoseconds / 1_000_000).ok()?;
    Some(Timestamp::from_millis(milliseconds))
}

fn without_zone(text: &str) -> Option<OffsetDateTime> {
    let form = format_description!(
        version = 2,
        "[year]-[month]-[day][first [T] [ ]][hour]:[minute]:[second][optional [.[subsecond]]]"
    );
    let text = text.trim_end_matches('Z');
    PrimitiveDateTime::parse(text, form)
        .ok()
        .map(PrimitiveDateTime::assume_utc)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(milliseconds: i64) -> Option<Timestamp> {
        Some(Timestamp::from_millis(milliseconds))
    }

    #[test]
    fn every_form_that_was_seen() {
        assert_eq!(read_date("2017-05-03T06:04:45Z"), at(1_493_791_485_000));
        assert_eq!(read_date("2021-01-14 08:10:15"), at(1_610_611_815_000));
        assert_eq!(
            read_date("\u{feff}2021-01-14T08:10:15\r\n"),
            at(1_610_611_815_000)
        );
        assert_eq!(read_date("2021-01-14T08:10:15"), at(1_610_611_815_000));
        assert_eq!(read_date("2021-01-14 08:10:15.250"), at(1_610_611_815_250));
        assert_eq!(read_date("2021-01-14T08:10:15.250Z"), at(1_610_611_815_250));
        assert_eq!(
            read_date("2021-01-14T11:10:15+03:00"),
            at(1_610_611_815_000)
        );
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in ["", "None", "yesterday", "2021-13-14 08:10:15", "14/01/2021"] {
            assert_eq!(read_date(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            let _ = read_date(&text);
        }
    }
}
