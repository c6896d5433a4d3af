//! `outbound-sender`, row by row of its table.

use std::rc::Rc;
use std::time::Duration;

use bridge::domain::message::{Sending, UnknownOutcomePolicy};
use bridge::domain::sender_ids::SenderIds;
use bridge::domain::status::Status;
use simulation::africas_talking::SendDecision;
use simulation::faults::{CallDisposition, PortCall};
use simulation::lambda::Function;
use simulation::scenario::{PHONE, Scenario};
use simulation::world::{QueueName, Settings};

fn hold_policy(max_age_minutes: u64) -> Settings {
    let mut settings = Settings::default();
    settings.rules.unknown_outcome = UnknownOutcomePolicy::Hold;
    settings.rules.max_age = Duration::from_mins(max_age_minutes);
    settings
}

/// The recipient's row, the claim, the answer, the pointer.
#[test]
fn a_crash_before_or_after_any_write_of_a_send_is_harmless() {
    for skip in 0..4 {
        for dies in [CallDisposition::DiesBefore, CallDisposition::DiesAfter] {
            let scenario = Scenario::default();
            let function = Function::OutboundSender;
            scenario
                .faults
                .script(function, PortCall::Write, skip, dies, 1);
            scenario.wants("out-1");
            scenario.rest(1);
            // Only an answer that was not written down is asked for again.
            let is_lost = skip == 2 && dies == CallDisposition::DiesBefore;
            let calls = if is_lost { 2 } else { 1 };
            assert_eq!(scenario.calls("out-1"), calls, "{skip} {dies:?}");
            scenario.report("out-1", "Success");
            scenario.rest(1);
            assert_eq!(scenario.reported("out-1"), Some(Status::Delivered));
            let row = scenario.row("out-1").unwrap();
            assert_eq!(
                (row.at_ids.len(), row.reports.len()),
                (1, 1),
                "{skip} {dies:?}"
            );
            scenario.keeps_its_promises();
        }
    }
}

/// A world in which the sender of `out-1` ended between the answer and its pointer, and its copy is not back.
fn without_a_pointer() -> Scenario {
    let scenario = Scenario::default();
    let dies = CallDisposition::DiesBefore;
    scenario
        .faults
        .script(Function::OutboundSender, PortCall::Write, 3, dies, 1);
    scenario.wants("out-1");
    scenario.poll();
    scenario.seconds(10);
    scenario
}

#[test]
fn a_report_without_a_pointer_finds_the_message_by_its_open_call() {
    let scenario = without_a_pointer();
    scenario.switch_off(Function::OutboundSender);
    scenario.report("out-1", "Success");
    scenario.seconds(10);
    assert_eq!(scenario.row("out-1").unwrap().status, Status::Delivered);
    scenario.switch_on(Function::OutboundSender);
    scenario.rest(1);
    assert_eq!(scenario.calls("out-1"), 1);
    scenario.keeps_its_promises();
}

#[test]
fn a_call_without_a_pointer_is_not_struck_by_the_next_claim_for_the_number() {
    let scenario = without_a_pointer();
    scenario.verdicts(&[SendDecision::NoAnswer(false)]);
    scenario.wants("out-2");
    scenario.poll();
    scenario.seconds(50);
    scenario.switch_off(Function::OutboundSender);
    scenario.report("out-1", "Success");
    scenario.minutes(5);
    assert_eq!(scenario.row("out-1").unwrap().status, Status::Delivered);
    assert!(scenario.row("out-2").unwrap().at_ids.is_empty());
    scenario.switch_on(Function::OutboundSender);
    scenario.rest(1);
    assert_eq!((scenario.calls("out-1"), scenario.calls("out-2")), (1, 2));
    scenario.keeps_its_promises();
}

#[test]
fn each_acceptance_raises_the_status_as_far_as_it_says() {
    for (code, status) in [
        (100, Status::Pending),
        (101, Status::Sent),
        (102, Status::Unsent),
    ] {
        let scenario = Scenario::default();
        scenario.verdicts(&[SendDecision::Accepted(code)]);
        scenario.wants("out-1");
        scenario.rest(1);
        assert_eq!(scenario.reported("out-1"), Some(status), "{code}");
        let row = scenario.row("out-1").unwrap();
        assert_eq!(row.sending, Sending::Accepted);
        assert_eq!(row.at_ids.len(), 1);
        assert_eq!(row.cost.unwrap().micros, 800_000);
        assert_eq!(row.segments, 1);
        scenario.keeps_its_promises();
    }
}

#[test]
fn a_final_refusal_fails_with_africas_talkings_reason_and_is_not_tried_again() {
    for (code, reason) in [
        (401, "RiskHold"),
        (403, "InvalidPhoneNumber"),
        (404, "UnsupportedNumberType"),
        (406, "UserInBlacklist"),
        (407, "CouldNotRoute"),
    ] {
        let scenario = Scenario::default();
        scenario.verdicts(&[SendDecision::Rejected(code)]);
        scenario.wants("out-1");
        scenario.rest(1);
        scenario.minutes(120);
        assert_eq!(scenario.reported("out-1"), Some(Status::Failed));
        assert_eq!(scenario.reason("out-1").as_deref(), Some(reason));
        assert_eq!(scenario.calls("out-1"), 1);
        scenario.keeps_its_promises();
    }
}

#[test]
fn what_goes_to_no_number_fails_without_a_call() {
    for to in ["Safaricom", "20880", "0700000001", ""] {
        let scenario = Scenario::default();
        scenario.wants_to("out-1", to);
        scenario.rest(1);
        assert_eq!(scenario.reported("out-1"), Some(Status::Failed), "{to}");
        assert!(scenario.reason("out-1").is_some());
        assert_eq!(scenario.calls("out-1"), 0);
    }
}

#[test]
fn what_surely_was_not_sent_is_sent_later_and_once() {
    for verdict in [
        SendDecision::NotConnected,
        SendDecision::Http(400, false),
        SendDecision::Http(429, false),
        SendDecision::Rejected(501),
        SendDecision::Rejected(502),
    ] {
        let scenario = Scenario::default();
        scenario.verdicts(&[verdict; 3]);
        scenario.wants("out-1");
        scenario.rest(1);
        assert_eq!(scenario.calls("out-1"), 4, "{verdict:?}");
        assert_eq!(scenario.africas_talking.borrow().taken("out-1"), 1);
        scenario.keeps_its_promises();
    }
}

#[test]
fn a_promotional_message_is_tried_until_a_nigerian_night_is_over() {
    let scenario = Scenario::default();
    scenario.verdicts(&[SendDecision::Rejected(409); 18]);
    scenario.wants("out-1");
    let minutes = scenario.rest(16);
    assert!(minutes > 9 * 60, "{minutes}");
    assert_eq!(scenario.africas_talking.borrow().taken("out-1"), 1);
}

const UNKNOWN: [SendDecision; 6] = [
    SendDecision::NoAnswer(false),
    SendDecision::Http(500, false),
    SendDecision::Http(503, false),
    SendDecision::Code500(false),
    SendDecision::Unreadable(false),
    SendDecision::NoRecipient("Sent to 0/1"),
];

#[test]
fn an_unknown_outcome_is_sent_once_more_and_not_before_two_minutes() {
    for verdict in UNKNOWN {
        let scenario = Scenario::default();
        scenario.verdicts(&[verdict]);
        scenario.wants("out-1");
        scenario.rest(1);
        let at = scenario.africas_talking.borrow();
        let calls = at.calls_for("out-1");
        assert_eq!(calls.len(), 2, "{verdict:?}");
        assert!(calls[1].at_ms - calls[0].at_ms >= 120_000);
        assert_eq!(scenario.row("out-1").unwrap().sending, Sending::Accepted);
    }
}

#[test]
fn a_second_unknown_outcome_is_a_failure_that_a_late_success_overrides() {
    let scenario = Scenario::default();
    scenario.verdicts(&[SendDecision::Http(503, false), SendDecision::NoAnswer(true)]);
    scenario.wants("out-1");
    scenario.rest(1);
    assert_eq!(scenario.reason("out-1").as_deref(), Some("outcome unknown"));
    assert_eq!(scenario.calls("out-1"), 2);
    scenario.report("out-1", "Success");
    scenario.rest(1);
    assert_eq!(scenario.reported("out-1"), Some(Status::Delivered));
    assert_eq!(scenario.calls("out-1"), 2);
}

#[test]
fn a_report_to_that_number_settles_an_unknown_outcome_and_nothing_is_resent() {
    let scenario = Scenario::default();
    scenario.verdicts(&[SendDecision::NoAnswer(true)]);
    scenario.wants("out-1");
    scenario.seconds(60);
    scenario.report("out-1", "Success");
    scenario.rest(1);
    assert_eq!(scenario.calls("out-1"), 1);
    assert_eq!(scenario.reported("out-1"), Some(Status::Delivered));
    scenario.keeps_its_promises();
}

#[test]
fn held_by_policy_an_unknown_outcome_is_never_resent_and_fails_when_it_is_too_old() {
    let scenario = Scenario::new(hold_policy(90));
    scenario.verdicts(&[SendDecision::NoAnswer(false)]);
    scenario.wants("out-1");
    scenario.minutes(85);
    assert_eq!(scenario.reported("out-1"), Some(Status::Unsent));
    scenario.rest(2);
    assert_eq!(scenario.calls("out-1"), 1);
    assert_eq!(scenario.reason("out-1").as_deref(), Some("outcome unknown"));
}

#[test]
fn copies_in_two_senders_at_once_are_one_sms() {
    for _ in 0..20 {
        let scenario = Scenario::default();
        for _ in 0..6 {
            scenario.copy_into_outbox("out-1");
        }
        scenario.minutes(30);
        assert_eq!(scenario.calls("out-1"), 1);
        assert_eq!(scenario.length(QueueName::Outbox), 0);
    }
}

#[test]
fn a_copy_that_meets_a_call_waits_and_does_not_vanish() {
    let scenario = Scenario::default();
    scenario.copy_into_outbox("out-1");
    scenario.faults.script(
        Function::OutboundSender,
        PortCall::Sms,
        0,
        CallDisposition::DiesBefore,
        1,
    );
    scenario.seconds(5);
    scenario.copy_into_outbox("out-1");
    scenario.seconds(70);
    assert_eq!(scenario.length(QueueName::Outbox), 2);
    scenario.minutes(30);
    assert_eq!(scenario.calls("out-1"), 1);
    assert_eq!(scenario.length(QueueName::Outbox), 0);
}

#[test]
fn a_claim_of_which_the_answer_was_lost_is_recognised_as_ones_own() {
    let scenario = Scenario::default();
    scenario.faults.script(
        Function::OutboundSender,
        PortCall::Write,
        0,
        CallDisposition::FailsAfter,
        1,
    );
    scenario.wants("out-1");
    scenario.seconds(20);
    assert_eq!(scenario.calls("out-1"), 1);
    assert_eq!(scenario.row("out-1").unwrap().attempts, 1);
    scenario.rest(1);
    scenario.keeps_its_promises();
}

#[test]
fn a_sender_that_dies_after_its_call_leaves_an_unknown_outcome_and_at_most_a_second_sms() {
    let scenario = Scenario::default();
    scenario.faults.script(
        Function::OutboundSender,
        PortCall::Sms,
        0,
        CallDisposition::DiesAfter,
        1,
    );
    scenario.wants("out-1");
    scenario.rest(1);
    assert_eq!(scenario.calls("out-1"), 2);
    let row = scenario.row("out-1").unwrap();
    assert_eq!((row.unknown_outcomes, row.attempts), (1, 2));
    scenario.keeps_its_promises();
}

#[test]
fn an_id_in_hand_is_kept_through_an_outage_of_the_ledger() {
    let scenario = Scenario::default();
    scenario.verdicts(&[SendDecision::AcceptedSlowly(10_000)]);
    scenario.wants("out-1");
    scenario.seconds(5);
    assert_eq!(scenario.calls("out-1"), 1);
    scenario.faults.ledger_out.set(true);
    scenario.minutes(30);
    assert_eq!(scenario.events("acceptance_queued"), 1);
    scenario.faults.ledger_out.set(false);
    scenario.rest(1);
    assert_eq!(scenario.calls("out-1"), 1);
    assert_eq!(scenario.reported("out-1"), Some(Status::Sent));
    scenario.keeps_its_promises();
}

#[test]
fn an_id_that_neither_ledger_nor_queue_takes_is_logged_and_its_outcome_is_unknown() {
    let scenario = Scenario::default();
    scenario.verdicts(&[SendDecision::AcceptedSlowly(10_000)]);
    scenario.wants("out-1");
    scenario.seconds(5);
    scenario.faults.ledger_out.set(true);
    scenario.faults.queues_out.set(true);
    scenario.minutes(3);
    assert_eq!(scenario.events("acceptance_not_kept"), 1);
    scenario.faults.ledger_out.set(false);
    scenario.faults.queues_out.set(false);
    scenario.rest(2);
    let row = scenario.row("out-1").unwrap();
    assert_eq!((row.unknown_outcomes, row.attempts), (1, 2));
    scenario.keeps_its_promises();
}

#[test]
fn an_id_in_hand_is_kept_also_before_another_copy_of_its_message() {
    for minutes in [5, 30, 120] {
        let scenario = Scenario::default();
        scenario.verdicts(&[SendDecision::AcceptedSlowly(10_000)]);
        scenario.wants("out-1");
        scenario.seconds(5);
        scenario.faults.ledger_out.set(true);
        scenario.copy_into_outbox("out-1");
        scenario.minutes(minutes);
        assert_eq!(scenario.events("acceptance_queued"), 1);
        scenario.faults.ledger_out.set(false);
        scenario.rest(2);
        assert_eq!(scenario.calls("out-1"), 1, "after {minutes} minutes");
        assert_eq!(scenario.reported("out-1"), Some(Status::Sent));
    }
}

#[test]
fn a_text_that_no_sms_can_hold_fails_with_a_reason_and_stands_before_nobody() {
    let scenario = Scenario::default();
    let long = "é".repeat(60_000);
    scenario.medic.borrow_mut().wants("out-1", PHONE, &long);
    scenario.wants("out-2");
    scenario.rest(1);
    assert_eq!(scenario.calls("out-1"), 0);
    assert_eq!(scenario.reported("out-1"), Some(Status::Failed));
    assert!(
        scenario
            .reason("out-1")
            .unwrap()
            .contains("longer than an SMS")
    );
    assert_eq!(scenario.calls("out-2"), 1);
}

#[test]
fn a_message_goes_out_unchanged_under_the_sender_id_of_its_prefix() {
    let settings = Settings {
        sender_ids: Rc::new(SenderIds::parse("MYORG,+256=20880").unwrap()),
        ..Settings::default()
    };
    let scenario = Scenario::new(settings);
    scenario.wants("out-1");
    scenario.wants_to("out-2", "+256700000001");
    scenario.rest(1);
    let at = scenario.africas_talking.borrow();
    assert_eq!(at.calls_for("out-1")[0].sms.1.as_deref(), Some("MYORG"));
    assert_eq!(at.calls_for("out-2")[0].sms.1.as_deref(), Some("20880"));
    assert_eq!(at.calls_for("out-1")[0].sms.0, PHONE);
    drop(at);
    scenario.keeps_its_promises();
}
