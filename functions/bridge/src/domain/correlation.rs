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
//! | as many reports as calls that could own them, all `Success` | all of the messages are delivered,
//! whichever SMS belongs to which; each gets one of the ids |
//! | more unclaimed reports than calls that could own them (another application sends to the same number) | none is matched |
//! | a report left over from before the call (another integration's) | it is unmatched |
//! | the report of the first attempt after the resend | matched by the message, joined with the second attempt's |
//! | a sender later gets a response with a matched id | the id belongs to its message; the message
//! that had matched it keeps its status if that was a delivery, else it fails as `outcome unknown`
//! |

use std::time::Duration;

use super::message::MessageRow;
use super::status::Status;
use crate::domain::delivery::{Report, SmsRow};
use crate::domain::time::Timestamp;

/// The clocks of report and send request are those of different functions. Each may be wrong by
/// five seconds.
const CLOCK_SKEW: Duration = Duration::from_secs(10);

/// Reports were observed to come eleven hours late. One that is later than two days is never
/// matched.
const LATEST_REPORT: Duration = Duration::from_hours(2 * 24);

/// The owner of an unmatched SMS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership<'a> {
    /// No message can have been sent as this SMS.
    Unmatched,
    /// More than one message can own it, or more SMS are unmatched than messages can own.
    Ambiguous,
    /// One message can own it, but a response to another send request may still claim it, until
    /// this time.
    TooEarly(Timestamp),
    /// This message was sent as it, in the call that began at `called_at`.
    Of {
        /// The message.
        message: &'a MessageRow,
        /// When the call began.
        called_at: Timestamp,
    },
    /// There are as many delivered SMS as calls that can own them, so that each call has sent one of
    /// them, whichever.
    AllDelivered(Vec<CallOwner<'a>>),
}

/// A call that has sent an SMS, and the SMS that it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallOwner<'a> {
    /// The message.
    pub message: &'a MessageRow,
    /// When the call began.
    pub called_at: Timestamp,
    /// The SMS.
    pub sms: &'a SmsRow,
}

/// Finds the owner of `sms` among the messages to its number with unsettled calls. `unclaimed` has
/// all unmatched SMS to the number, `sms` included. A call has surely ended `call_over_after`
/// its beginning.
pub fn ownership<'a>(
    sms: &SmsRow,
    unclaimed: &'a [SmsRow],
    messages: &'a [MessageRow],
    call_over_after: Duration,
    now: Timestamp,
) -> Ownership<'a> {
    let Some(reported_at) = first_report(sms) else {
        return Ownership::Unmatched;
    };
    let mut owners = messages.iter().filter_map(|message| {
        let called_at = message
            .unsettled_calls()
            .filter(|call| fits(*call, reported_at))
            .min()?;
        Some((message, called_at))
    });
    let Some((message, called_at)) = owners.next() else {
        return Ownership::Unmatched;
    };
    if owners.next().is_some() {
        return all_delivered(unclaimed, messages, call_over_after, now);
    }
    let claims = unclaimed
        .iter()
        .filter_map(first_report)
        .filter(|reported| message.unsettled_calls().any(|call| fits(call, *reported)))
        .count();
    if claims > message.unsettled_calls().count() {
        return all_delivered(unclaimed, messages, call_over_after, now);
    }
    let over = reported_at + call_over_after;
    if now < over {
        Ownership::TooEarly(over)
    } else {
        Ownership::Of { message, called_at }
    }
}

/// Gives each call one of the SMS, the earliest call the SMS that was reported on first. Ambiguous
/// unless all of the SMS are delivered, there are as many of them as calls, and each fits its call.
fn all_delivered<'a>(
    unclaimed: &'a [SmsRow],
    messages: &'a [MessageRow],
    call_over_after: Duration,
    now: Timestamp,
) -> Ownership<'a> {
    let calls = messages.iter().flat_map(|message| {
        let calls = message.unsettled_calls();
        calls.map(move |called_at| (called_at, message))
    });
    let reported = unclaimed
        .iter()
        .filter_map(|sms| Some((first_report(sms)?, sms)));
    let fits_any_report = |called_at| {
        let mut reported = unclaimed.iter().filter_map(first_report);
        reported.any(|reported_at| fits(called_at, reported_at))
    };
    let mut calls: Vec<_> = calls
        .filter(|(called_at, _)| fits_any_report(*called_at))
        .collect();
    calls.sort_by_key(|(called_at, message)| (*called_at, &message.id));
    let mut reported: Vec<_> = reported
        .filter(|(at, _)| calls.iter().any(|(called_at, _)| fits(*called_at, *at)))
        .collect();
    reported.sort_by_key(|(reported_at, sms)| (*reported_at, &sms.id));
    let pairs = calls.iter().zip(&reported);
    let each_fits = pairs.clone().all(|((called_at, _), (reported_at, sms))| {
        fits(*called_at, *reported_at) && is_delivered(sms)
    });
    let Some((last, _)) = reported.last() else {
        return Ownership::Unmatched;
    };
    if calls.len() != reported.len() || !each_fits {
        return Ownership::Ambiguous;
    }
    let over = *last + call_over_after;
    if now < over {
        return Ownership::TooEarly(over);
    }
    let owners = pairs.map(|((called_at, message), (_, sms))| CallOwner {
        message,
        called_at: *called_at,
        sms,
    });
    Ownership::AllDelivered(owners.collect())
}

fn is_delivered(sms: &SmsRow) -> bool {
    let mut meanings = sms.reports.iter().filter_map(Report::meaning);
    meanings.any(|(status, _)| status == Status::Delivered)
}

/// When the first report of an SMS came.
fn first_report(sms: &SmsRow) -> Option<Timestamp> {
    sms.reports.iter().map(|report| report.received_at).min()
}

fn fits(called_at: Timestamp, reported_at: Timestamp) -> bool {
    // One of the two is zero.
    let (early, late) = (called_at.since(reported_at), reported_at.since(called_at));
    early <= CLOCK_SKEW && late <= LATEST_REPORT
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{AtMessageId, MedicMessageId};

    const OVER: Duration = Duration::from_secs(90);

    fn sms(id: &str, reported_at: Timestamp) -> SmsRow {
        let report = Report {
            status: "Success".to_owned(),
            failure_reason: None,
            network_code: None,
            received_at: reported_at,
        };
        SmsRow::new(AtMessageId::new(id).unwrap()).with_report(report, None)
    }

    fn message(id: &str, open_calls: &[i64]) -> MessageRow {
        let mut row = MessageRow::new(MedicMessageId::new(id).unwrap(), Timestamp::from_millis(0));
        row.open_calls = open_calls
            .iter()
            .copied()
            .map(Timestamp::from_millis)
            .collect();
        row
    }

    fn of<'a>(sms: &'a SmsRow, messages: &'a [MessageRow], now: Timestamp) -> Ownership<'a> {
        ownership(sms, std::slice::from_ref(sms), messages, OVER, now)
    }

    #[test]
    fn the_one_message_that_could_own_it_does_when_no_answer_can_come_any_more() {
        let (report, messages) = (
            sms("x", Timestamp::from_millis(10_000)),
            [message("a", &[1_000])],
        );
        assert_eq!(
            of(&report, &messages, Timestamp::from_millis(99_999)),
            Ownership::TooEarly(Timestamp::from_millis(100_000))
        );
        assert_eq!(
            of(&report, &messages, Timestamp::from_millis(100_000)),
            Ownership::Of {
                message: &messages[0],
                called_at: Timestamp::from_millis(1_000)
            }
        );
    }

    #[test]
    fn two_unknown_messages_to_one_number_match_nothing() {
        let messages = [message("a", &[1_000]), message("b", &[2_000])];
        assert_eq!(
            of(
                &sms("x", Timestamp::from_millis(10_000)),
                &messages,
                Timestamp::from_millis(500_000)
            ),
            Ownership::Ambiguous
        );
    }

    /// What `ownership` says of each of the SMS.
    fn of_each<'a>(
        unclaimed: &'a [SmsRow],
        messages: &'a [MessageRow],
        now: i64,
    ) -> Vec<Ownership<'a>> {
        let now = Timestamp::from_millis(now);
        unclaimed
            .iter()
            .map(|sms| ownership(sms, unclaimed, messages, OVER, now))
            .collect()
    }

    fn failed(id: &str, reported_at: i64) -> SmsRow {
        let mut row = sms(id, Timestamp::from_millis(reported_at));
        for report in &mut row.reports {
            report.status = "Failed".to_owned();
        }
        row
    }

    #[test]
    fn as_many_successes_as_calls_deliver_all_of_them_whichever_is_whose() {
        let messages = [message("b", &[2_000]), message("a", &[1_000])];
        let unclaimed = [
            sms("y", Timestamp::from_millis(11_000)),
            sms("x", Timestamp::from_millis(10_000)),
        ];
        let owner = |message: usize, called_at, sms: usize| CallOwner {
            message: &messages[message],
            called_at: Timestamp::from_millis(called_at),
            sms: &unclaimed[sms],
        };
        let all = Ownership::AllDelivered(vec![owner(1, 1_000, 1), owner(0, 2_000, 0)]);
        assert_eq!(of_each(&unclaimed, &messages, 101_000), [all.clone(), all]);
        // No answer that could claim the last of them may come any more.
        let early = Ownership::TooEarly(Timestamp::from_millis(101_000));
        assert_eq!(
            of_each(&unclaimed, &messages, 100_999),
            [early.clone(), early]
        );
    }

    #[test]
    fn successes_that_are_not_as_many_as_the_calls_or_not_all_deliver_nothing() {
        let success = |id, at| sms(id, Timestamp::from_millis(at));
        let two = [message("a", &[1_000]), message("b", &[2_000])];
        let three_calls = [message("a", &[1_000, 1_500]), message("b", &[2_000])];
        // The second call began after both reports.
        let late = [message("a", &[1_000]), message("b", &[300_000])];
        for (unclaimed, messages) in [
            (vec![success("x", 10_000)], &two),
            (vec![success("x", 10_000), failed("y", 11_000)], &two),
            (
                vec![
                    success("x", 10_000),
                    success("y", 11_000),
                    success("z", 12_000),
                ],
                &two,
            ),
            (
                vec![success("x", 10_000), success("y", 11_000)],
                &three_calls,
            ),
            (vec![success("x", 10_000), success("y", 11_000)], &late),
        ] {
            for ownership in of_each(&unclaimed, messages, 900_000) {
                assert_eq!(ownership, Ownership::Ambiguous);
            }
        }
    }

    #[test]
    fn each_success_is_given_to_a_call_that_began_before_it() {
        let messages = [message("a", &[1_000]), message("b", &[200_000])];
        let unclaimed = [
            sms("x", Timestamp::from_millis(10_000)),
            sms("y", Timestamp::from_millis(210_000)),
        ];
        for ownership in of_each(&unclaimed, &messages, 900_000) {
            let Ownership::AllDelivered(owners) = ownership else {
                panic!("{ownership:?}")
            };
            let given: Vec<_> = owners
                .iter()
                .map(|owner| (owner.message.id.as_str(), owner.sms.id.as_str()))
                .collect();
            assert_eq!(given, [("a", "x"), ("b", "y")]);
        }
        // Both of the reports came before the second call.
        let early = [
            sms("x", Timestamp::from_millis(10_000)),
            sms("y", Timestamp::from_millis(20_000)),
        ];
        for ownership in of_each(&early, &messages, 900_000) {
            assert_eq!(ownership, Ownership::Ambiguous);
        }
    }

    #[test]
    fn another_applications_report_beside_ours_matches_nothing() {
        let (ours, other) = (
            sms("x", Timestamp::from_millis(10_000)),
            sms("y", Timestamp::from_millis(11_000)),
        );
        let messages = [message("a", &[1_000])];
        let unclaimed = [ours.clone(), other];
        assert_eq!(
            ownership(
                &ours,
                &unclaimed,
                &messages,
                OVER,
                Timestamp::from_millis(500_000)
            ),
            Ownership::Ambiguous
        );
    }

    #[test]
    fn a_report_left_over_from_before_the_call_is_unmatched() {
        assert_eq!(
            of(
                &sms("x", Timestamp::from_millis(10_000)),
                &[message("a", &[20_001])],
                Timestamp::from_millis(500_000)
            ),
            Ownership::Unmatched
        );
        assert_eq!(
            of(
                &sms("x", Timestamp::from_millis(10_000)),
                &[message("a", &[])],
                Timestamp::from_millis(500_000)
            ),
            Ownership::Unmatched
        );
    }

    #[test]
    fn a_report_that_is_later_than_two_days_proves_nothing() {
        let late = Timestamp::from_millis(1_001) + LATEST_REPORT;
        assert_eq!(
            of(
                &sms("x", late),
                &[message("a", &[1_000])],
                late + LATEST_REPORT
            ),
            Ownership::Unmatched
        );
    }

    #[test]
    fn two_attempts_of_one_message_own_two_reports_the_first_call_first() {
        let (first, second) = (
            sms("x", Timestamp::from_millis(10_000)),
            sms("y", Timestamp::from_millis(210_000)),
        );
        let messages = [message("a", &[1_000, 200_000])];
        let unclaimed = [first.clone(), second];
        assert_eq!(
            ownership(
                &first,
                &unclaimed,
                &messages,
                OVER,
                Timestamp::from_millis(500_000)
            ),
            Ownership::Of {
                message: &messages[0],
                called_at: Timestamp::from_millis(1_000)
            }
        );
    }

    #[test]
    fn an_sms_that_was_never_reported_on_is_unmatched() {
        let silent = SmsRow::new(AtMessageId::new("x").unwrap());
        assert_eq!(
            of(
                &silent,
                &[message("a", &[1])],
                Timestamp::from_millis(500_000)
            ),
            Ownership::Unmatched
        );
    }
}
