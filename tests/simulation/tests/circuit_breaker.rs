//! Trouble that is the whole account's: the circuit breaker is open, probed, and goes on by itself.

use std::time::Duration;

use bridge::domain::message::Sending;
use bridge::domain::status::Status;
use bridge::domain::time::millis;
use simulation::africas_talking::{Account, SendDecision};
use simulation::scenario::{OTHER_PHONE, Scenario};
use simulation::world::{MINUTE_MS, Settings};

const ACCOUNT_WIDE: [SendDecision; 5] = [
    SendDecision::Rejected(402),
    SendDecision::Rejected(405),
    SendDecision::NoRecipient("InvalidSenderId"),
    SendDecision::Http(401, false),
    SendDecision::Http(403, false),
];

#[test]
fn a_failure_of_the_account_opens_the_circuit_fails_none_and_alarms_once() {
    for cause in ACCOUNT_WIDE {
        let scenario = Scenario::default();
        scenario.africas_talking.borrow_mut().account = Account::Failing(cause);
        for n in 0..8 {
            scenario.wants_to(&format!("out-{n}"), OTHER_PHONE);
        }
        scenario.minutes(6 * 60);
        for n in 0..8 {
            assert_eq!(
                scenario.reported(&format!("out-{n}")),
                Some(Status::Unsent),
                "{cause:?}"
            );
        }
        assert_eq!(scenario.events("circuit_opened"), 1);
        // The first ones all at once; then 1, 2, 4 … 60 minutes apart.
        let calls = scenario.africas_talking.borrow().calls.len();
        assert!(calls <= 8 + 12, "{cause:?}: {calls} calls");
        scenario.africas_talking.borrow_mut().account = Account::Good;
        scenario.rest(3);
        assert_eq!(scenario.events("circuit_closed"), 1);
        scenario.keeps_its_promises();
    }
}

#[test]
fn an_open_circuit_is_probed_by_one_message_at_a_time() {
    let scenario = Scenario::default();
    scenario.africas_talking.borrow_mut().account = Account::Failing(SendDecision::Rejected(405));
    scenario.wants("out-0");
    scenario.minutes(1);
    for n in 1..30 {
        scenario.wants_to(&format!("out-{n}"), OTHER_PHONE);
    }
    scenario.minutes(12 * 60);
    let at = scenario.africas_talking.borrow();
    let gaps = at.calls.windows(2).map(|two| two[1].at_ms - two[0].at_ms);
    let shortest = gaps.min().unwrap();
    assert!(shortest >= 55_000, "two probes within {shortest} ms");
    assert!(at.calls.len() < 22, "{}", at.calls.len());
}

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
    for sick in SICK {
        let scenario = Scenario::default();
        let messages = 40;
        scenario.africas_talking.borrow_mut().account = Account::Failing(sick);
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
        let (first, probes): (Vec<_>, Vec<_>) = without_answer
            .iter()
            .partition(|call| call.at_ms < policy_wait_ms);
        assert!((5..=12).contains(&first.len()), "{sick:?}: {first:?}");
        // A minute later, then 2, 4, 8, 16 and 32: never two at once.
        assert!((4..=6).contains(&probes.len()), "{sick:?}: {probes:?}");
        let gaps = probes.windows(2).map(|two| two[1].at_ms - two[0].at_ms);
        assert!(gaps.min().unwrap() >= 2 * MINUTE_MS, "{probes:?}");
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

        scenario.africas_talking.borrow_mut().account = Account::Good;
        scenario.rest(3);
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
fn without_an_answer_and_with_nothing_new_what_is_in_doubt_probes_once_an_hour() {
    let scenario = Scenario::default();
    scenario.africas_talking.borrow_mut().account = Account::Failing(SendDecision::NoAnswer(false));
    for n in 0..6 {
        scenario.wants_to(&format!("out-{n}"), OTHER_PHONE);
    }
    scenario.minutes(4 * 60);
    let at = scenario.africas_talking.borrow();
    let times: Vec<i64> = at.calls.iter().map(|call| call.at_ms).collect();
    drop(at);
    let probes = &times[6..];
    assert!((2..=4).contains(&probes.len()), "{times:?}");
    let ages = probes.iter().map(|at_ms| at_ms - times[5]);
    assert!(ages.min().unwrap() >= 60 * MINUTE_MS, "{times:?}");
    // The last of them still waits for a report.
    let failed = (0..6).filter(|n| scenario.reported(&format!("out-{n}")) == Some(Status::Failed));
    assert!((1..=probes.len()).contains(&failed.count()));
    scenario.africas_talking.borrow_mut().account = Account::Good;
    // The next message is the next probe.
    scenario.wants("out-6");
    scenario.rest(2);
    assert_eq!(scenario.calls("out-6"), 1);
    scenario.keeps_its_promises();
}

#[test]
fn a_report_settles_what_is_in_doubt_also_while_the_circuit_breaker_is_open() {
    let scenario = Scenario::default();
    scenario.africas_talking.borrow_mut().account = Account::Failing(SendDecision::NoAnswer(true));
    for n in 0..6 {
        scenario.wants_to(&format!("out-{n}"), &format!("+25470000000{n}"));
    }
    scenario.minutes(3);
    assert_eq!(scenario.events("circuit_opened"), 1);
    for n in 0..6 {
        scenario.report(&format!("out-{n}"), "Success");
    }
    scenario.minutes(40);
    for n in 0..6 {
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
    scenario.africas_talking.borrow_mut().account =
        Account::Failing(SendDecision::Http(503, false));
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

#[test]
fn another_failure_that_africas_talking_comes_back_with_keeps_the_same_circuit_open() {
    let scenario = Scenario::default();
    scenario.africas_talking.borrow_mut().account =
        Account::Failing(SendDecision::Http(503, false));
    for n in 0..20 {
        scenario.wants_to(&format!("out-{n}"), OTHER_PHONE);
        scenario.seconds(30);
    }
    scenario.africas_talking.borrow_mut().account = Account::Failing(SendDecision::Rejected(405));
    scenario.minutes(30);
    assert_eq!(scenario.events("circuit_opened"), 1);
    assert!(scenario.was_written("insufficient_balance"));
    // A readable answer that is none of the account's does not end that one.
    scenario.africas_talking.borrow_mut().account =
        Account::Failing(SendDecision::Http(429, false));
    scenario.minutes(60);
    assert_eq!(scenario.events("circuit_closed"), 0);
    scenario.africas_talking.borrow_mut().account = Account::Good;
    scenario.rest(3);
    assert_eq!(scenario.events("circuit_closed"), 1);
    scenario.keeps_its_promises();
}

#[test]
fn what_waits_for_the_circuit_expires_by_its_age_and_is_not_sent_afterwards() {
    let mut settings = Settings::default();
    settings.rules.max_age = Duration::from_hours(2);
    let scenario = Scenario::new(settings);
    scenario.africas_talking.borrow_mut().account = Account::Failing(SendDecision::Rejected(405));
    scenario.wants("out-1");
    scenario.minutes(110);
    scenario.wants_to("out-2", OTHER_PHONE);
    // At two hours, and then up to a probe's interval later.
    scenario.minutes(85);
    assert_eq!(scenario.reason("out-1").as_deref(), Some("expired"));
    assert_eq!(scenario.reported("out-2"), Some(Status::Unsent));
    scenario.africas_talking.borrow_mut().account = Account::Good;
    scenario.rest(3);
    assert_eq!(scenario.africas_talking.borrow().taken("out-1"), 0);
    scenario.keeps_its_promises();
}
