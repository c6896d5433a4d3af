//! Messages that Medic fails on wait in quarantine, and nobody waits behind them.

use bridge::domain::status::Status;
use simulation::africas_talking::SendDecision;
use simulation::faults::{CallDisposition, PortCall};
use simulation::lambda::Function;
use simulation::medic::{Logged, PostDisposition};
use simulation::promises::{dead_letters, ever_quarantined};
use simulation::scenario::{OTHER_PHONE, PHONE, Scenario, THIRD_PHONE};
use simulation::world::QueueName;

#[test]
fn a_disk_that_gets_room_while_poison_is_looked_for_condemns_no_good_message() {
    let scenario = Scenario::default();
    scenario.medic.borrow_mut().disk_full = true;
    scenario.phone_sends("a1", PHONE, "1");
    scenario.minutes(15);
    // The empty POST, and the first message alone meet the last of the full disk; then there is room,
    // and another message of the same sender is stored.
    scenario.switch_off(Function::MedicExchange);
    scenario.medic.borrow_mut().disk_full = false;
    scenario.dispositions(&[PostDisposition::Fine, PostDisposition::FullDisk]);
    scenario.phone_sends("a2", PHONE, "2");
    scenario.switch_on(Function::MedicExchange);
    scenario.rest(3);
    assert!(dead_letters(&scenario).is_empty());
    let mut stored = scenario.stored();
    stored.sort();
    assert_eq!(stored, ["a1", "a2"]);
}

fn phone(n: usize) -> String {
    format!("+2547000{n:05}")
}

#[test]
fn ten_poison_messages_at_the_head_let_the_others_through_within_minutes() {
    let scenario = Scenario::default();
    scenario.switch_off(Function::MedicExchange);
    for n in 0..10 {
        scenario.phone_sends(&format!("bad-{n}"), &phone(n), "POISON");
        scenario.seconds(1);
    }
    for n in 0..30 {
        scenario.phone_sends(&format!("good-{n:02}"), &phone(n % 20), "good");
        scenario.seconds(1);
    }
    scenario.switch_on(Function::MedicExchange);
    scenario.minutes(8);
    assert_eq!(scenario.stored().len(), 30);
    assert_eq!(scenario.quarantined().len(), 10);
    // Each comes back once an hour, and goes to the dead-letter queue beside others that are stored.
    for n in 0..16 {
        scenario.phone_sends(&format!("later-{n}"), OTHER_PHONE, "good");
        scenario.minutes(30);
    }
    assert_eq!(dead_letters(&scenario).len(), 10);
    scenario.rest(1);
    scenario.keeps_its_promises();
}

#[test]
fn one_poison_message_in_twenty_for_a_day_costs_the_others_nothing() {
    let scenario = Scenario::default();
    for n in 0..480 {
        let text = if n % 20 == 7 { "POISON" } else { "good" };
        scenario.phone_sends(&format!("in-{n}"), &phone(n % 50), text);
        scenario.minutes(3);
        let late = scenario.waiting().len() - scenario.quarantined().len();
        assert!(late <= 1, "{late} wait");
    }
    for n in 0..16 {
        scenario.phone_sends(&format!("later-{n}"), OTHER_PHONE, "good");
        scenario.minutes(30);
    }
    assert_eq!(scenario.stored().len(), 456 + 16);
    assert_eq!(dead_letters(&scenario).len(), 24);
    scenario.rest(1);
    scenario.keeps_its_promises();
}

/// Two days of a full disk, with an SMS every so many minutes.
fn two_days_of_a_full_disk(minutes: u16) {
    let scenario = Scenario::default();
    scenario.wants("out-1");
    scenario.rest(1);
    scenario.medic.borrow_mut().disk_full = true;
    let count = 2 * 24 * 60 / minutes;
    for n in 0..count {
        scenario.phone_sends(&format!("in-{n}"), &phone(usize::from(n % 40)), "hello");
        scenario.minutes(i64::from(minutes));
    }
    assert!(scenario.stored().is_empty());
    assert!(dead_letters(&scenario).is_empty(), "it condemns nothing");
    let quarantined = ever_quarantined(&scenario).len();
    assert!(quarantined <= 49, "{quarantined}: one an hour");
    scenario.medic.borrow_mut().disk_full = false;
    scenario.rest(4);
    assert_eq!(scenario.stored().len(), usize::from(count));
    assert!(dead_letters(&scenario).is_empty());
    scenario.keeps_its_promises();
}

#[test]
fn two_days_of_a_full_disk_condemn_nothing_on_a_quiet_site() {
    two_days_of_a_full_disk(6 * 60);
}

#[test]
fn two_days_of_a_full_disk_condemn_nothing_on_a_busy_site() {
    two_days_of_a_full_disk(10);
}

#[test]
fn a_status_that_always_fails_keeps_no_offer_away() {
    for (fails_on, code) in [(Status::Unsent, 102), (Status::Sent, 101)] {
        let scenario = Scenario::default();
        scenario.wants("out-1");
        scenario.medic.borrow_mut().outgoing[0].refuses = Some(fails_on.medic_name());
        scenario.verdicts(&[SendDecision::Accepted(code)]);
        scenario.minutes(5);
        for n in 0..5 {
            let id = format!("other-{n}");
            scenario.wants_to(&id, OTHER_PHONE);
            scenario.minutes(2);
            assert_eq!(scenario.calls(&id), 1, "{fails_on:?}");
            scenario.minutes(58);
        }
        // What Medic wants does not go out twice for it, and it is tried once an hour.
        assert_eq!(scenario.calls("out-1"), 1, "{fails_on:?}");
        let aside = scenario.events("status_set_aside") + scenario.events("status_refused");
        assert!((4..=6).contains(&aside), "{fails_on:?}: {aside}");
        scenario.medic.borrow_mut().outgoing[0].refuses = None;
        scenario.rest(2);
        assert_eq!(scenario.reported("out-1"), Some(fails_on));
    }
}

#[test]
fn records_of_quarantined_messages_post_nothing_while_a_post_is_open() {
    let scenario = Scenario::default();
    scenario.phone_sends("bad", PHONE, "POISON");
    scenario.minutes(2);
    scenario.phone_sends("good", OTHER_PHONE, "good");
    scenario.minutes(2);
    assert_eq!(scenario.quarantined(), ["bad"]);
    // It comes back while a POST is open, and beside records of the main group afterwards.
    scenario.minutes(56);
    let before = scenario.posts().len();
    scenario.dispositions(&[PostDisposition::Slow(55_000); 12]);
    for n in 0..6 {
        scenario.phone_sends(&format!("good-{n}"), OTHER_PHONE, "good");
        scenario.seconds(40);
    }
    scenario.minutes(8);
    let posts: Vec<Logged> = scenario.posts().split_off(before);
    assert!(posts.iter().all(|post| post.others_open == 0));
    let tries = posts.iter().filter(|post| post.messages == ["bad"]).count();
    assert_eq!(tries, 1);
    assert_eq!(scenario.quarantined(), ["bad"]);
}

#[test]
fn a_message_back_from_quarantine_is_not_lost_beside_the_record_that_it_left_behind() {
    let scenario = Scenario::without_polls();
    // SQS has taken it for the quarantine, and nobody hears of that: the first record waits as well.
    let (function, fails) = (Function::MedicExchange, CallDisposition::FailsAfter);
    scenario
        .faults
        .script(function, PortCall::Send, 0, fails, 1);
    scenario.phone_sends("bad", PHONE, "POISON");
    scenario.seconds(20);
    assert_eq!(scenario.waiting(), ["bad", "bad"]);
    scenario.minutes(4);
    assert_eq!(scenario.waiting(), ["bad"]);
}

#[test]
fn with_only_records_of_quarantined_messages_in_hand_nothing_is_posted() {
    let scenario = Scenario::without_polls();
    scenario.phone_sends("bad", PHONE, "POISON");
    scenario.seconds(20);
    scenario.phone_sends("good", OTHER_PHONE, "good");
    scenario.minutes(2);
    let posts = scenario.posts().len();
    assert_eq!(scenario.quarantined(), ["bad"]);
    scenario.minutes(55);
    assert_eq!(scenario.posts().len(), posts);
}

#[test]
fn a_crash_at_every_step_of_a_quarantine_loses_nothing_and_doubles_nothing() {
    let function = Function::MedicExchange;
    let mut deaths = 0;
    for call in [
        PortCall::Send,
        PortCall::ChangeVisibility,
        PortCall::Post,
        PortCall::Write,
        PortCall::Read,
    ] {
        for disposition in [
            CallDisposition::DiesBefore,
            CallDisposition::DiesAfter,
            CallDisposition::FailsBefore,
            CallDisposition::FailsAfter,
        ] {
            for skip in 0..6 {
                let scenario = Scenario::default();
                // Good, and taken for poison: the disk has room again afterwards.
                scenario.dispositions(&[PostDisposition::FullDisk]);
                scenario.faults.script(function, call, skip, disposition, 1);
                scenario.phone_sends("good", PHONE, "1");
                scenario.phone_sends("bad", OTHER_PHONE, "POISON");
                for n in 0..12 {
                    scenario.minutes(30);
                    scenario.phone_sends(&format!("later-{n}"), THIRD_PHONE, "good");
                }
                scenario.rest(8);
                assert!(scenario.stored().contains(&"good".to_owned()));
                assert!(
                    dead_letters(&scenario).contains_key("bad"),
                    "{call:?} {disposition:?} {skip}"
                );
                scenario.keeps_its_promises();
                let counts = scenario.counts.borrow();
                deaths += counts.get("deaths of medic-exchange").copied().unwrap_or(0);
            }
        }
    }
    assert!(deaths > 40, "{deaths}");
}

#[test]
fn a_quarantined_message_waits_in_the_queue_and_is_reported_of_each_minute() {
    let scenario = Scenario::default();
    scenario.phone_sends("bad", PHONE, "POISON");
    scenario.minutes(31);
    assert_eq!(scenario.length(QueueName::Exchange), 1);
    assert!(scenario.events("in_quarantine") >= 28);
    assert!(scenario.was_written("\"OldestWaiting\":1"));
}

#[test]
fn a_senders_next_message_waits_seconds_behind_poison_and_the_grace_time_behind_a_doubt() {
    let scenario = Scenario::default();
    scenario.batch(&[("bad", PHONE, "POISON"), ("next", PHONE, "good")]);
    scenario.seconds(10);
    assert_eq!(scenario.stored(), ["next"]);

    let scenario = Scenario::default();
    scenario.batch(&[("bad", PHONE, "CRASHER"), ("next", PHONE, "good")]);
    let began_ms = scenario.now_ms();
    scenario.minutes(8);
    assert_eq!(scenario.stored(), ["next"]);
    let posts = scenario.posts();
    let alone = posts.iter().rfind(|post| post.messages == ["bad"]).unwrap();
    let next = posts.iter().find(|post| post.messages == ["next"]).unwrap();
    // Its time-out, the grace time with its jitter, and some seconds.
    let waited_ms = next.at_ms - alone.at_ms;
    assert!(waited_ms < 60_000 + 78_000 + 10_000, "{waited_ms}");
    assert!(next.at_ms - began_ms < 5 * 60_000);
}
