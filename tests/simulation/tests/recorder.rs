//! `report-recorder`: reports in whatever order, however often.

use bridge::domain::status::Status;
use simulation::africas_talking::{self, Verdict};
use simulation::faults::{Call, Fate};
use simulation::lambda::Function;
use simulation::scene::{PHONE, Scene};
use simulation::world::QueueName;

#[test]
fn a_report_that_beats_the_send_answer_is_not_lost() {
    let scene = Scene::default();
    scene.verdicts(&[Verdict::AcceptedSlowly(20_000)]);
    scene.wants("out-1");
    scene.seconds(3);
    scene.report("out-1", "Success");
    scene.seconds(10);
    assert_eq!(scene.told("out-1"), Some(Status::Unsent));
    scene.rest(1);
    assert_eq!(scene.told("out-1"), Some(Status::Delivered));
    assert_eq!(scene.calls("out-1"), 1);
}

#[test]
fn reports_in_any_order_and_repeated_end_as_their_join() {
    let words = ["Sent", "Submitted", "Buffered", "Failed", "Success"];
    for first in 0..words.len() {
        let scene = Scene::default();
        scene.wants("out-1");
        scene.seconds(20);
        for n in 0..2 * words.len() {
            scene.report("out-1", words[(first + 3 * n) % words.len()]);
            scene.minutes(1);
        }
        scene.rest(1);
        assert_eq!(scene.told("out-1"), Some(Status::Delivered));
        scene.keeps_its_promises();
    }
}

#[test]
fn reports_that_come_together_are_joined() {
    let scene = Scene::default();
    scene.wants("out-1");
    scene.seconds(20);
    for word in ["Success", "Sent", "Rejected", "Buffered", "Success", "Sent"] {
        scene.report("out-1", word);
    }
    scene.rest(1);
    assert_eq!(scene.told("out-1"), Some(Status::Delivered));
    scene.keeps_its_promises();
}

#[test]
fn a_failure_is_told_with_its_reason_and_without_a_number_in_it() {
    let scene = Scene::default();
    scene.wants("out-1");
    scene.seconds(20);
    scene.report("out-1", "Failed");
    scene.rest(1);
    let reason = scene.reason("out-1").unwrap();
    assert!(reason.starts_with("DeliveryFailure"), "{reason}");
    assert!(!reason.contains("2547"), "{reason}");
}

#[test]
fn a_status_that_nobody_knows_is_kept_and_counted_and_changes_nothing() {
    let scene = Scene::default();
    scene.verdicts(&[Verdict::Accepted(101)]);
    scene.wants("out-1");
    scene.seconds(20);
    scene.report("out-1", "Teleported");
    scene.rest(1);
    assert_eq!(scene.told("out-1"), Some(Status::Sent));
    assert_eq!(scene.events("unknown_report_status"), 1);
    let ledger = scene.ledger.borrow();
    assert!(
        ledger
            .rows()
            .any(|row| format!("{row:?}").contains("Teleported"))
    );
}

#[test]
fn a_report_of_somebody_elses_sms_is_kept_and_leaves_its_queue() {
    let scene = Scene::default();
    africas_talking::report(&scene, "ATXid_of_another", PHONE, "Success");
    scene.rest(1);
    assert_eq!(scene.length(QueueName::Reports), 0);
    assert_eq!(scene.events("report_recorded"), 1);
}

#[test]
fn reports_wait_for_the_ledger() {
    let scene = Scene::default();
    scene.wants("out-1");
    scene.seconds(20);
    scene.faults.ledger_out.set(true);
    scene.report("out-1", "Success");
    scene.minutes(60);
    scene.faults.ledger_out.set(false);
    scene.rest(1);
    assert_eq!(scene.told("out-1"), Some(Status::Delivered));
}

#[test]
fn a_recorder_that_dies_between_its_two_writes_is_repeated() {
    let scene = Scene::default();
    scene.wants("out-1");
    scene.seconds(20);
    scene
        .faults
        .script(Function::ReportRecorder, Call::Write, 0, Fate::DiesAfter, 1);
    scene.report("out-1", "Success");
    scene.rest(1);
    assert_eq!(scene.told("out-1"), Some(Status::Delivered));
}
