use std::time::Duration;

use super::*;
use crate::domain::quarantine::MedicFailure;
use crate::domain::time::Timestamp;
use proptest::prelude::*;

const RULES: SendingRules = SendingRules {
    unknown_outcome: UnknownOutcomePolicy::ResendOnce,
    resend_after: Duration::from_mins(2),
    max_age: Duration::from_hours(1),
    call_over_after: Duration::from_secs(90),
};

fn token(name: &str) -> ClaimToken {
    ClaimToken(name.to_owned())
}

fn row() -> MessageRow {
    MessageRow::new(
        MedicMessageId::new("uuid-1").unwrap(),
        Timestamp::from_millis(0),
    )
}

fn answer() -> MedicFailure {
    MedicFailure::Answer("{\"code\":500}".to_owned())
}

fn call(step: NextStep) -> MessageRow {
    match step {
        NextStep::Call(row) => row,
        other => panic!("expected a call, got {other:?}"),
    }
}

fn written(step: NextStep) -> MessageRow {
    match step {
        NextStep::Write(row) => row,
        other => panic!("expected a write, got {other:?}"),
    }
}

fn accepted(at_id: &str, status: Status) -> Acceptance {
    Acceptance {
        at_id: Some(AtMessageId::new(at_id).unwrap()),
        status,
        cost: None,
        parts: None,
    }
}

#[test]
fn a_new_row_is_unsent_and_nothing_of_it_is_reported() {
    let row = row();
    assert_eq!((row.status, row.reported), (Status::Unsent, None));
    assert!(row.is_unreported());
    assert!(!row.after_reporting(Status::Unsent).is_unreported());
}

#[test]
fn a_queued_message_is_claimed_before_the_call_and_a_second_copy_waits() {
    let claimed = call(row().next_step(&token("a"), &RULES, Timestamp::from_millis(1_000), true));
    assert_eq!(claimed.attempts, 1);
    assert_eq!(
        claimed
            .clone()
            .next_step(&token("b"), &RULES, Timestamp::from_millis(2_000), true),
        NextStep::WaitUntil(Timestamp::from_millis(91_000))
    );
    assert!(matches!(
        claimed.next_step(&token("a"), &RULES, Timestamp::from_millis(2_000), true),
        NextStep::CallNow(_)
    ));
}

#[test]
fn a_call_whose_invocation_died_becomes_unknown_only_after_its_time_out() {
    let claimed = call(row().next_step(&token("a"), &RULES, Timestamp::from_millis(1_000), true));
    assert_eq!(
        claimed
            .clone()
            .next_step(&token("b"), &RULES, Timestamp::from_millis(90_999), true),
        NextStep::WaitUntil(Timestamp::from_millis(91_000))
    );
    let unknown =
        written(claimed.next_step(&token("b"), &RULES, Timestamp::from_millis(91_000), true));
    assert_eq!(
        unknown.sending,
        Sending::Unknown {
            since: Timestamp::from_millis(91_000)
        }
    );
    assert_eq!(unknown.unknown_outcomes, 1);
}

#[test]
fn an_unknown_outcome_is_resent_once_and_the_second_one_is_final() {
    let first = call(row().next_step(&token("a"), &RULES, Timestamp::from_millis(0), true))
        .after_unknown_outcome(&token("a"), Timestamp::from_millis(0));
    assert_eq!(
        first
            .clone()
            .next_step(&token("b"), &RULES, Timestamp::from_millis(119_999), true),
        NextStep::WaitUntil(Timestamp::from_millis(120_000))
    );
    let second = call(first.next_step(&token("b"), &RULES, Timestamp::from_millis(120_000), true))
        .after_unknown_outcome(&token("b"), Timestamp::from_millis(120_000));
    assert_eq!(second.attempts, 2);
    let end = written(second.next_step(&token("c"), &RULES, Timestamp::from_millis(240_000), true));
    assert_eq!(end.sending, Sending::Failed);
    assert_eq!(end.status, Status::Failed);
    assert_eq!(
        end.failure_reason.as_ref().unwrap().as_str(),
        "outcome unknown"
    );
    assert_eq!(
        end.raised(Status::Delivered, None).status,
        Status::Delivered
    );
}

#[test]
fn a_held_unknown_outcome_is_never_resent_and_fails_when_it_is_too_old() {
    let rules = SendingRules {
        unknown_outcome: UnknownOutcomePolicy::Hold,
        ..RULES
    };
    let unknown = call(row().next_step(&token("a"), &rules, Timestamp::from_millis(0), true))
        .after_unknown_outcome(&token("a"), Timestamp::from_millis(0));
    assert_eq!(
        unknown
            .clone()
            .next_step(&token("b"), &rules, Timestamp::from_millis(3_599_999), true),
        NextStep::WaitUntil(Timestamp::from_millis(3_600_000))
    );
    let end =
        written(unknown.next_step(&token("b"), &rules, Timestamp::from_millis(3_600_000), true));
    assert_eq!(end.failure_reason.unwrap().as_str(), "outcome unknown");
}

#[test]
fn an_unknown_outcome_that_is_too_old_is_not_resent() {
    let unknown =
        call(row().next_step(&token("a"), &RULES, Timestamp::from_millis(3_599_000), true))
            .after_unknown_outcome(&token("a"), Timestamp::from_millis(3_599_000));
    let end =
        written(unknown.next_step(&token("b"), &RULES, Timestamp::from_millis(3_720_000), true));
    assert_eq!(end.failure_reason.unwrap().as_str(), "outcome unknown");
}

#[test]
fn matching_report_is_looked_for_before_anything_is_resent_or_given_up() {
    let unknown = call(row().next_step(&token("a"), &RULES, Timestamp::from_millis(7), true))
        .after_unknown_outcome(&token("a"), Timestamp::from_millis(7));
    assert_eq!(unknown.open_calls, [Timestamp::from_millis(7)]);
    assert_eq!(
        unknown.next_step(&token("b"), &RULES, Timestamp::from_millis(500_000), false),
        NextStep::CheckForMatchingReport
    );
}

#[test]
fn a_matched_id_settles_its_call_and_no_other() {
    let id = AtMessageId::new("ATXid_1").unwrap();
    let unknown = call(row().next_step(&token("a"), &RULES, Timestamp::from_millis(7), true))
        .after_unknown_outcome(&token("a"), Timestamp::from_millis(7));
    let matched = unknown.clone().after_match(&id, Timestamp::from_millis(7));
    assert_eq!(matched.sending, Sending::Accepted);
    assert!(matched.open_calls.is_empty());
    // The report of the first attempt comes while the second one is under way.
    let resending =
        call(unknown.next_step(&token("b"), &RULES, Timestamp::from_millis(200_000), true));
    let matched = resending.after_match(&id, Timestamp::from_millis(7));
    assert!(matches!(matched.sending, Sending::Calling { .. }));
    assert_eq!(
        matched.unsettled_calls().collect::<Vec<_>>(),
        [Timestamp::from_millis(200_000)]
    );
}

#[test]
fn what_a_report_shows_was_sent_while_another_call_is_under_way_stays_sent() {
    let id = AtMessageId::new("ATXid_1").unwrap();
    let unknown = call(row().next_step(&token("a"), &RULES, Timestamp::from_millis(7), true))
        .after_unknown_outcome(&token("a"), Timestamp::from_millis(7));
    let resending =
        call(unknown.next_step(&token("b"), &RULES, Timestamp::from_millis(200_000), true));
    let matched = resending.after_match(&id, Timestamp::from_millis(7));
    // The invocation of the second call died.
    let late = written(matched.clone().next_step(
        &token("c"),
        &RULES,
        Timestamp::from_millis(290_000),
        true,
    ));
    let reason = FailureReason::new("x");
    let no_credit = || FailureReason::new("no credit");
    let b = token("b");
    for ended in [
        late.clone(),
        matched
            .clone()
            .after_unknown_outcome(&b, Timestamp::from_millis(201_000)),
        matched
            .clone()
            .after_not_sent(&b, reason.clone(), Timestamp::from_millis(300_000)),
        matched
            .clone()
            .after_outside_failure(&b, no_credit(), Timestamp::from_millis(300_000)),
        matched
            .clone()
            .after_no_call(&b, Timestamp::from_millis(201_000)),
        matched.clone().after_final_refusal(&b, reason),
    ] {
        assert_eq!(ended.sending, Sending::Accepted);
        assert_eq!(ended.status, Status::Unsent);
        assert_eq!(
            ended.next_step(
                &token("d"),
                &RULES,
                Timestamp::from_millis(4_000_000),
                false
            ),
            NextStep::Done
        );
    }
    // A report of the second SMS, if there is one, is still known for this message's.
    assert_eq!(
        late.unsettled_calls().collect::<Vec<_>>(),
        [Timestamp::from_millis(200_000)]
    );
}

#[test]
fn a_matched_id_that_is_taken_back_leaves_the_outcome_unknown() {
    let id = AtMessageId::new("ATXid_1").unwrap();
    let matched = call(row().next_step(&token("a"), &RULES, Timestamp::from_millis(7), true))
        .after_unknown_outcome(&token("a"), Timestamp::from_millis(7))
        .after_match(&id, Timestamp::from_millis(7))
        .raised(Status::Sent, None);
    let lost = matched.clone().after_losing(&id);
    assert_eq!(
        (lost.sending, lost.status),
        (Sending::Failed, Status::Failed)
    );
    let delivered = matched.raised(Status::Delivered, None).after_losing(&id);
    assert_eq!(delivered.status, Status::Delivered);
}

#[test]
fn a_message_expires_only_while_nobody_is_sending_it() {
    assert_eq!(
        written(row().next_step(&token("a"), &RULES, Timestamp::from_millis(3_600_000), true))
            .failure_reason
            .unwrap()
            .as_str(),
        "expired"
    );
    let calling =
        call(row().next_step(&token("a"), &RULES, Timestamp::from_millis(3_599_999), true));
    assert!(matches!(
        calling.next_step(&token("b"), &RULES, Timestamp::from_millis(3_600_000), true),
        NextStep::WaitUntil(_)
    ));
}

#[test]
fn a_message_that_was_not_sent_waits_no_longer_than_it_may_live() {
    let waiting = call(row().next_step(&token("a"), &RULES, Timestamp::from_millis(0), true))
        .after_not_sent(
            &token("a"),
            FailureReason::new("DoNotDisturbRejection"),
            Timestamp::from_millis(99_999_999),
        );
    assert_eq!(
        waiting
            .clone()
            .next_step(&token("b"), &RULES, Timestamp::from_millis(1), true),
        NextStep::WaitUntil(Timestamp::from_millis(3_600_000))
    );
    assert_eq!(waiting.not_sent, 1);
}

#[test]
fn only_the_holder_of_the_claim_may_say_that_nothing_was_sent() {
    let calling = call(row().next_step(&token("a"), &RULES, Timestamp::from_millis(0), true));
    let other = token("b");
    let reason = FailureReason::new("x");
    assert_eq!(
        calling.clone().after_final_refusal(&other, reason.clone()),
        calling
    );
    assert_eq!(
        calling
            .clone()
            .after_not_sent(&other, reason, Timestamp::from_millis(5)),
        calling
    );
    assert_eq!(
        calling
            .clone()
            .after_unknown_outcome(&other, Timestamp::from_millis(0)),
        calling
    );
}

#[test]
fn an_answer_in_hand_outweighs_every_guess() {
    let given_up = call(row().next_step(&token("a"), &RULES, Timestamp::from_millis(0), true))
        .after_unknown_outcome(&token("a"), Timestamp::from_millis(0))
        .failed(FailureReason::new("outcome unknown"));
    let known = given_up.after_acceptance(
        &accepted("ATXid_1", Status::Sent),
        Timestamp::from_millis(0),
    );
    assert_eq!(known.sending, Sending::Accepted);
    assert_eq!(known.at_ids.len(), 1);
    // FAILED was reported to Medic. Only a delivery can override that.
    assert_eq!(known.status, Status::Failed);
}

#[test]
fn the_ids_of_all_attempts_are_kept() {
    let row = row()
        .after_acceptance(
            &accepted("ATXid_1", Status::Sent),
            Timestamp::from_millis(0),
        )
        .after_acceptance(
            &accepted("ATXid_2", Status::Sent),
            Timestamp::from_millis(1),
        )
        .after_acceptance(
            &accepted("ATXid_2", Status::Sent),
            Timestamp::from_millis(1),
        );
    assert_eq!(row.at_ids.len(), 2);
}

#[test]
fn a_status_that_failed_twice_is_set_aside_for_an_hour_and_waits_all_the_same() {
    const HOUR: Duration = Duration::from_hours(1);
    let failed = row().after_refusal(&answer(), Timestamp::from_millis(6), 0);
    assert!(failed.refused().is_some() && !failed.is_set_aside(Timestamp::from_millis(7)));
    let aside = failed.after_refusal(&answer(), Timestamp::from_millis(7), 1);
    assert!(aside.is_set_aside(Timestamp::from_millis(7) + HOUR - Duration::from_millis(1)));
    assert!(!aside.is_set_aside(Timestamp::from_millis(7) + HOUR));
    assert!(aside.is_unreported(), "it waits, and is in the index");
    // A higher one is another matter.
    let higher = aside.raised(Status::Sent, None);
    assert!(higher.is_unreported() && !higher.is_set_aside(Timestamp::from_millis(8)));
    // All others have waited for one without an answer.
    let unanswered = row().after_refusal(&MedicFailure::NoAnswer, Timestamp::from_millis(7), 0);
    assert!(unanswered.is_set_aside(Timestamp::from_millis(8)));
}

#[test]
fn a_status_that_fails_counts_when_something_was_taken_since_the_last_time() {
    let mut refused = row();
    for (progress, times) in [(3, 0), (3, 0), (4, 1), (9, 2), (9, 2), (0, 2)] {
        refused = refused.after_refusal(&answer(), Timestamp::from_millis(7), progress);
        assert_eq!(refused.times_set_aside(), times, "{progress}");
    }
    assert_eq!(refused.refused().unwrap().progress, 9);
    let other = refused.raised(Status::Sent, None);
    let other = other.after_refusal(&answer(), Timestamp::from_millis(7), 20);
    assert_eq!(other.times_set_aside(), 0);
}

#[test]
fn a_row_written_by_an_earlier_version_is_read_as_what_it_was() {
    let read = |golden: &str| serde_json::from_str::<MessageRow>(golden).unwrap();
    let with_log = include_str!("../../../tests/golden/message-row-with-log-v1.json");
    let with_history = include_str!("../../../tests/golden/message-row-with-history-v1.json");
    assert_eq!(read(with_history), read(with_log));
    for (golden, at_ids) in [
        (include_str!("../../../tests/golden/message-row-v1.json"), 1),
        (with_log, 2),
    ] {
        let row = read(golden);
        assert_eq!(row.at_ids.len(), at_ids);
        assert_eq!(
            serde_json::to_value(&row).unwrap(),
            serde_json::from_str::<serde_json::Value>(golden).unwrap()
        );
    }
}

#[test]
fn a_row_whose_steps_cannot_be_read_is_not_read_without_them() {
    for step in [
        r#""1 teleported""#,
        r#"{"at_ms": 1, "what": "teleported"}"#,
        "1",
    ] {
        for name in ["log", "history"] {
            let row = format!(
                r#"{{"id": "uuid-1", "first_offered_ms": 0, "sending": {{"is": "queued"}}, "status": "unsent", "{name}": [{step}]}}"#
            );
            assert!(serde_json::from_str::<MessageRow>(&row).is_err(), "{row}");
        }
    }
}

fn any_event() -> impl Strategy<Value = u8> {
    0_u8..9
}

proptest! {
    /// Whatever happens in whatever order: the status never falls, at most two calls are made after
    /// which anybody could have got the SMS, and a settled message is never called for again.
    #[test]
    fn no_order_of_events_lowers_a_status_or_sends_a_third_time(
        events in proptest::collection::vec((any_event(), 0_i64..400_000), 0..40)
    ) {
        let mut row = row();
        let mut now = 0;
        let mut claims = 0_u32;
        let mut possible_sends = 0;
        for (event, later) in events {
            now += later;
            let before = row.status;
            let settled = matches!(row.sending, Sending::Accepted | Sending::Failed);
            let holder = match &row.sending {
                Sending::Calling { claim, .. } => Some(claim.clone()),
                _ => None,
            };
            row = match (event, holder) {
                (0..=3, _) => {
                    claims += 1;
                    match row.clone().next_step(&token(&claims.to_string()), &RULES, Timestamp::from_millis(now), true) {
                        NextStep::Call(next) => {
                            prop_assert!(!settled);
                            next
                        }
                        NextStep::Write(next) => next,
                        NextStep::CallNow(_) | NextStep::CheckForMatchingReport => row,
                        NextStep::WaitUntil(until) => {
                            prop_assert!(until > Timestamp::from_millis(now));
                            row
                        }
                        NextStep::Done => {
                            prop_assert!(settled);
                            row
                        }
                    }
                }
                (4, Some(holder)) => {
                    possible_sends += 1;
                    row.after_acceptance(&accepted("ATXid_1", Status::Sent), Timestamp::from_millis(0)).after_unknown_outcome(&holder, Timestamp::from_millis(now))
                }
                (5, Some(holder)) => {
                    possible_sends += 1;
                    row.after_unknown_outcome(&holder, Timestamp::from_millis(now))
                }
                (6, Some(holder)) => row.after_not_sent(&holder, FailureReason::new("429"), Timestamp::from_millis(now + 1)),
                (7, Some(holder)) => row.after_final_refusal(&holder, FailureReason::new("404")),
                (8, _) => row.raised(Status::Delivered, None),
                (_, _) => row,
            };
            prop_assert!(row.status >= before);
        }
        prop_assert!(possible_sends <= 2);
    }
}
