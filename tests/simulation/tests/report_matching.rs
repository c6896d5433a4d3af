//! An unknown outcome and a delivery report that nobody expected: each case of
//! `functions/bridge/src/domain/correlation.rs`, through the whole system.

use bridge::domain::message::Sending;
use bridge::domain::number_calls::NumberCalls;
use bridge::domain::recipient_limit::RecipientRow;
use bridge::domain::status::Status;
use bridge::ports::Row;
use simulation::africas_talking::{self, SendDecision};
use simulation::faults::{CallDisposition, PortCall};
use simulation::lambda::Function;
use simulation::scenario::{OTHER_PHONE, PHONE, Scenario};

/// A message of which nobody knows whether Africa's Talking took it.
fn unknown(scenario: &Scenario, id: &str, to: &str, was_taken: bool) {
    scenario.verdicts(&[SendDecision::NoAnswer(was_taken)]);
    scenario.wants_to(id, to);
    scenario.poll();
    scenario.seconds(50);
    assert_eq!(scenario.calls(id), 1);
}

/// The row of the one recipient.
fn recipient(scenario: &Scenario) -> Option<RecipientRow> {
    let ledger = scenario.ledger.borrow();
    let mut recipients = ledger.rows().filter_map(|row| match row {
        Row::Recipient(row) => Some(row.clone()),
        _ => None,
    });
    recipients.next()
}

/// The report, its listing beside the call, the decision, the message, the pointer, the strike.
#[test]
fn a_crash_before_or_after_any_write_of_a_match_is_harmless() {
    for skip in 0..6 {
        for dies in [CallDisposition::DiesBefore, CallDisposition::DiesAfter] {
            let scenario = Scenario::default();
            unknown(&scenario, "out-1", PHONE, true);
            let function = Function::ReportRecorder;
            scenario
                .faults
                .script(function, PortCall::Write, skip, dies, 1);
            scenario.report("out-1", "Success");
            scenario.rest(1);
            assert_eq!(scenario.calls("out-1"), 1, "{skip} {dies:?}");
            let row = scenario.row("out-1").unwrap();
            assert_eq!(
                (row.at_ids.len(), row.reports.len()),
                (1, 1),
                "{skip} {dies:?}"
            );
            assert_eq!(scenario.reported("out-1"), Some(Status::Delivered));
            assert_eq!(recipient(&scenario).unwrap().calls, NumberCalls::default());
            scenario.keeps_its_promises();
        }
    }
}

/// A claim that came to nothing is no call: what comes of another application meanwhile is not its.
#[test]
fn a_claim_that_came_to_nothing_is_never_matched() {
    let scenario = Scenario::default();
    let dies = CallDisposition::DiesAfter;
    let function = Function::OutboundSender;
    scenario
        .faults
        .script(function, PortCall::Write, 0, dies, 1);
    scenario.copy_into_outbox("out-1");
    scenario.seconds(5);
    assert!(scenario.row("out-1").is_none());
    assert_ne!(recipient(&scenario).unwrap().calls, NumberCalls::default());
    scenario.switch_off(function);
    africas_talking::report(&scenario, "ATXid_of_another", PHONE, "Success");
    scenario.minutes(30);
    assert!(scenario.row("out-1").is_none());
    scenario.switch_on(function);
    scenario.minutes(60);
    assert_eq!(scenario.calls("out-1"), 1);
    let at_ids = scenario.row("out-1").unwrap().at_ids;
    assert!(at_ids.iter().all(|id| id.as_str() != "ATXid_of_another"));
}

#[test]
fn matching_report_is_believed_only_when_no_answer_can_come_any_more() {
    let scenario = Scenario::default();
    unknown(&scenario, "out-1", PHONE, true);
    scenario.report("out-1", "Success");
    scenario.seconds(60);
    let row = scenario.row("out-1").unwrap();
    assert!(!matches!(row.sending, Sending::Accepted));
    assert_eq!(scenario.reported("out-1"), Some(Status::Unsent));
    scenario.rest(1);
    assert_eq!(scenario.calls("out-1"), 1);
    assert_eq!(scenario.reported("out-1"), Some(Status::Delivered));
    assert_eq!(scenario.settled.borrow().len(), 1);
    scenario.keeps_its_promises();
}

#[test]
fn two_unknown_messages_to_one_number_match_nothing_and_each_follows_the_policy() {
    let scenario = Scenario::default();
    scenario.verdicts(&[SendDecision::NoAnswer(true), SendDecision::NoAnswer(false)]);
    scenario.wants("out-1");
    scenario.wants("out-2");
    scenario.seconds(60);
    let at = scenario.africas_talking.borrow();
    let taken = at.calls.iter().find(|call| call.at_id.is_some());
    let taken = taken.map(|call| call.message.clone());
    drop(at);
    scenario.report(&taken.unwrap(), "Success");
    scenario.rest(1);
    assert!(scenario.events("report_match_ambiguous") > 0);
    assert!(scenario.settled.borrow().is_empty());
    assert_eq!((scenario.calls("out-1"), scenario.calls("out-2")), (2, 2));
    scenario.keeps_its_promises();
}

#[test]
fn two_unknown_messages_to_one_number_and_two_successes_are_two_deliveries_and_nothing_is_sent_again()
 {
    let scenario = Scenario::default();
    scenario.verdicts(&[SendDecision::NoAnswer(true), SendDecision::NoAnswer(true)]);
    scenario.wants("out-1");
    scenario.wants("out-2");
    scenario.seconds(60);
    scenario.report("out-2", "Success");
    scenario.report("out-1", "Sent");
    scenario.report("out-1", "Success");
    scenario.rest(1);
    for id in ["out-1", "out-2"] {
        assert_eq!(scenario.calls(id), 1, "{id}");
        assert_eq!(scenario.reported(id), Some(Status::Delivered), "{id}");
        assert_eq!(scenario.row(id).unwrap().at_ids.len(), 1, "{id}");
    }
    // Who carries a match out that another carries out as well says so, too.
    assert!(scenario.events("report_matched") >= 2);
    scenario.keeps_its_promises();
}

#[test]
fn two_unknown_messages_to_one_number_of_which_one_failed_match_nothing() {
    let scenario = Scenario::default();
    scenario.verdicts(&[SendDecision::NoAnswer(true), SendDecision::NoAnswer(true)]);
    scenario.wants("out-1");
    scenario.wants("out-2");
    scenario.seconds(60);
    scenario.report("out-1", "Success");
    scenario.report("out-2", "Failed");
    scenario.rest(1);
    assert!(scenario.events("report_match_ambiguous") > 0);
    assert_eq!((scenario.calls("out-1"), scenario.calls("out-2")), (2, 2));
    scenario.keeps_its_promises();
}

#[test]
fn an_unknown_message_to_another_number_does_not_stand_in_the_way() {
    let scenario = Scenario::default();
    unknown(&scenario, "out-1", PHONE, true);
    unknown(&scenario, "out-2", OTHER_PHONE, false);
    scenario.report("out-1", "Success");
    scenario.rest(1);
    assert_eq!((scenario.calls("out-1"), scenario.calls("out-2")), (1, 2));
    scenario.keeps_its_promises();
}

#[test]
fn another_applications_report_beside_ours_matches_nothing() {
    let scenario = Scenario::default();
    unknown(&scenario, "out-1", PHONE, true);
    scenario.report("out-1", "Success");
    africas_talking::report(&scenario, "ATXid_of_another", PHONE, "Failed");
    scenario.rest(1);
    assert!(scenario.events("report_match_ambiguous") > 0);
    assert_eq!(scenario.calls("out-1"), 2);
    assert!(scenario.reported("out-1") < Some(Status::Failed));
    scenario.keeps_its_promises();
}

#[test]
fn the_report_of_the_first_attempt_after_the_resend_is_joined_with_the_seconds() {
    let scenario = Scenario::default();
    unknown(&scenario, "out-1", PHONE, true);
    let first = scenario.africas_talking.borrow().calls[0].at_id.clone();
    scenario.verdicts(&[SendDecision::Accepted(101)]);
    scenario.minutes(8);
    assert_eq!(scenario.calls("out-1"), 2);
    scenario.report("out-1", "Failed");
    scenario.minutes(3);
    assert_eq!(scenario.reported("out-1"), Some(Status::Failed));
    africas_talking::report(&scenario, &first.unwrap(), PHONE, "Success");
    scenario.rest(1);
    assert_eq!(scenario.reported("out-1"), Some(Status::Delivered));
    assert_eq!(scenario.row("out-1").unwrap().at_ids.len(), 2);
    assert_eq!(scenario.calls("out-1"), 2);
    scenario.keeps_its_promises();
}

#[test]
fn a_call_whose_claim_is_being_written_is_not_struck_by_the_next_claim_for_the_number() {
    let scenario = Scenario::default();
    // It has a row, and no call is listed.
    scenario.faults.secrets_out.set(true);
    scenario.copy_into_outbox("out-1");
    scenario.seconds(5);
    assert!(matches!(
        scenario.row("out-1").unwrap().sending,
        Sending::Waiting { .. }
    ));
    scenario.faults.secrets_out.set(false);
    // After the balance is noted, its call is listed, and ten seconds later its claim is written.
    let slow = CallDisposition::Slow(10_000);
    scenario
        .faults
        .script(Function::OutboundSender, PortCall::Write, 2, slow, 1);
    scenario.verdicts(&[SendDecision::NoAnswer(true); 2]);
    while recipient(&scenario).is_none() {
        scenario.seconds(1);
    }
    scenario.copy_into_outbox("out-2");
    scenario.seconds(60);
    scenario.switch_off(Function::OutboundSender);
    scenario.report("out-1", "Success");
    scenario.minutes(5);
    assert!(scenario.row("out-2").unwrap().at_ids.is_empty());
    assert!(scenario.events("report_match_ambiguous") > 0);
    scenario.switch_on(Function::OutboundSender);
    scenario.rest(1);
    scenario.keeps_its_promises();
}

#[test]
fn a_sender_that_finds_its_id_matched_elsewhere_takes_it_back() {
    let scenario = Scenario::default();
    unknown(&scenario, "out-1", PHONE, false);
    scenario.verdicts(&[SendDecision::AcceptedSlowly(10_000)]);
    scenario.copy_into_outbox("out-2");
    scenario.seconds(5);
    assert_eq!(scenario.calls("out-2"), 1);
    // The recipient's row has forgotten that `out-2` has a call to the same number, as in a storm, and its
    // answer waits in `outbox` through an outage of the ledger.
    let called = scenario.row("out-2").unwrap();
    let mut recipient = recipient(&scenario).unwrap();
    recipient.calls = recipient
        .calls
        .struck(&called.id, called.called_at().unwrap());
    scenario.ledger.borrow_mut().put(Row::Recipient(recipient));
    scenario.faults.ledger_out.set(true);
    scenario.report("out-2", "Success");
    scenario.minutes(4);
    assert_eq!(scenario.events("acceptance_queued"), 1);
    scenario.switch_off(Function::OutboundSender);
    scenario.faults.ledger_out.set(false);
    scenario.minutes(40);
    assert_eq!(scenario.row("out-1").unwrap().at_ids.len(), 1, "matched");
    scenario.switch_on(Function::OutboundSender);
    scenario.rest(2);
    assert_eq!(scenario.events("at_id_reassigned"), 1);
    assert!(scenario.row("out-1").unwrap().at_ids.is_empty());
    assert_eq!(scenario.row("out-2").unwrap().at_ids.len(), 1);
    assert_eq!(scenario.row("out-2").unwrap().status, Status::Delivered);
    assert_eq!(scenario.calls("out-2"), 1);
}

#[test]
fn after_a_storm_to_a_number_no_report_is_matched_with_a_message_that_happens_to_be_listed() {
    let scenario = Scenario::default();
    unknown(&scenario, "out-1", PHONE, true);
    let first_sms = scenario.africas_talking.borrow().calls_for("out-1")[0]
        .at_id
        .clone()
        .unwrap();
    scenario.minutes(5);
    assert_eq!(
        scenario.calls("out-1"),
        2,
        "it was sent again, and accepted"
    );
    // So many calls within a minute that the first one is left out of the recipient's row.
    for n in 0..50 {
        scenario.wants_to(&format!("storm-{n}"), PHONE);
    }
    scenario.minutes(10);
    unknown(&scenario, "out-2", PHONE, false);
    scenario.switch_off(Function::OutboundSender);
    africas_talking::report(&scenario, &first_sms, PHONE, "Success");
    scenario.minutes(5);
    assert!(scenario.row("out-2").unwrap().at_ids.is_empty());
    scenario.switch_on(Function::OutboundSender);
    scenario.rest(1);
    scenario.keeps_its_promises();
}
