//! An unknown outcome and a delivery report that nobody expected: each case of
//! `functions/bridge/src/domain/evidence.rs`, through the whole system.

use bridge::domain::ids::MedicMessageId;
use bridge::domain::message::{MessageRow, Sending};
use bridge::domain::status::Status;
use bridge::ports::Row;
use simulation::africas_talking::{self, Verdict};
use simulation::scene::{OTHER_PHONE, PHONE, Scene};

/// A message of which nobody knows whether Africa's Talking took it.
fn unknown(scene: &Scene, id: &str, to: &str, was_taken: bool) {
    scene.verdicts(&[Verdict::NoAnswer(was_taken)]);
    scene.wants_to(id, to);
    scene.poll();
    scene.seconds(50);
    assert_eq!(scene.calls(id), 1);
}

#[test]
fn evidence_is_believed_only_when_no_answer_can_come_any_more() {
    let scene = Scene::default();
    unknown(&scene, "out-1", PHONE, true);
    scene.report("out-1", "Success");
    scene.seconds(60);
    let row = scene.row("out-1").unwrap();
    assert!(!matches!(row.sending, Sending::Accepted));
    assert_eq!(scene.told("out-1"), Some(Status::Unsent));
    scene.rest(1);
    assert_eq!(scene.calls("out-1"), 1);
    assert_eq!(scene.told("out-1"), Some(Status::Delivered));
    assert_eq!(scene.settled.borrow().len(), 1);
    scene.keeps_its_promises();
}

#[test]
fn two_unknown_messages_to_one_number_adopt_nothing_and_each_follows_the_policy() {
    let scene = Scene::default();
    scene.verdicts(&[Verdict::NoAnswer(true), Verdict::NoAnswer(false)]);
    scene.wants("out-1");
    scene.wants("out-2");
    scene.seconds(60);
    let at = scene.africas_talking.borrow();
    let taken = at.calls.iter().find(|call| call.at_id.is_some());
    let taken = taken.map(|call| call.message.clone());
    drop(at);
    scene.report(&taken.unwrap(), "Success");
    scene.rest(1);
    assert!(scene.events("evidence_ambiguous") > 0);
    assert!(scene.settled.borrow().is_empty());
    assert_eq!((scene.calls("out-1"), scene.calls("out-2")), (2, 2));
    scene.keeps_its_promises();
}

#[test]
fn an_unknown_message_to_another_number_does_not_stand_in_the_way() {
    let scene = Scene::default();
    unknown(&scene, "out-1", PHONE, true);
    unknown(&scene, "out-2", OTHER_PHONE, false);
    scene.report("out-1", "Success");
    scene.rest(1);
    assert_eq!((scene.calls("out-1"), scene.calls("out-2")), (1, 2));
    scene.keeps_its_promises();
}

#[test]
fn another_applications_report_beside_ours_adopts_nothing() {
    let scene = Scene::default();
    unknown(&scene, "out-1", PHONE, true);
    scene.report("out-1", "Success");
    africas_talking::report(&scene, "ATXid_of_another", PHONE, "Failed");
    scene.rest(1);
    assert!(scene.events("evidence_ambiguous") > 0);
    assert_eq!(scene.calls("out-1"), 2);
    assert!(scene.told("out-1") < Some(Status::Failed));
    scene.keeps_its_promises();
}

#[test]
fn the_report_of_the_first_attempt_after_the_resend_is_joined_with_the_seconds() {
    let scene = Scene::default();
    unknown(&scene, "out-1", PHONE, true);
    let first = scene.africas_talking.borrow().calls[0].at_id.clone();
    scene.verdicts(&[Verdict::Accepted(101)]);
    scene.minutes(8);
    assert_eq!(scene.calls("out-1"), 2);
    scene.report("out-1", "Failed");
    scene.minutes(3);
    assert_eq!(scene.told("out-1"), Some(Status::Failed));
    africas_talking::report(&scene, &first.unwrap(), PHONE, "Success");
    scene.rest(1);
    assert_eq!(scene.told("out-1"), Some(Status::Delivered));
    assert_eq!(scene.row("out-1").unwrap().at_ids.len(), 2);
    assert_eq!(scene.calls("out-1"), 2);
    scene.keeps_its_promises();
}

#[test]
fn a_sender_that_finds_its_id_adopted_elsewhere_takes_it_back() {
    let scene = Scene::default();
    unknown(&scene, "out-1", PHONE, false);
    // An index that is hours behind: it never learns that `out-2` has a call to the same number,
    // of which the answer waits in `outbox` through an outage of the ledger.
    let hidden = MessageRow::new(MedicMessageId::new("out-2").unwrap(), 0);
    scene
        .ledger
        .borrow_mut()
        .index(u64::MAX, Row::Message(hidden));
    scene.verdicts(&[Verdict::AcceptedSlowly(10_000)]);
    scene.copy_into_outbox("out-2");
    scene.seconds(5);
    assert_eq!(scene.calls("out-2"), 1);
    scene.faults.ledger_out.set(true);
    scene.report("out-2", "Success");
    scene.minutes(4);
    assert_eq!(scene.events("acceptance_queued"), 1);
    scene.switch_off(simulation::lambda::Function::OutboundSender);
    scene.faults.ledger_out.set(false);
    scene.minutes(40);
    assert_eq!(scene.row("out-1").unwrap().at_ids.len(), 1, "adopted");
    scene.switch_on(simulation::lambda::Function::OutboundSender);
    scene.rest(2);
    assert_eq!(scene.events("id_taken_back"), 1);
    assert!(scene.row("out-1").unwrap().at_ids.is_empty());
    assert_eq!(scene.row("out-2").unwrap().at_ids.len(), 1);
    assert_eq!(scene.row("out-2").unwrap().status, Status::Delivered);
    assert_eq!(scene.calls("out-2"), 1);
}
