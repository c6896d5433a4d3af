//! Matches delivery reports with messages of unknown outcome: the report is to the message's
//! number, and its id belongs to no known send request.
//!
//! What each case means:
//!
//! | case | answer |
//! |---|---|
//! | one message to the number could own the report, and no other has claimed it for longer than
//! any invocation lives | its id is matched; nothing is resent |
//! | two messages to the number could own it | neither does; each follows the policy |
//! | more unclaimed reports than calls that could own them (another application sends to the same number) | none is matched |
//! | a report left over from before the call (another integration's) | it is unmatched |
//! | the report of the first attempt after the resend | matched by the message, joined with the second attempt's |
//! | a sender later gets a response with a matched id | the id belongs to its message; the message
//! that had matched it keeps its status if that was a delivery, else it fails as `outcome unknown`
//! |

use super::message::MessageRow;
use crate::domain::delivery::SmsRow;

/// The clocks of report and send request are those of different functions. Each may be wrong by
/// five seconds.
const CLOCK_SKEW_MS: i64 = 10_000;

/// Reports were observed to come eleven hours late. One that is later than two days is never
/// matched.
const LATEST_REPORT_MS: i64 = 2 * 24 * 60 * 60 * 1000;

/// The owner of an unmatched SMS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership<'a> {
    /// No message can have been sent as this SMS.
    Unmatched,
    /// More than one message can own it, or more SMS are unmatched than messages can own.
    Ambiguous,
    /// One message can own it, but a response to another send request may still claim it, until
    /// this time in milliseconds since 1970.
    TooEarly(i64),
    /// This message was sent as it, in the call that began at `called_at_ms`.
    Of {
        /// The message.
        message: &'a MessageRow,
        /// When the call began, in milliseconds since 1970.
        called_at_ms: i64,
    },
}

/// Finds the owner of `sms` among the messages to its number with unsettled calls. `unclaimed` has
/// all unmatched SMS to the number, `sms` included. A call has surely ended `call_over_after_ms`
/// milliseconds after its beginning.
pub fn ownership<'a>(
    sms: &SmsRow,
    unclaimed: &[SmsRow],
    messages: &'a [MessageRow],
    call_over_after_ms: i64,
    now_ms: i64,
) -> Ownership<'a> {
    let Some(reported_at_ms) = first_report_ms(sms) else {
        return Ownership::Unmatched;
    };
    let mut owners = messages.iter().filter_map(|message| {
        let called_at_ms = message
            .unsettled_calls()
            .filter(|call| fits(*call, reported_at_ms))
            .min()?;
        Some((message, called_at_ms))
    });
    let Some((message, called_at_ms)) = owners.next() else {
        return Ownership::Unmatched;
    };
    if owners.next().is_some() {
        return Ownership::Ambiguous;
    }
    let claims = unclaimed
        .iter()
        .filter_map(first_report_ms)
        .filter(|reported| message.unsettled_calls().any(|call| fits(call, *reported)))
        .count();
    if claims > message.unsettled_calls().count() {
        return Ownership::Ambiguous;
    }
    let over_ms = reported_at_ms.saturating_add(call_over_after_ms);
    if now_ms < over_ms {
        Ownership::TooEarly(over_ms)
    } else {
        Ownership::Of {
            message,
            called_at_ms,
        }
    }
}

/// When the first report of an SMS came.
fn first_report_ms(sms: &SmsRow) -> Option<i64> {
    sms.reports.iter().map(|report| report.received_at_ms).min()
}

fn fits(called_at_ms: i64, reported_at_ms: i64) -> bool {
    let delay_ms = reported_at_ms.saturating_sub(called_at_ms);
    (-CLOCK_SKEW_MS..=LATEST_REPORT_MS).contains(&delay_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::delivery::Report;
    use crate::domain::ids::{AtMessageId, MedicMessageId};

    const OVER_MS: i64 = 90_000;

    fn sms(id: &str, reported_at_ms: i64) -> SmsRow {
        let report = Report {
            status: "Success".to_owned(),
            failure_reason: None,
            network_code: None,
            received_at_ms: reported_at_ms,
        };
        SmsRow::new(AtMessageId::new(id).unwrap()).with_report(report, None)
    }

    fn message(id: &str, open_calls: &[i64]) -> MessageRow {
        let mut row = MessageRow::new(MedicMessageId::new(id).unwrap(), 0);
        row.open_calls = open_calls.to_vec();
        row
    }

    fn of<'a>(sms: &SmsRow, messages: &'a [MessageRow], now_ms: i64) -> Ownership<'a> {
        ownership(sms, std::slice::from_ref(sms), messages, OVER_MS, now_ms)
    }

    #[test]
    fn the_one_message_that_could_own_it_does_when_no_answer_can_come_any_more() {
        let (report, messages) = (sms("x", 10_000), [message("a", &[1_000])]);
        assert_eq!(of(&report, &messages, 99_999), Ownership::TooEarly(100_000));
        assert_eq!(
            of(&report, &messages, 100_000),
            Ownership::Of {
                message: &messages[0],
                called_at_ms: 1_000
            }
        );
    }

    #[test]
    fn two_unknown_messages_to_one_number_match_nothing() {
        let messages = [message("a", &[1_000]), message("b", &[2_000])];
        assert_eq!(
            of(&sms("x", 10_000), &messages, 500_000),
            Ownership::Ambiguous
        );
    }

    #[test]
    fn another_applications_report_beside_ours_matches_nothing() {
        let (ours, other) = (sms("x", 10_000), sms("y", 11_000));
        let messages = [message("a", &[1_000])];
        let unclaimed = [ours.clone(), other];
        assert_eq!(
            ownership(&ours, &unclaimed, &messages, OVER_MS, 500_000),
            Ownership::Ambiguous
        );
    }

    #[test]
    fn a_report_left_over_from_before_the_call_is_unmatched() {
        assert_eq!(
            of(&sms("x", 10_000), &[message("a", &[20_001])], 500_000),
            Ownership::Unmatched
        );
        assert_eq!(
            of(&sms("x", 10_000), &[message("a", &[])], 500_000),
            Ownership::Unmatched
        );
    }

    #[test]
    fn a_report_that_is_later_than_two_days_proves_nothing() {
        let late = LATEST_REPORT_MS + 1_001;
        assert_eq!(
            of(&sms("x", late), &[message("a", &[1_000])], late * 2),
            Ownership::Unmatched
        );
    }

    #[test]
    fn two_attempts_of_one_message_own_two_reports_the_first_call_first() {
        let (first, second) = (sms("x", 10_000), sms("y", 210_000));
        let messages = [message("a", &[1_000, 200_000])];
        let unclaimed = [first.clone(), second];
        assert_eq!(
            ownership(&first, &unclaimed, &messages, OVER_MS, 500_000),
            Ownership::Of {
                message: &messages[0],
                called_at_ms: 1_000
            }
        );
    }

    #[test]
    fn an_sms_that_was_never_reported_on_is_unmatched() {
        let silent = SmsRow::new(AtMessageId::new("x").unwrap());
        assert_eq!(
            of(&silent, &[message("a", &[1])], 500_000),
            Ownership::Unmatched
        );
    }
}
