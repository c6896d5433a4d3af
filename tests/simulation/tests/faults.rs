//! What goes wrong between a function and a port without anybody failing: slowness, conflicts with
//! nobody, an index that learns late, clocks that differ.

use bridge::domain::status::Status;
use simulation::africas_talking::SendDecision;
use simulation::faults::{CallDisposition, PortCall};
use simulation::lambda::Function;
use simulation::random::ALWAYS;
use simulation::scenario::{OTHER_PHONE, PHONE, Scenario};

/// Longer than any function may live.
const TOO_LONG: i64 = 400_000;

/// How often an invocation was ended from outside.
fn deaths(scenario: &Scenario, function: Function) -> u64 {
    let counts = scenario.counts.borrow();
    let count = counts.get(&format!("deaths of {}", function.name()));
    count.copied().unwrap_or(0)
}

#[test]
fn a_callback_that_waits_too_long_for_sqs_is_repeated_and_one_message() {
    for disposition in [
        CallDisposition::Slow(TOO_LONG),
        CallDisposition::AnswersSlowly(TOO_LONG),
    ] {
        let scenario = Scenario::default();
        let function = Function::IncomingMessages;
        scenario
            .faults
            .script(function, PortCall::Send, 0, disposition, 1);
        let good = "id=in-1&from=%2B254700000001&text=hello";
        assert!(scenario.call_with(function, good) >= 500, "{disposition:?}");
        assert_eq!(scenario.call_with(function, good), 200, "{disposition:?}");
        scenario.rest(1);
        assert_eq!(scenario.stored(), ["in-1"], "{disposition:?}");
    }
}

#[test]
fn an_exchange_whose_port_is_slow_is_tried_again_and_stores_once() {
    for call in [
        PortCall::ChangeVisibility,
        PortCall::Read,
        PortCall::Unreported,
    ] {
        for disposition in [
            CallDisposition::Slow(5_000),
            CallDisposition::Slow(TOO_LONG),
            CallDisposition::AnswersSlowly(TOO_LONG),
        ] {
            let scenario = Scenario::without_polls();
            let function = Function::MedicExchange;
            scenario.faults.script(function, call, 0, disposition, 1);
            scenario.batch(&[("a", PHONE, "1"), ("b", PHONE, "2")]);
            scenario.rest(1);
            assert_eq!(scenario.stored(), ["a", "b"], "{call:?} {disposition:?}");
            let too_long = u64::from(disposition != CallDisposition::Slow(5_000));
            assert_eq!(
                deaths(&scenario, function),
                too_long,
                "{call:?} {disposition:?}"
            );
            scenario.keeps_its_promises();
        }
    }
}

#[test]
fn a_sender_whose_port_is_slow_sends_once_unless_nobody_can_know() {
    let ports = [
        // The claim was not written, or was and nobody called.
        (PortCall::Write, 0, CallDisposition::Slow(TOO_LONG)),
        (PortCall::Write, 0, CallDisposition::AnswersSlowly(TOO_LONG)),
        (PortCall::Write, 1, CallDisposition::Slow(TOO_LONG)),
        (PortCall::Write, 1, CallDisposition::AnswersSlowly(TOO_LONG)),
        (PortCall::Read, 0, CallDisposition::Slow(TOO_LONG)),
        (PortCall::Secret, 0, CallDisposition::Slow(TOO_LONG)),
        // Slow, but in time.
        (PortCall::Write, 0, CallDisposition::Slow(5_000)),
        (PortCall::Write, 2, CallDisposition::Slow(5_000)),
        // The answer is recorded, and its pointer is not, or nobody hears of it.
        (PortCall::Write, 3, CallDisposition::Slow(TOO_LONG)),
        (PortCall::Write, 3, CallDisposition::AnswersSlowly(TOO_LONG)),
        (PortCall::Read, 1, CallDisposition::Slow(5_000)),
    ];
    for (call, skip, disposition) in ports {
        let scenario = Scenario::default();
        let function = Function::OutboundSender;
        scenario.faults.script(function, call, skip, disposition, 1);
        scenario.wants("out-1");
        scenario.rest(1);
        assert_eq!(scenario.calls("out-1"), 1, "{call:?} {disposition:?}");
        scenario.keeps_its_promises();
    }
    // The call is over and its answer in hand when the function has to end.
    let scenario = Scenario::default();
    let slow = CallDisposition::Slow(TOO_LONG);
    scenario
        .faults
        .script(Function::OutboundSender, PortCall::Write, 2, slow, 1);
    scenario.wants("out-1");
    scenario.rest(1);
    assert_eq!(deaths(&scenario, Function::OutboundSender), 1);
    assert_eq!(scenario.calls("out-1"), 2);
    assert_eq!(scenario.row("out-1").unwrap().unknown_outcomes, 1);
    scenario.keeps_its_promises();
}

#[test]
fn a_sender_that_has_waited_too_long_before_its_call_does_not_call() {
    let scenario = Scenario::default();
    // After this there is less left than a call may take.
    let slow = CallDisposition::AnswersSlowly(50_000);
    scenario
        .faults
        .script(Function::OutboundSender, PortCall::Write, 0, slow, 1);
    scenario.wants("out-1");
    scenario.rest(1);
    assert!(scenario.was_written("no time was left"));
    assert_eq!(scenario.calls("out-1"), 1);
    let row = scenario.row("out-1").unwrap();
    assert_eq!((row.attempts, row.unknown_outcomes), (1, 0));
    scenario.keeps_its_promises();
}

#[test]
fn a_recorder_that_is_slow_is_repeated() {
    for call in [PortCall::Read, PortCall::Write] {
        let scenario = Scenario::default();
        let slow = CallDisposition::AnswersSlowly(TOO_LONG);
        scenario
            .faults
            .script(Function::ReportRecorder, call, 0, slow, 1);
        scenario.wants("out-1");
        scenario.seconds(20);
        scenario.report("out-1", "Success");
        scenario.rest(1);
        assert_eq!(deaths(&scenario, Function::ReportRecorder), 1);
        assert_eq!(scenario.reported("out-1"), Some(Status::Delivered));
    }
}

#[test]
fn writes_that_conflict_with_nobody_cost_tries_and_no_second_sms() {
    let scenario = Scenario::default();
    scenario.faults.rates.borrow_mut().conflict = ALWAYS / 2;
    for n in 0..20 {
        scenario.wants_to(&format!("out-{n}"), OTHER_PHONE);
    }
    scenario.minutes(10);
    for n in 0..20 {
        scenario.report(&format!("out-{n}"), "Success");
    }
    scenario.rest(2);
    assert!(scenario.counts.borrow()["ledger: conflict with nobody"] > 40);
    for n in 0..20 {
        let id = format!("out-{n}");
        assert_eq!(scenario.calls(&id), 1, "{id}");
        assert_eq!(scenario.reported(&id), Some(Status::Delivered), "{id}");
    }
    scenario.keeps_its_promises();
}

#[test]
fn a_ledger_that_takes_no_write_sends_nothing_and_goes_on_when_it_does() {
    let scenario = Scenario::default();
    scenario.faults.rates.borrow_mut().conflict = ALWAYS;
    scenario.wants("out-1");
    scenario.phone_sends("in-1", OTHER_PHONE, "hello");
    scenario.minutes(30);
    assert_eq!(scenario.calls("out-1"), 0);
    assert_eq!(scenario.stored(), ["in-1"]);
    scenario.faults.rates.borrow_mut().conflict = 0;
    scenario.rest(1);
    assert_eq!(scenario.calls("out-1"), 1);
    scenario.keeps_its_promises();
}

#[test]
fn an_index_that_learns_late_delays_a_status_and_never_lowers_it() {
    let scenario = Scenario::default();
    scenario.faults.rates.borrow_mut().index_lags = ALWAYS;
    for n in 0..10 {
        scenario.wants(&format!("out-{n}"));
    }
    scenario.minutes(1);
    for word in ["Sent", "Success", "Buffered"] {
        for n in 0..10 {
            scenario.report(&format!("out-{n}"), word);
        }
        scenario.seconds(45);
    }
    scenario.rest(1);
    for n in 0..10 {
        assert_eq!(
            scenario.reported(&format!("out-{n}")),
            Some(Status::Delivered)
        );
    }
    scenario.keeps_its_promises();
}

#[test]
fn matching_report_of_which_the_index_does_not_know_yet_settles_all_the_same() {
    let scenario = Scenario::default();
    scenario.verdicts(&[SendDecision::NoAnswer(true)]);
    // Neither the report nor the call need be in the index when the two meet; before the message would
    // be sent again, both are.
    scenario.faults.rates.borrow_mut().index_lags = ALWAYS;
    scenario.wants("out-1");
    scenario.seconds(50);
    scenario.report("out-1", "Sent");
    scenario.rest(1);
    assert_eq!(scenario.calls("out-1"), 1);
    assert_eq!(scenario.row("out-1").unwrap().unknown_outcomes, 1);
    // Africa's Talking's `Sent` is on its way.
    assert_eq!(scenario.reported("out-1"), Some(Status::Pending));
    scenario.keeps_its_promises();
}

#[test]
fn clocks_that_differ_by_seconds_send_nothing_twice_and_nothing_too_soon() {
    let scenario = Scenario::default();
    scenario.faults.rates.borrow_mut().clock_wrong = ALWAYS;
    scenario.verdicts(&[
        SendDecision::NoAnswer(false),
        SendDecision::Http(503, false),
        SendDecision::NoAnswer(true),
        SendDecision::Accepted(101),
        SendDecision::Http(429, false),
    ]);
    for n in 0..12 {
        let number = format!("+25470000030{n}");
        scenario.wants_to(&format!("out-{n}"), &number);
        scenario.phone_sends(&format!("in-{n}"), PHONE, "hello");
        scenario.seconds(7);
    }
    scenario.rest(2);
    assert!(scenario.counts.borrow()["clock: wrong by seconds"] > 30);
    let at = scenario.africas_talking.borrow();
    let twice: Vec<_> = (0..12)
        .map(|n| at.calls_for(&format!("out-{n}")))
        .filter(|calls| calls.len() > 1 && !calls[0].verdict.is_clear())
        .collect();
    assert_eq!(twice.len(), 3);
    for calls in twice {
        let waited_ms = calls[1].at_ms - calls[0].at_ms;
        // Two minutes, and both clocks are wrong by five seconds at most.
        assert!((110_000..400_000).contains(&waited_ms), "{waited_ms}");
    }
    drop(at);
    scenario.keeps_its_promises();
}
