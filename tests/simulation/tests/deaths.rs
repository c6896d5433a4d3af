//! Records that end the function that processes them, each time.

use simulation::faults::{Death, PortCall};
use simulation::lambda::Function;
use simulation::promises;
use simulation::scenario::{OTHER_PHONE, PHONE, Scenario};
use simulation::world::QueueName;

/// So long, and every visibility timeout has passed more than once.
const MINUTES: i64 = 30;

#[test]
fn a_record_that_ends_the_exchange_ends_it_each_time_and_is_not_lost() {
    let scenario = Scenario::default();
    let exchange = Function::MedicExchange;
    scenario.kills(exchange, PortCall::Post, "\"in-killer\"", Death::Crash);
    scenario.phone_sends("in-killer", PHONE, "one");
    scenario.minutes(MINUTES);
    assert!(
        scenario.deaths(exchange) >= 2,
        "{}",
        scenario.deaths(exchange)
    );
    assert!(scenario.stored().is_empty());
    let is_dead_lettered = promises::dead_letters(&scenario).contains_key("in-killer");
    let waits = scenario.waiting() == ["in-killer"];
    assert!(waits != is_dead_lettered);
}

#[test]
fn a_record_that_works_without_an_end_ends_with_the_time_out() {
    let scenario = Scenario::without_polls();
    let exchange = Function::MedicExchange;
    scenario.kills(exchange, PortCall::Post, "\"in-killer\"", Death::TimeOut);
    scenario.phone_sends("in-killer", PHONE, "one");
    scenario.seconds(295);
    assert_eq!(scenario.deaths(exchange), 0);
    scenario.seconds(10);
    assert_eq!(scenario.deaths(exchange), 1);
    let used = scenario.meter.borrow().of(exchange);
    assert_eq!((used.invocations, used.milliseconds), (1, 300_000));
}

#[test]
fn a_record_that_ends_the_sender_ends_it_each_time_and_is_not_lost() {
    // Before its claim, and after it.
    for call in [PortCall::Secret, PortCall::Sms] {
        let scenario = Scenario::default();
        let sender = Function::OutboundSender;
        scenario.kills(sender, call, "out-killer", Death::Crash);
        scenario.wants("out-killer");
        scenario.minutes(MINUTES);
        let deaths = scenario.deaths(sender);
        assert!(deaths >= 2, "{call:?}: {deaths}");
        assert_eq!(scenario.calls("out-killer"), 0);
        let is_waiting = scenario.length(QueueName::Outbox) > 0;
        let is_dead_lettered = scenario.length(QueueName::OutboxDeadLetter) > 0;
        let has_failed = scenario.reason("out-killer").is_some();
        assert!(is_waiting || is_dead_lettered || has_failed, "{call:?}");
    }
}

#[test]
fn a_record_that_ends_the_recorder_ends_it_each_time_and_is_not_lost() {
    let scenario = Scenario::default();
    scenario.wants_to("out-1", OTHER_PHONE);
    scenario.minutes(3);
    let row = scenario.ledger.borrow().message("out-1").cloned();
    let at_id = row.expect("it was sent").at_ids[0].clone();
    let recorder = Function::ReportRecorder;
    scenario.kills(recorder, PortCall::Read, at_id.as_str(), Death::Crash);
    scenario.report("out-1", "Success");
    scenario.minutes(MINUTES);
    assert!(scenario.deaths(recorder) >= 2);
    let is_waiting = scenario.length(QueueName::Reports) > 0;
    assert!(is_waiting || scenario.length(QueueName::ReportsDeadLetter) > 0);
}
