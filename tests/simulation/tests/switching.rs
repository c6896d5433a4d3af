//! Moving over from Medic's own integration with messages in flight: the README's table, row by row.

use bridge::domain::status::Status;
use bridge::ports::Row;
use models::medic::{MessageState, StoredMessage};
use simulation::africas_talking::{self, SendDecision};
use simulation::lambda::Function;
use simulation::scenario::{OTHER_PHONE, PHONE, Scenario};
use simulation::world::QueueName;

/// The words of Medic's own integration for what it has sent, as states that are not offered.
const SENT_BEFORE: [Status; 3] = [Status::Unsent, Status::Pending, Status::Sent];

/// A message that Medic's own integration dealt with, in this state.
fn left_over(scenario: &Scenario, id: &str, state: MessageState) {
    scenario.wants(id);
    if let Some(message) = scenario.medic.borrow_mut().outgoing.last_mut() {
        message.state = state;
    }
}

/// What the ledger knows of ids of Africa's Talking that are no message's of ours.
fn unmatched(scenario: &Scenario) -> usize {
    let ledger = scenario.ledger.borrow();
    let of_unmatched = |row: &&Row| matches!(row, Row::Sms(sms) if sms.message.is_none());
    ledger.rows().filter(of_unmatched).count()
}

#[test]
fn an_incoming_message_that_medic_has_is_recognised_by_its_id() {
    let scenario = Scenario::default();
    let (id, from) = ("5e3b8c1e-0001", PHONE);
    scenario.medic.borrow_mut().store(StoredMessage {
        id: id.to_owned(),
        from: from.to_owned(),
        content: "hello".to_owned(),
        at_ms: 0,
        post: 0,
    });
    // Africa's Talking had no 200 from the old address, and tries the new one; more than once.
    for minutes in [0, 1, 10] {
        scenario.minutes(minutes);
        scenario.phone_sends(id, from, "hello");
    }
    scenario.phone_sends("new", from, "hello again");
    scenario.rest(1);
    assert_eq!(scenario.stored(), [id, "new"]);
    assert!(
        scenario
            .posts()
            .iter()
            .any(|post| post.messages.contains(&id.to_owned()))
    );
    scenario.keeps_its_promises();
}

#[test]
fn what_is_pending_or_was_offered_is_sent_once_by_the_bridge() {
    for state in [MessageState::Pending, MessageState::ForwardedToGateway] {
        let scenario = Scenario::default();
        left_over(&scenario, "out-1", state);
        scenario.rest(1);
        assert_eq!(scenario.calls("out-1"), 1);
        assert!(scenario.reported("out-1").is_some());
        scenario.minutes(60);
        assert_eq!(scenario.calls("out-1"), 1);
        scenario.keeps_its_promises();
    }
}

#[test]
fn what_becomes_due_after_the_move_is_sent_when_it_is_due() {
    let scenario = Scenario::default();
    scenario.minutes(24 * 60);
    assert!(scenario.africas_talking.borrow().calls.is_empty());
    left_over(&scenario, "out-1", MessageState::Pending);
    scenario.rest(1);
    assert_eq!(scenario.calls("out-1"), 1);
    scenario.keeps_its_promises();
}

#[test]
fn what_was_sent_before_the_move_is_not_sent_again_and_its_report_is_kept_as_unmatched() {
    for state in SENT_BEFORE {
        let scenario = Scenario::default();
        left_over(&scenario, "old-1", MessageState::after(state.medic_name()));
        // The report, and its repetition by a network that is not sure.
        for _ in 0..3 {
            africas_talking::report(&scenario, "ATXid_of_old", PHONE, "Success");
            scenario.minutes(7);
        }
        scenario.rest(1);
        let reports = scenario.africas_talking.borrow().reports["ATXid_of_old"].clone();
        assert!(reports.iter().all(|report| report.answers.contains(&200)));
        assert_eq!(scenario.reported("old-1"), Some(state), "the state stays");
        assert!(scenario.posts().iter().all(|post| post.updates.is_empty()));
        assert_eq!(scenario.calls("old-1"), 0);
        assert_eq!(unmatched(&scenario), 1);
        assert_eq!(scenario.length(QueueName::Reports), 0);
        assert_eq!(scenario.length(QueueName::ReportsDeadLetter), 0);
    }
}

#[test]
fn what_was_delivered_or_failed_stays_so_whatever_is_reported_of_it() {
    for state in [Status::Delivered, Status::Failed] {
        let scenario = Scenario::default();
        left_over(&scenario, "old-1", MessageState::after(state.medic_name()));
        for word in ["Sent", "Rejected", "Success"] {
            africas_talking::report(&scenario, "ATXid_of_old", PHONE, word);
        }
        scenario.rest(1);
        scenario.minutes(60);
        assert_eq!(scenario.reported("old-1"), Some(state));
        assert_eq!(scenario.calls("old-1"), 0);
    }
}

#[test]
fn a_report_left_over_does_not_settle_a_message_of_ours_that_is_called_for_later() {
    let scenario = Scenario::default();
    africas_talking::report(&scenario, "ATXid_of_old", PHONE, "Success");
    scenario.minutes(1);
    scenario.verdicts(&[SendDecision::NoAnswer(false)]);
    scenario.wants("out-1");
    scenario.rest(1);
    assert_eq!(scenario.calls("out-1"), 2, "the policy decides");
    assert_eq!(unmatched(&scenario), 1);
    assert_ne!(scenario.reported("out-1"), Some(Status::Delivered));
    scenario.keeps_its_promises();
}

#[test]
fn a_report_left_over_settles_nothing_while_answers_are_clear() {
    let scenario = Scenario::default();
    scenario.wants("out-1");
    scenario.seconds(10);
    africas_talking::report(&scenario, "ATXid_of_old", PHONE, "Failed");
    scenario.rest(1);
    assert!(scenario.reported("out-1") < Some(Status::Failed));
    assert_eq!(scenario.row("out-1").unwrap().at_ids.len(), 1);
    assert_eq!(unmatched(&scenario), 1);
    scenario.keeps_its_promises();
}

/// What the README warns of: nothing in a report says whose it is.
#[test]
fn a_report_left_over_is_taken_for_our_own_while_our_outcome_to_that_number_is_unknown() {
    let scenario = Scenario::default();
    scenario.verdicts(&[SendDecision::NoAnswer(false), SendDecision::NoAnswer(false)]);
    for (id, to) in [("out-1", PHONE), ("out-2", OTHER_PHONE)] {
        scenario.wants_to(id, to);
        scenario.poll();
        scenario.seconds(30);
    }
    africas_talking::report(&scenario, "ATXid_of_old", PHONE, "Success");
    scenario.rest(1);
    assert_eq!(scenario.calls("out-1"), 1);
    assert_eq!(scenario.reported("out-1"), Some(Status::Delivered));
    // To other numbers nothing changes.
    assert_eq!(scenario.calls("out-2"), 2);
}

#[test]
fn the_old_key_and_the_old_paths_work_for_the_bridge() {
    let scenario = Scenario::default();
    *scenario.secret.borrow_mut() = r#"{"key":"new","second_key":"key-of-medic"}"#.to_owned();
    let form =
        "id=in-1&from=%2B254700000001&to=20880&text=hello&date=2021-01-14+08%3A10%3A15&linkId=0";
    let request = africas_talking::request(Function::IncomingMessages, "key-of-medic", form);
    assert_eq!(
        request.uri().path(),
        "/api/v1/sms/africastalking/incoming-messages"
    );
    assert_eq!(scenario.call(Function::IncomingMessages, request), 200);
    scenario.rest(1);
    assert_eq!(scenario.stored(), ["in-1"]);
}
