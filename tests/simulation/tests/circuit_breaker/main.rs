//! Trouble that is not a message's own: the circuit breaker is open, a pilot tries, and everything goes
//! on by itself.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]

use std::rc::Rc;
use std::time::Duration;

use bridge::domain::message::Sending;
use bridge::domain::sender_ids::SenderIds;
use bridge::domain::status::Status;
use bridge::domain::time::millis;
use simulation::africas_talking::{Account, SendDecision};
use simulation::faults::{CallDisposition, PortCall};
use simulation::lambda::Function;
use simulation::scenario::{OTHER_PHONE, PHONE, Scenario};
use simulation::world::{MINUTE_MS, QueueName, Settings};

const ACCOUNT_WIDE: [SendDecision; 5] = [
    SendDecision::Rejected(402),
    SendDecision::Rejected(405),
    SendDecision::NoRecipient("InvalidSenderId"),
    SendDecision::Http(401, false),
    SendDecision::Http(403, false),
];

fn fails(scenario: &Scenario, verdict: SendDecision) {
    scenario.africas_talking.borrow_mut().account = Account::Failing(verdict);
}

fn works_again(scenario: &Scenario) {
    scenario.africas_talking.borrow_mut().account = Account::Good;
}

/// When an SMS was accepted first after this instant, in milliseconds since 1970.
fn first_acceptance_ms(scenario: &Scenario, after_ms: i64) -> Option<i64> {
    let at = scenario.africas_talking.borrow();
    let mut calls = at.calls.iter().filter(|call| call.at_ms >= after_ms);
    let accepted = calls.find(|call| call.verdict.is_taken() && call.verdict.is_clear());
    accepted.map(|call| call.at_ms)
}

/// So many messages of a campaign, each to a phone of its own.
fn campaign(scenario: &Scenario, messages: usize) {
    for n in 0..messages {
        scenario.wants_to(&format!("out-{n}"), &format!("+2547000{n:05}"));
    }
}

#[test]
fn a_failure_of_the_account_opens_the_circuit_fails_none_and_alarms_once() {
    for cause in ACCOUNT_WIDE {
        let scenario = Scenario::default();
        fails(&scenario, cause);
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
        // The first ones all at once. Then one every five to eleven minutes: without credit, because a
        // refusal costs nothing, and to see whether the sender ID is known now. A key that is refused
        // is asked for without an SMS, and once an hour with one.
        let at = scenario.africas_talking.borrow();
        let (calls, questions) = (at.calls.len(), at.user_calls);
        assert!(calls <= 8 + 6 * 13, "{cause:?}: {calls} calls");
        let is_asked = matches!(cause, SendDecision::Rejected(405) | SendDecision::Http(..));
        let expected = if is_asked { 300..=490 } else { 0..=8 };
        assert!(expected.contains(&questions), "{cause:?}: {questions}");
        if let SendDecision::Http(..) = cause {
            assert!(calls <= 8 + 7, "{cause:?}: {calls} calls");
        }
        drop(at);
        works_again(&scenario);
        scenario.rest(1);
        assert_eq!(scenario.events("circuit_closed"), 1);
        scenario.keeps_its_promises();
    }
}

#[test]
fn an_open_circuit_is_tried_by_one_message_at_a_time() {
    let scenario = Scenario::default();
    fails(&scenario, SendDecision::Rejected(405));
    scenario.wants("out-0");
    scenario.minutes(1);
    for n in 1..30 {
        scenario.wants_to(&format!("out-{n}"), OTHER_PHONE);
    }
    scenario.minutes(12 * 60);
    let at = scenario.africas_talking.borrow();
    let gaps = at.calls.windows(2).map(|two| two[1].at_ms - two[0].at_ms);
    let shortest = gaps.min().unwrap();
    assert!(shortest >= 40_000, "two pilots within {shortest} ms");
    // Every five minutes, by a pilot that comes every 45 seconds and a little more.
    assert!(at.calls.len() < 150, "{}", at.calls.len());
    let messages: Vec<&str> = at.calls.iter().map(|call| &*call.message).collect();
    assert!(messages.iter().all(|message| *message == "out-0"));
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
fn when_the_credit_is_topped_up_the_first_sms_comes_within_a_minute_and_300_within_five() {
    // Also before the first question, and hours later.
    for minutes in [0, 1, 7, 60, 8 * 60] {
        let scenario = Scenario::default();
        fails(&scenario, SendDecision::Rejected(405));
        campaign(&scenario, 300);
        scenario.minutes(minutes);
        scenario.seconds(20);
        let before_ms = scenario.now_ms();
        works_again(&scenario);
        scenario.minutes(5);
        let first_ms = first_acceptance_ms(&scenario, before_ms).unwrap();
        assert!(
            first_ms - before_ms <= MINUTE_MS,
            "{minutes} minutes: {} ms",
            first_ms - before_ms
        );
        for n in 0..300 {
            let id = format!("out-{n}");
            assert_eq!(scenario.calls(&id).min(1), 1, "{minutes} minutes: {id}");
        }
        scenario.rest(1);
        scenario.keeps_its_promises();
    }
}

#[test]
fn every_trouble_of_the_account_ends_within_a_minute() {
    for trouble in [
        SendDecision::Http(401, false),
        SendDecision::Http(403, false),
        SendDecision::Http(404, false),
        SendDecision::Http(503, false),
        SendDecision::NoAnswer(false),
        SendDecision::NotConnected,
    ] {
        for minutes in [6, 60, 24 * 60] {
            let scenario = Scenario::default();
            fails(&scenario, trouble);
            campaign(&scenario, 30);
            scenario.minutes(minutes);
            let before_ms = scenario.now_ms();
            works_again(&scenario);
            scenario.minutes(5);
            let first_ms = first_acceptance_ms(&scenario, before_ms).unwrap_or(i64::MAX);
            let took_ms = first_ms - before_ms;
            assert!(
                took_ms <= MINUTE_MS,
                "{trouble:?} for {minutes} minutes: {took_ms} ms"
            );
            scenario.rest(1);
            scenario.keeps_its_promises();
        }
    }
}

#[test]
fn a_pilot_that_is_lost_is_replaced() {
    let scenario = Scenario::default();
    fails(&scenario, SendDecision::Rejected(405));
    scenario.wants("out-0");
    scenario.minutes(1);
    // It was sent by hand and discarded, for example.
    let mut outbox = scenario.queue(QueueName::Outbox).borrow_mut();
    outbox.take_all();
    drop(outbox);
    works_again(&scenario);
    scenario.minutes(3);
    let before_ms = scenario.now_ms();
    scenario.wants_to("out-1", OTHER_PHONE);
    scenario.seconds(90);
    let first_ms = first_acceptance_ms(&scenario, before_ms);
    assert!(first_ms.is_some(), "nobody took over");
    assert_eq!(scenario.events("circuit_closed"), 1);
}

/// A world with two sender IDs, of which Africa's Talking does not know one.
fn with_an_unknown_sender_id(verdict: SendDecision) -> Scenario {
    let settings = Settings {
        sender_ids: Rc::new(SenderIds::parse("MYORG,+25670=20880").unwrap()),
        ..Settings::default()
    };
    let scenario = Scenario::new(settings);
    let unknown = Some("20880".to_owned());
    let mut at = scenario.africas_talking.borrow_mut();
    at.unknown_sender_ids.insert(unknown, verdict);
    drop(at);
    scenario
}

#[test]
fn an_unknown_sender_id_stops_its_own_messages_and_no_others() {
    for verdict in [
        SendDecision::Rejected(402),
        SendDecision::NoRecipient("InvalidSenderId"),
        SendDecision::Http(401, false),
    ] {
        let scenario = with_an_unknown_sender_id(verdict);
        for n in 0..20 {
            scenario.wants_to(&format!("known-{n}"), &format!("+2547000000{n:02}"));
            scenario.wants_to(&format!("unknown-{n}"), &format!("+2567000000{n:02}"));
        }
        scenario.minutes(4);
        for n in 0..20 {
            let row = scenario.row(&format!("known-{n}")).unwrap();
            assert_eq!(row.sending, Sending::Accepted, "{verdict:?}");
            let id = format!("unknown-{n}");
            assert_eq!(scenario.reported(&id), Some(Status::Unsent), "{verdict:?}");
        }
        assert_eq!(scenario.events("circuit_opened"), 1, "{verdict:?}");
        assert!(scenario.was_written(r#""sender_id":"20880""#));

        scenario.minutes(5 * 60);
        let tries = scenario.africas_talking.borrow().calls.len() - 20;
        assert!(tries <= 20 + 8 + 5 * 6, "{verdict:?}: {tries}");
        let before_ms = scenario.now_ms();
        let mut at = scenario.africas_talking.borrow_mut();
        at.unknown_sender_ids.clear();
        drop(at);
        scenario.minutes(15);
        let first_ms = first_acceptance_ms(&scenario, before_ms).unwrap();
        assert!(first_ms - before_ms <= 11 * MINUTE_MS, "{verdict:?}");
        for n in 0..20 {
            let row = scenario.row(&format!("unknown-{n}")).unwrap();
            assert_eq!(row.sending, Sending::Accepted, "{verdict:?}");
        }
        assert_eq!(scenario.events("circuit_closed"), 1, "{verdict:?}");
        scenario.keeps_its_promises();
    }
}

#[test]
fn an_unknown_sender_id_does_not_keep_the_account_stopped() {
    let scenario = with_an_unknown_sender_id(SendDecision::Rejected(402));
    scenario.wants_to("unknown", "+256700000001");
    scenario.minutes(1);
    fails(&scenario, SendDecision::Rejected(405));
    scenario.wants("known");
    scenario.minutes(10);
    assert_eq!(scenario.events("circuit_opened"), 2);
    works_again(&scenario);
    scenario.minutes(5);
    assert_eq!(scenario.row("known").unwrap().sending, Sending::Accepted);
    assert_eq!(scenario.events("circuit_closed"), 1);
}

#[test]
fn a_refusal_that_comes_after_the_close_of_a_call_that_began_before_opens_nothing() {
    let scenario = Scenario::default();
    fails(&scenario, SendDecision::Rejected(405));
    let slow = CallDisposition::AnswersSlowly(70_000);
    let sender = Function::OutboundSender;
    scenario.faults.script(sender, PortCall::Sms, 0, slow, 1);
    scenario.wants("slow");
    scenario.seconds(10);
    assert_eq!(scenario.calls("slow"), 1);
    scenario.wants_to("quick", OTHER_PHONE);
    scenario.seconds(5);
    works_again(&scenario);
    scenario.minutes(3);
    assert_eq!(scenario.events("circuit_closed"), 1);
    assert_eq!(scenario.events("circuit_opened"), 1);
    assert_eq!(scenario.calls("slow"), 2);
    scenario.rest(1);
    scenario.keeps_its_promises();
}

#[test]
fn while_the_circuit_is_open_a_batch_costs_two_requests_and_one_read() {
    let scenario = Scenario::default();
    fails(&scenario, SendDecision::Rejected(405));
    campaign(&scenario, 400);
    scenario.minutes(10);
    let before = scenario.meter.borrow().of(Function::OutboundSender);
    scenario.minutes(8 * 60);
    let after = scenario.meter.borrow().of(Function::OutboundSender);
    let batches = after.invocations - before.invocations;
    // Each message comes back at least every four minutes, and the pilot every 45 seconds.
    assert!(batches >= 12 * 8, "{batches}");
    let pilots = 8 * 60 * 60 / 45;
    let requests = after.sqs_standard - before.sqs_standard;
    assert!(requests <= 2 * batches + pilots, "{requests} {batches}");
    let reads = (after.read_half_units - before.read_half_units) / 2;
    assert!(reads <= batches + 8 * pilots, "{reads} {batches}");
    let writes = after.write_units - before.write_units;
    assert!(writes <= 5 * pilots, "{writes}");
    for n in 0..400 {
        let id = format!("out-{n}");
        let not_sent = scenario.row(&id).map_or(0, |row| row.not_sent);
        assert_eq!(not_sent, 0, "{id}");
    }
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

#[test]
fn another_failure_that_africas_talking_comes_back_with_keeps_the_same_circuit_open() {
    let scenario = Scenario::default();
    fails(&scenario, SendDecision::Http(503, false));
    for n in 0..20 {
        scenario.wants_to(&format!("out-{n}"), OTHER_PHONE);
        scenario.seconds(30);
    }
    fails(&scenario, SendDecision::Rejected(405));
    scenario.minutes(30);
    assert_eq!(scenario.events("circuit_opened"), 1);
    assert!(scenario.was_written("insufficient_balance"));
    // A readable answer that is none of the account's does not end that one.
    fails(&scenario, SendDecision::Http(429, false));
    scenario.minutes(60);
    assert_eq!(scenario.events("circuit_closed"), 0);
    works_again(&scenario);
    scenario.rest(1);
    assert_eq!(scenario.events("circuit_closed"), 1);
    scenario.keeps_its_promises();
}

#[test]
fn what_waits_for_the_circuit_expires_by_its_age_and_is_not_sent_afterwards() {
    let mut settings = Settings::default();
    settings.rules.max_age = Duration::from_hours(2);
    let scenario = Scenario::new(settings);
    fails(&scenario, SendDecision::Rejected(405));
    scenario.wants_to("out-1", PHONE);
    scenario.minutes(110);
    scenario.wants_to("out-2", OTHER_PHONE);
    // At two hours, and up to four minutes later.
    scenario.minutes(16);
    assert_eq!(scenario.reason("out-1").as_deref(), Some("expired"));
    assert_eq!(scenario.reported("out-2"), Some(Status::Unsent));
    works_again(&scenario);
    scenario.rest(1);
    assert_eq!(scenario.africas_talking.borrow().taken("out-1"), 0);
    scenario.keeps_its_promises();
}
