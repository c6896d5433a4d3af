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

#[test]
fn an_sms_that_kills_the_exchange_is_dead_lettered_within_a_day_alone_and_after_an_alarm() {
    for death in [Death::Crash, Death::TimeOut] {
        let scenario = Scenario::default();
        let exchange = Function::MedicExchange;
        scenario.kills(exchange, PortCall::Post, "\"in-killer\"", death);
        scenario.phone_sends("in-killer", PHONE, "one");
        let others: Vec<String> = (0..12).map(|n| format!("in-{n}")).collect();
        for other in &others {
            scenario.phone_sends(other, OTHER_PHONE, "two");
            scenario.minutes(60);
        }
        let dead = promises::dead_letters(&scenario);
        assert_eq!(dead.keys().collect::<Vec<_>>(), ["in-killer"], "{death:?}");
        let deaths = scenario.deaths(exchange);
        assert!((11..=12).contains(&deaths), "{death:?}: {deaths}");
        assert!(scenario.events("attempt_never_ended") >= 10, "{death:?}");
        assert_eq!(scenario.stored(), others, "{death:?}");
    }
}

#[test]
fn a_message_and_a_report_that_kill_their_function_are_dead_lettered_within_a_day() {
    let scenario = Scenario::default();
    let sender = Function::OutboundSender;
    scenario.kills(sender, PortCall::Secret, "out-killer", Death::Crash);
    scenario.wants("out-killer");
    scenario.wants_to("out-1", OTHER_PHONE);
    scenario.minutes(12 * 60);
    assert_eq!(scenario.length(QueueName::OutboxDeadLetter), 1);
    assert_eq!(scenario.calls("out-1"), 1);
    assert!(scenario.deaths(sender) <= 12, "{}", scenario.deaths(sender));

    let row = scenario.ledger.borrow().message("out-1").cloned();
    let at_id = row.expect("it was sent").at_ids[0].clone();
    let recorder = Function::ReportRecorder;
    scenario.kills(recorder, PortCall::Read, at_id.as_str(), Death::TimeOut);
    scenario.report("out-1", "Success");
    scenario.minutes(12 * 60);
    assert_eq!(scenario.length(QueueName::ReportsDeadLetter), 1);
    assert!(
        scenario.deaths(recorder) <= 12,
        "{}",
        scenario.deaths(recorder)
    );
}
