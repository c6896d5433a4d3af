//! `report-recorder`: reports in whatever order, however often.

use bridge::domain::status::Status;
use simulation::africas_talking::{self, SendDecision};
use simulation::faults::{CallDisposition, PortCall};
use simulation::lambda::Function;
use simulation::scenario::{PHONE, Scenario};
use simulation::world::QueueName;

#[test]
fn a_report_that_beats_the_send_answer_is_not_lost() {
    let scenario = Scenario::default();
    scenario.verdicts(&[SendDecision::AcceptedSlowly(20_000)]);
    scenario.wants("out-1");
    scenario.seconds(3);
    scenario.report("out-1", "Success");
    scenario.seconds(10);
    assert_eq!(scenario.reported("out-1"), Some(Status::Unsent));
    scenario.rest(1);
    assert_eq!(scenario.reported("out-1"), Some(Status::Delivered));
    assert_eq!(scenario.calls("out-1"), 1);
}

#[test]
fn reports_in_any_order_and_repeated_end_as_their_join() {
    let words = ["Sent", "Submitted", "Buffered", "Failed", "Success"];
    for first in 0..words.len() {
        let scenario = Scenario::default();
        scenario.wants("out-1");
        scenario.seconds(20);
        for n in 0..2 * words.len() {
            scenario.report("out-1", words[(first + 3 * n) % words.len()]);
            scenario.minutes(1);
        }
        scenario.rest(1);
        assert_eq!(scenario.reported("out-1"), Some(Status::Delivered));
        scenario.keeps_its_promises();
    }
}

#[test]
fn reports_that_come_together_are_joined() {
    let scenario = Scenario::default();
    scenario.wants("out-1");
    scenario.seconds(20);
    for word in ["Success", "Sent", "Rejected", "Buffered", "Success", "Sent"] {
        scenario.report("out-1", word);
    }
    scenario.rest(1);
    assert_eq!(scenario.reported("out-1"), Some(Status::Delivered));
    scenario.keeps_its_promises();
}

#[test]
fn a_failure_is_reported_with_its_reason_and_without_a_number_in_it() {
    let scenario = Scenario::default();
    scenario.wants("out-1");
    scenario.seconds(20);
    scenario.report("out-1", "Failed");
    scenario.rest(1);
    let reason = scenario.reason("out-1").unwrap();
    assert!(reason.starts_with("DeliveryFailure"), "{reason}");
    assert!(!reason.contains("2547"), "{reason}");
}

#[test]
fn a_status_that_nobody_knows_is_kept_and_counted_and_changes_nothing() {
    let scenario = Scenario::default();
    scenario.verdicts(&[SendDecision::Accepted(101)]);
    scenario.wants("out-1");
    scenario.seconds(20);
    scenario.report("out-1", "Teleported");
    scenario.rest(1);
    assert_eq!(scenario.reported("out-1"), Some(Status::Sent));
    assert_eq!(scenario.events("unknown_report_status"), 1);
    let ledger = scenario.ledger.borrow();
    assert!(
        ledger
            .rows()
            .any(|row| format!("{row:?}").contains("Teleported"))
    );
}

#[test]
fn a_report_of_somebody_elses_sms_is_kept_and_leaves_its_queue() {
    let scenario = Scenario::default();
    africas_talking::report(&scenario, "ATXid_of_another", PHONE, "Success");
    scenario.rest(1);
    assert_eq!(scenario.length(QueueName::Reports), 0);
    assert_eq!(scenario.events("report_recorded"), 1);
}

#[test]
fn reports_wait_for_the_ledger() {
    let scenario = Scenario::default();
    scenario.wants("out-1");
    scenario.seconds(20);
    scenario.faults.ledger_out.set(true);
    scenario.report("out-1", "Success");
    scenario.minutes(60);
    scenario.faults.ledger_out.set(false);
    scenario.rest(1);
    assert_eq!(scenario.reported("out-1"), Some(Status::Delivered));
}

#[test]
fn a_recorder_that_dies_between_its_two_writes_is_repeated() {
    let scenario = Scenario::default();
    scenario.wants("out-1");
    scenario.seconds(20);
    scenario.faults.script(
        Function::ReportRecorder,
        PortCall::Write,
        0,
        CallDisposition::DiesAfter,
        1,
    );
    scenario.report("out-1", "Success");
    scenario.rest(1);
    assert_eq!(scenario.reported("out-1"), Some(Status::Delivered));
}
