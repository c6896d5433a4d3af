//! Africa's Talking refuses the account: no credit, a wrong key, an unknown sender.

use std::time::Duration;

use bridge::domain::status::Status;
use simulation::africas_talking::SendDecision;
use simulation::faults::{CallDisposition, PortCall};
use simulation::lambda::Function;
use simulation::scenario::{OTHER_PHONE, PHONE, Scenario};
use simulation::world::{MINUTE_MS, QueueName, Settings};

use crate::{campaign, fails, first_acceptance_ms, works_again};

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
