//! What goes wrong between a function and a port without anybody failing: slowness, conflicts with
//! nobody, an index that learns late, clocks that differ.

use bridge::domain::status::Status;
use simulation::africas_talking::Verdict;
use simulation::faults::{Call, Fate};
use simulation::lambda::Function;
use simulation::random::ALWAYS;
use simulation::scene::{OTHER_PHONE, PHONE, Scene};

/// Longer than any function may live.
const TOO_LONG: i64 = 400_000;

/// How often an invocation was ended from outside.
fn deaths(scene: &Scene, function: Function) -> u64 {
    let counts = scene.counts.borrow();
    let count = counts.get(&format!("deaths of {}", function.name()));
    count.copied().unwrap_or(0)
}

#[test]
fn a_callback_that_waits_too_long_for_sqs_is_repeated_and_one_message() {
    for fate in [Fate::Slow(TOO_LONG), Fate::AnswersSlowly(TOO_LONG)] {
        let scene = Scene::default();
        let function = Function::IncomingMessages;
        scene.faults.script(function, Call::Send, 0, fate, 1);
        let good = "id=in-1&from=%2B254700000001&text=hello";
        assert!(scene.call_with(function, good) >= 500, "{fate:?}");
        assert_eq!(scene.call_with(function, good), 200, "{fate:?}");
        scene.rest(1);
        assert_eq!(scene.stored(), ["in-1"], "{fate:?}");
    }
}

#[test]
fn a_lane_whose_port_is_slow_is_tried_again_and_stores_once() {
    for call in [Call::Hide, Call::Read, Call::Untold] {
        for fate in [
            Fate::Slow(5_000),
            Fate::Slow(TOO_LONG),
            Fate::AnswersSlowly(TOO_LONG),
        ] {
            let scene = Scene::without_polls();
            let function = Function::MedicExchange;
            scene.faults.script(function, call, 0, fate, 1);
            scene.batch(&[("a", PHONE, "1"), ("b", PHONE, "2")]);
            scene.rest(1);
            assert_eq!(scene.stored(), ["a", "b"], "{call:?} {fate:?}");
            let too_long = u64::from(fate != Fate::Slow(5_000));
            assert_eq!(deaths(&scene, function), too_long, "{call:?} {fate:?}");
            scene.keeps_its_promises();
        }
    }
}

#[test]
fn a_sender_whose_port_is_slow_sends_once_unless_nobody_can_know() {
    let ports = [
        // The claim was not written, or was and nobody called.
        (Call::Write, 0, Fate::Slow(TOO_LONG)),
        (Call::Write, 0, Fate::AnswersSlowly(TOO_LONG)),
        (Call::Read, 0, Fate::Slow(TOO_LONG)),
        (Call::Secret, 0, Fate::Slow(TOO_LONG)),
        // Slow, but in time.
        (Call::Write, 0, Fate::Slow(5_000)),
        (Call::Write, 1, Fate::Slow(5_000)),
        (Call::Read, 1, Fate::Slow(5_000)),
    ];
    for (call, skip, fate) in ports {
        let scene = Scene::default();
        let function = Function::OutboundSender;
        scene.faults.script(function, call, skip, fate, 1);
        scene.wants("out-1");
        scene.rest(1);
        assert_eq!(scene.calls("out-1"), 1, "{call:?} {fate:?}");
        scene.keeps_its_promises();
    }
    // The call is over and its answer in hand when the function has to end.
    let scene = Scene::default();
    let slow = Fate::Slow(TOO_LONG);
    scene
        .faults
        .script(Function::OutboundSender, Call::Write, 1, slow, 1);
    scene.wants("out-1");
    scene.rest(1);
    assert_eq!(deaths(&scene, Function::OutboundSender), 1);
    assert_eq!(scene.calls("out-1"), 2);
    assert_eq!(scene.row("out-1").unwrap().unknown_outcomes, 1);
    scene.keeps_its_promises();
}

#[test]
fn a_sender_that_has_waited_too_long_before_its_call_does_not_call() {
    let scene = Scene::default();
    // After this there is less left than a call may take.
    let slow = Fate::AnswersSlowly(50_000);
    scene
        .faults
        .script(Function::OutboundSender, Call::Write, 0, slow, 1);
    scene.wants("out-1");
    scene.rest(1);
    assert!(scene.was_written("no time was left"));
    assert_eq!(scene.calls("out-1"), 1);
    let row = scene.row("out-1").unwrap();
    assert_eq!((row.attempts, row.unknown_outcomes), (1, 0));
    scene.keeps_its_promises();
}

#[test]
fn a_recorder_that_is_slow_is_repeated() {
    for call in [Call::Read, Call::Write] {
        let scene = Scene::default();
        let slow = Fate::AnswersSlowly(TOO_LONG);
        scene
            .faults
            .script(Function::ReportRecorder, call, 0, slow, 1);
        scene.wants("out-1");
        scene.seconds(20);
        scene.report("out-1", "Success");
        scene.rest(1);
        assert_eq!(deaths(&scene, Function::ReportRecorder), 1);
        assert_eq!(scene.told("out-1"), Some(Status::Delivered));
    }
}

#[test]
fn writes_that_conflict_with_nobody_cost_tries_and_no_second_sms() {
    let scene = Scene::default();
    scene.faults.rates.borrow_mut().conflict = ALWAYS / 2;
    for n in 0..20 {
        scene.wants_to(&format!("out-{n}"), OTHER_PHONE);
    }
    scene.minutes(10);
    for n in 0..20 {
        scene.report(&format!("out-{n}"), "Success");
    }
    scene.rest(2);
    assert!(scene.counts.borrow()["ledger: conflict with nobody"] > 40);
    for n in 0..20 {
        let id = format!("out-{n}");
        assert_eq!(scene.calls(&id), 1, "{id}");
        assert_eq!(scene.told(&id), Some(Status::Delivered), "{id}");
    }
    scene.keeps_its_promises();
}

#[test]
fn a_ledger_that_takes_no_write_sends_nothing_and_goes_on_when_it_does() {
    let scene = Scene::default();
    scene.faults.rates.borrow_mut().conflict = ALWAYS;
    scene.wants("out-1");
    scene.phone_sends("in-1", OTHER_PHONE, "hello");
    scene.minutes(30);
    assert_eq!(scene.calls("out-1"), 0);
    assert_eq!(scene.stored(), ["in-1"]);
    scene.faults.rates.borrow_mut().conflict = 0;
    scene.rest(1);
    assert_eq!(scene.calls("out-1"), 1);
    scene.keeps_its_promises();
}

#[test]
fn an_index_that_learns_late_delays_a_status_and_never_lowers_it() {
    let scene = Scene::default();
    scene.faults.rates.borrow_mut().index_lags = ALWAYS;
    for n in 0..10 {
        scene.wants(&format!("out-{n}"));
    }
    scene.seconds(20);
    for word in ["Sent", "Success", "Buffered"] {
        for n in 0..10 {
            scene.report(&format!("out-{n}"), word);
        }
        scene.seconds(45);
    }
    scene.rest(1);
    for n in 0..10 {
        assert_eq!(scene.told(&format!("out-{n}")), Some(Status::Delivered));
    }
    scene.keeps_its_promises();
}

#[test]
fn evidence_of_which_the_index_does_not_know_yet_settles_all_the_same() {
    let scene = Scene::default();
    scene.verdicts(&[Verdict::NoAnswer(true)]);
    // Neither the report nor the call need be in the index when the two meet; before the message would
    // be sent again, both are.
    scene.faults.rates.borrow_mut().index_lags = ALWAYS;
    scene.wants("out-1");
    scene.seconds(50);
    scene.report("out-1", "Sent");
    scene.rest(1);
    assert_eq!(scene.calls("out-1"), 1);
    assert_eq!(scene.row("out-1").unwrap().unknown_outcomes, 1);
    // Africa's Talking's `Sent` is on its way.
    assert_eq!(scene.told("out-1"), Some(Status::Pending));
    scene.keeps_its_promises();
}

#[test]
fn clocks_that_differ_by_seconds_send_nothing_twice_and_nothing_too_soon() {
    let scene = Scene::default();
    scene.faults.rates.borrow_mut().clock_wrong = ALWAYS;
    scene.verdicts(&[
        Verdict::NoAnswer(false),
        Verdict::Http(503, false),
        Verdict::NoAnswer(true),
        Verdict::Accepted(101),
        Verdict::Http(429, false),
    ]);
    for n in 0..12 {
        let number = format!("+25470000030{n}");
        scene.wants_to(&format!("out-{n}"), &number);
        scene.phone_sends(&format!("in-{n}"), PHONE, "hello");
        scene.seconds(7);
    }
    scene.rest(2);
    assert!(scene.counts.borrow()["clock: wrong by seconds"] > 30);
    let at = scene.africas_talking.borrow();
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
    scene.keeps_its_promises();
}
