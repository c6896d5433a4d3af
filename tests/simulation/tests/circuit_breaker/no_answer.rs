//! Africa's Talking cannot be reached, or its answers leave the outcome unknown.

use std::time::Duration;

use bridge::domain::message::Sending;
use bridge::domain::status::Status;
use bridge::domain::time::millis;
use simulation::africas_talking::SendDecision;
use simulation::scenario::{OTHER_PHONE, Scenario};
use simulation::world::{MINUTE_MS, Settings};

use crate::{campaign, fails, first_acceptance_ms, works_again};

/// No answer, or one that says nothing, whether or not the SMS goes out.
const SICK: [SendDecision; 6] = [
    SendDecision::Http(503, false),
    SendDecision::Http(503, true),
    SendDecision::NoAnswer(false),
    SendDecision::NoAnswer(true),
    SendDecision::Code500(false),
    SendDecision::Unreadable(false),
];

#[test]
fn an_hour_without_an_answer_opens_the_circuit_after_five_fails_none_and_alarms_once() {
    for (sick, user_is_well) in SICK
        .into_iter()
        .flat_map(|sick| [(sick, false), (sick, true)])
    {
        let scenario = Scenario::default();
        let messages = 40;
        fails(&scenario, sick);
        scenario.africas_talking.borrow_mut().user_is_well = user_is_well;
        for n in 0..messages {
            if n % 4 == 0 {
                scenario.seconds(40);
            }
            scenario.wants_to(&format!("out-{n}"), &format!("+2547000000{n:02}"));
        }
        // What is left of the hour.
        scenario.minutes(53);
        let at = scenario.africas_talking.borrow();
        let without_answer = at.calls.clone();
        drop(at);
        // Five in a row, with those that were under way when the fifth had no answer.
        let policy_wait_ms =
            without_answer[4].at_ms + millis(scenario.settings.call_timeout) + 5_000;
        let (first, pilots): (Vec<_>, Vec<_>) = without_answer
            .iter()
            .partition(|call| call.at_ms < policy_wait_ms);
        assert!((5..=12).contains(&first.len()), "{sick:?}: {first:?}");
        // While the user call has no answer either, no SMS is tried. If it has, at growing intervals.
        let expected = if user_is_well { 6..=10 } else { 0..=1 };
        assert!(expected.contains(&pilots.len()), "{sick:?}: {pilots:?}");
        let gaps = pilots.windows(2).map(|two| two[1].at_ms - two[0].at_ms);
        assert!(gaps.min().unwrap_or(40_000) >= 40_000, "{pilots:?}");
        for n in 0..messages {
            let id = format!("out-{n}");
            assert_eq!(
                scenario.reported(&id),
                Some(Status::Unsent),
                "{sick:?}: {id}"
            );
            // Those that were called in vain were not called again while others could be.
            assert!(scenario.calls(&id) <= 1, "{sick:?}: {id}");
        }
        assert_eq!(scenario.events("circuit_opened"), 1, "{sick:?}");
        assert_eq!(scenario.events("circuit_closed"), 0, "{sick:?}");

        works_again(&scenario);
        scenario.rest(1);
        let at = scenario.africas_talking.borrow();
        for n in 0..messages {
            let id = format!("out-{n}");
            let row = scenario.row(&id).unwrap();
            assert_eq!(row.sending, Sending::Accepted, "{sick:?}: {id}");
            assert_ne!(row.status, Status::Failed, "{sick:?}: {id}");
            let was_without_answer = without_answer.iter().any(|call| call.message == id);
            let expected = 1 + usize::from(was_without_answer && sick.is_taken());
            assert_eq!(at.taken(&id), expected, "{sick:?}: {id}");
        }
        drop(at);
        assert_eq!(scenario.events("circuit_opened"), 1, "{sick:?}");
        assert_eq!(scenario.events("circuit_closed"), 1, "{sick:?}");
        scenario.keeps_its_promises();
    }
}

#[test]
fn without_a_connection_the_circuit_opens_after_five_calls_and_nothing_is_in_doubt() {
    let scenario = Scenario::default();
    fails(&scenario, SendDecision::NotConnected);
    campaign(&scenario, 40);
    scenario.minutes(60);
    assert_eq!(scenario.events("circuit_opened"), 1);
    let calls = scenario.africas_talking.borrow().calls.len();
    assert!(calls <= 40, "{calls}");
    let before_ms = scenario.now_ms();
    works_again(&scenario);
    scenario.minutes(5);
    let first_ms = first_acceptance_ms(&scenario, before_ms).unwrap();
    assert!(
        first_ms - before_ms <= MINUTE_MS,
        "{}",
        first_ms - before_ms
    );
    scenario.rest(1);
    for n in 0..40 {
        let row = scenario.row(&format!("out-{n}")).unwrap();
        assert_eq!(row.sending, Sending::Accepted);
        assert_eq!((row.unknown_outcomes, row.not_sent), (0, 0));
    }
    scenario.keeps_its_promises();
}

#[test]
fn without_an_answer_and_with_nothing_new_what_is_in_doubt_is_sent_once_an_hour_or_not_at_all() {
    for user_is_well in [false, true] {
        let scenario = Scenario::default();
        fails(&scenario, SendDecision::NoAnswer(false));
        scenario.africas_talking.borrow_mut().user_is_well = user_is_well;
        for n in 0..6 {
            scenario.wants_to(&format!("out-{n}"), OTHER_PHONE);
        }
        let opened_ms = scenario.now_ms() + 10 * MINUTE_MS;
        scenario.minutes(4 * 60);
        let at = scenario.africas_talking.borrow();
        let times: Vec<i64> = at.calls.iter().map(|call| call.at_ms).collect();
        drop(at);
        let pilots: Vec<i64> = times
            .iter()
            .copied()
            .filter(|at_ms| *at_ms > opened_ms)
            .collect();
        let failed = (0..6)
            .filter(|n| scenario.reported(&format!("out-{n}")) == Some(Status::Failed))
            .count();
        if user_is_well {
            assert!((2..=5).contains(&pilots.len()), "{times:?}");
            let gaps = pilots.windows(2).map(|two| two[1] - two[0]);
            assert!(gaps.min().unwrap() >= 60 * MINUTE_MS, "{times:?}");
            // The last of them still waits for a report.
            assert!((1..=pilots.len()).contains(&failed));
        } else {
            assert_eq!((pilots.len(), failed), (0, 0), "{times:?}");
        }
        works_again(&scenario);
        // The next message is the next pilot.
        scenario.wants("out-6");
        scenario.rest(1);
        assert_eq!(scenario.calls("out-6"), 1);
        scenario.keeps_its_promises();
    }
}

#[test]
fn a_pilot_in_doubt_makes_room_for_a_message_that_is_not() {
    let scenario = Scenario::default();
    fails(&scenario, SendDecision::Http(503, false));
    for n in 0..5 {
        scenario.wants_to(&format!("out-{n}"), OTHER_PHONE);
    }
    scenario.minutes(3);
    assert_eq!(scenario.events("circuit_opened"), 1);
    let before_ms = scenario.now_ms();
    works_again(&scenario);
    scenario.wants("fresh");
    scenario.minutes(2);
    let at = scenario.africas_talking.borrow();
    let after = at.calls.iter().filter(|call| call.at_ms >= before_ms);
    let messages: Vec<&str> = after.map(|call| &*call.message).collect();
    assert_eq!(messages.first(), Some(&"fresh"), "{messages:?}");
    drop(at);
    scenario.rest(1);
    scenario.keeps_its_promises();
}

#[test]
fn a_report_settles_what_is_in_doubt_also_while_the_circuit_breaker_is_open() {
    let scenario = Scenario::default();
    fails(&scenario, SendDecision::NoAnswer(true));
    for n in 0..5 {
        scenario.wants_to(&format!("out-{n}"), &format!("+25470000000{n}"));
    }
    scenario.minutes(3);
    assert_eq!(scenario.events("circuit_opened"), 1);
    for n in 0..5 {
        scenario.report(&format!("out-{n}"), "Success");
    }
    scenario.minutes(40);
    for n in 0..5 {
        let id = format!("out-{n}");
        assert_eq!(scenario.reported(&id), Some(Status::Delivered));
        assert_eq!(scenario.calls(&id), 1);
    }
    assert_eq!(scenario.events("circuit_closed"), 0);
    scenario.keeps_its_promises();
}

#[test]
fn what_waits_for_an_answer_of_africas_talking_expires_by_its_age() {
    let mut settings = Settings::default();
    settings.rules.max_age = Duration::from_hours(2);
    let scenario = Scenario::new(settings);
    fails(&scenario, SendDecision::Http(503, false));
    for n in 0..30 {
        scenario.wants_to(&format!("out-{n}"), OTHER_PHONE);
    }
    scenario.minutes(4 * 60);
    for n in 0..30 {
        let id = format!("out-{n}");
        let was_called = scenario.calls(&id) > 0;
        let reason = if was_called {
            "outcome unknown"
        } else {
            "expired"
        };
        assert_eq!(scenario.reason(&id).as_deref(), Some(reason));
        assert!(scenario.calls(&id) <= 2);
    }
}

#[test]
fn errors_for_one_recipient_and_errors_between_answers_open_no_circuit() {
    let scenario = Scenario::default();
    scenario.verdicts(&[SendDecision::Code500(false); 2]);
    scenario.wants("out-1");
    scenario.rest(1);
    assert_eq!(scenario.reason("out-1").as_deref(), Some("outcome unknown"));
    // Of a campaign, every third call: five come together often, and never without an answer between.
    let campaign = (0..100).map(|n| match n % 3 {
        0 => SendDecision::Http(503, false),
        _ => SendDecision::Accepted(101),
    });
    scenario
        .africas_talking
        .borrow_mut()
        .script
        .extend(campaign);
    for n in 0..60 {
        scenario.wants_to(&format!("more-{n}"), &format!("+2547000000{n:02}"));
    }
    scenario.rest(1);
    assert!(scenario.africas_talking.borrow().calls.len() > 80);
    assert_eq!(scenario.events("circuit_opened"), 0);
    scenario.keeps_its_promises();
}
