//! Messages that Medic never takes, and those that end every POST: they are found among the good ones, and
//! nothing waits behind them.

use bridge::domain::status::Status;
use simulation::africas_talking::SendDecision;
use simulation::faults::{CallDisposition, PortCall};
use simulation::lambda::Function;
use simulation::medic::PostDisposition;
use simulation::promises::{dead_letters, ever_quarantined};
use simulation::scenario::{OTHER_PHONE, PHONE, Scenario, THIRD_PHONE};
use simulation::world::QueueName;

#[expect(clippy::expect_used, reason = "a test ends when an SMS is missing")]
fn place(scenario: &Scenario, id: &str) -> usize {
    let stored = scenario.stored();
    let place = stored.iter().position(|stored| stored == id);
    place.expect("it is stored")
}

/// Another sender's SMS, one every half an hour: each is in Medic within minutes.
fn good_ones_come(scenario: &Scenario, count: usize) {
    let before = scenario.stored().len();
    for n in 1..=count {
        scenario.phone_sends(&format!("passes-{before}-{n}"), "+254700000009", "good");
        scenario.minutes(5);
        assert_eq!(scenario.stored().len(), before + n, "nobody waits long");
        scenario.minutes(25);
    }
}

#[test]
fn poison_is_found_among_good_ones_within_seconds_and_dead_lettered_in_the_end_with_medics_answer()
{
    let scenario = Scenario::default();
    let phones: Vec<String> = (1..=9).map(|n| format!("+25470000010{n}")).collect();
    let mut batch: Vec<(String, &str, &str)> = Vec::new();
    for (n, phone) in phones.iter().enumerate() {
        let text = if n == 4 { "POISON" } else { "good" };
        batch.push((format!("in-{n}"), phone, text));
    }
    let batch: Vec<_> = batch
        .iter()
        .map(|(id, from, text)| (id.as_str(), *from, *text))
        .collect();
    scenario.batch(&batch);
    scenario.seconds(15);
    assert_eq!(scenario.stored().len(), 8);
    assert_eq!(scenario.quarantined(), ["in-4"]);
    assert_eq!(scenario.waiting(), ["in-4"]);
    good_ones_come(&scenario, 12);
    assert!(dead_letters(&scenario)["in-4"].contains("Server error"));
    assert!(scenario.waiting().is_empty());
    assert!(scenario.was_written("\"DeadLettered\":1"));
    scenario.keeps_its_promises();
}

#[test]
fn what_fails_before_anything_is_stored_is_found_as_well() {
    let scenario = Scenario::default();
    scenario.batch(&[
        ("good-1", OTHER_PHONE, "good"),
        ("bad", PHONE, "THROWER"),
        ("good-2", THIRD_PHONE, "good"),
    ]);
    scenario.seconds(15);
    assert_eq!(scenario.stored().len(), 2);
    assert_eq!(scenario.quarantined(), ["bad"]);
    good_ones_come(&scenario, 12);
    assert!(dead_letters(&scenario)["bad"].contains("Server error"));
    assert!(scenario.waiting().is_empty());
    scenario.keeps_its_promises();
}

#[test]
fn what_a_filter_before_medic_refuses_is_dead_lettered_and_blocks_nobody() {
    let scenario = Scenario::default();
    scenario.phone_sends("bad", PHONE, "FILTERED");
    for n in 0..40 {
        scenario.minutes(3);
        scenario.phone_sends(&format!("good-{n}"), OTHER_PHONE, "good");
    }
    scenario.minutes(1);
    assert_eq!(scenario.stored().len(), 40);
    good_ones_come(&scenario, 12);
    assert!(dead_letters(&scenario)["bad"].contains("HTTP 403"));
    scenario.keeps_its_promises();
}

#[test]
fn statuses_that_fail_do_not_take_the_messages_turn() {
    let scenario = Scenario::default();
    for n in 1..=6 {
        scenario.wants_to(&format!("out-{n}"), &format!("+25470000000{n}"));
    }
    for message in &mut scenario.medic.borrow_mut().outgoing {
        message.refuses = Some(Status::Sent.medic_name());
    }
    scenario.verdicts(&[SendDecision::Accepted(101); 6]);
    scenario.phone_sends("bad", PHONE, "FILTERED");
    scenario.minutes(6 * 60);
    assert!(scenario.events("quarantined") > 0);
    good_ones_come(&scenario, 12);
    assert!(dead_letters(&scenario).contains_key("bad"));
}

#[test]
fn what_fails_with_nothing_beside_it_is_not_dead_lettered_until_others_show_that_medic_stores() {
    let scenario = Scenario::default();
    scenario.phone_sends("bad", PHONE, "POISON");
    scenario.minutes(5 * 24 * 60);
    assert!(dead_letters(&scenario).is_empty());
    assert_eq!(scenario.waiting(), ["bad"]);
    good_ones_come(&scenario, 12);
    assert!(dead_letters(&scenario).contains_key("bad"));
    scenario.rest(1);
}

#[test]
fn a_status_that_fails_is_no_proof_that_medic_stores_messages() {
    let scenario = Scenario::default();
    scenario.wants("out-1");
    scenario.medic.borrow_mut().outgoing[0].refuses = Some(Status::Sent.medic_name());
    scenario.verdicts(&[SendDecision::Accepted(101)]);
    scenario.phone_sends("bad", PHONE, "POISON");
    scenario.minutes(40 * 60);
    assert!(dead_letters(&scenario).is_empty());
    good_ones_come(&scenario, 12);
    assert!(dead_letters(&scenario).contains_key("bad"));
}

#[test]
fn a_full_disk_dead_letters_nothing_and_refuses_no_status() {
    let scenario = Scenario::default();
    scenario.wants("out-1");
    scenario.medic.borrow_mut().disk_full = true;
    for n in 0..12 {
        scenario.phone_sends(&format!("in-{n}"), &format!("+2547000002{n:02}"), "hello");
    }
    scenario.minutes(180);
    assert!(scenario.stored().is_empty());
    assert_eq!(scenario.length(QueueName::ExchangeDeadLetter), 0);
    scenario.medic.borrow_mut().disk_full = false;
    scenario.rest(2);
    assert_eq!(scenario.events("status_refused"), 0);
    scenario.keeps_its_promises();
}

#[test]
fn a_disk_that_was_full_a_moment_ago_is_no_poison() {
    let scenario = Scenario::without_polls();
    // The batch, and the first alone; then there is room again.
    scenario.dispositions(&[
        PostDisposition::FullDisk,
        PostDisposition::Fine,
        PostDisposition::FullDisk,
    ]);
    scenario.batch(&[("a1", PHONE, "1"), ("b1", OTHER_PHONE, "2")]);
    scenario.rest(3);
    assert!(dead_letters(&scenario).is_empty());
    assert_eq!(scenario.stored().len(), 2);
}

#[test]
fn no_message_of_a_sender_is_brought_while_an_earlier_one_waits_for_its_quarantine() {
    let scenario = Scenario::default();
    // The budget is spent, and nothing is stored.
    scenario.phone_sends("bad", OTHER_PHONE, "POISON");
    scenario.minutes(2);
    scenario.medic.borrow_mut().disk_full = true;
    scenario.batch(&[("a1", PHONE, "1"), ("a2", PHONE, "2")]);
    scenario.minutes(20);
    assert!(scenario.quarantined().iter().all(|id| id == "bad"));
    scenario.medic.borrow_mut().disk_full = false;
    scenario.rest(3);
    assert_eq!(scenario.stored(), ["a1", "a2"]);
}

#[test]
fn a_message_that_ends_every_post_is_dead_lettered_in_the_end_and_the_others_get_through() {
    let scenario = Scenario::default();
    scenario.batch(&[("bad", PHONE, "CRASHER"), ("good", OTHER_PHONE, "good")]);
    scenario.minutes(60);
    assert_eq!(scenario.stored(), ["good"]);
    for n in 0..6 {
        scenario.phone_sends(&format!("later-{n}"), THIRD_PHONE, "good");
        scenario.minutes(4);
        assert_eq!(scenario.stored().len(), 2 + n, "nobody waits long");
    }
    good_ones_come(&scenario, 12);
    assert!(dead_letters(&scenario).contains_key("bad"));
}

#[test]
fn what_ends_posts_is_not_brought_to_see_whether_another_is_poison() {
    let scenario = Scenario::default();
    scenario.batch(&[("bad", PHONE, "POISON"), ("worse", OTHER_PHONE, "CRASHER")]);
    scenario.minutes(4 * 60);
    assert_eq!(scenario.quarantined().len(), 2);
    good_ones_come(&scenario, 14);
    let dead_letters = dead_letters(&scenario);
    assert!(dead_letters.contains_key("bad") && dead_letters.contains_key("worse"));
}

#[test]
fn what_was_sent_after_a_message_that_ended_posts_is_not_brought_before_it() {
    let scenario = Scenario::without_polls();
    let (fine, in_doubt) = (PostDisposition::Fine, PostDisposition::Html);
    scenario.dispositions(&[in_doubt]);
    for _ in 2..=5 {
        scenario.dispositions(&[fine, in_doubt]);
    }
    scenario.batch(&[
        ("bad", OTHER_PHONE, "POISON"),
        ("a1", PHONE, "1"),
        ("a2", PHONE, "2"),
    ]);
    scenario.minutes(10 * 60);
    let (a1, a2) = (place(&scenario, "a1"), place(&scenario, "a2"));
    // Unless it was in quarantine itself, and has lost its place.
    assert!(a1 < a2 || ever_quarantined(&scenario).contains("a1"));
    assert_eq!(scenario.waiting(), ["bad"]);
}

#[test]
fn what_was_dead_lettered_can_be_put_back_twice_within_minutes_and_is_never_swallowed() {
    let scenario = Scenario::default();
    scenario.batch(&[("bad", PHONE, "POISON"), ("good", OTHER_PHONE, "good")]);
    scenario.seconds(20);
    good_ones_come(&scenario, 12);
    for n in 0..3 {
        assert!(dead_letters(&scenario).contains_key("bad"), "{n}");
        scenario.switch_off(Function::MedicExchange);
        simulation::plan::put_back(&scenario);
        scenario.phone_sends(&format!("good-{n}"), OTHER_PHONE, "good");
        scenario.seconds(1);
        scenario.switch_on(Function::MedicExchange);
        scenario.seconds(20);
    }
    assert!(dead_letters(&scenario).contains_key("bad"));
}

#[test]
fn what_was_put_back_is_not_lost_beside_the_record_that_it_left_behind() {
    let scenario = Scenario::default();
    scenario.batch(&[("bad", PHONE, "POISON"), ("good", OTHER_PHONE, "good")]);
    scenario.seconds(20);
    good_ones_come(&scenario, 12);
    // SQS takes it as a dead letter, and nobody hears of that: its record stays as well.
    let (function, fails) = (Function::MedicExchange, CallDisposition::FailsAfter);
    for (n, waiting) in [(0, 1), (1, 2)] {
        assert!(dead_letters(&scenario).contains_key("bad"));
        scenario.switch_off(function);
        simulation::plan::put_back(&scenario);
        scenario.phone_sends(&format!("good-{n}"), OTHER_PHONE, "good");
        scenario.seconds(1);
        if n == 0 {
            scenario
                .faults
                .script(function, PortCall::Send, 0, fails, 1);
        }
        scenario.switch_on(function);
        scenario.seconds(20);
        let bad = scenario.waiting();
        let bad = bad.iter().filter(|id| *id == "bad");
        assert_eq!(bad.count(), waiting, "{n}");
    }
    scenario.minutes(2);
    assert!(scenario.waiting().is_empty());
    assert!(dead_letters(&scenario).contains_key("bad"));
}

#[test]
fn a_new_message_waits_for_seconds_only_behind_poison_that_had_no_other_beside_it() {
    let scenario = Scenario::default();
    scenario.phone_sends("bad", PHONE, "POISON");
    scenario.minutes(50);
    assert!(dead_letters(&scenario).is_empty());
    scenario.phone_sends("good", OTHER_PHONE, "good");
    scenario.seconds(20);
    assert_eq!(scenario.stored(), ["good"]);
    assert_eq!(scenario.quarantined(), ["bad"]);
    scenario.rest(3);
    scenario.keeps_its_promises();
}

#[test]
fn poison_is_dead_lettered_beside_a_message_that_ends_every_post_and_another_of_its_sender() {
    let scenario = Scenario::default();
    scenario.batch(&[
        ("good", PHONE, "good"),
        ("bad", OTHER_PHONE, "POISON"),
        ("worse", PHONE, "CRASHER"),
        ("bad-2", THIRD_PHONE, "POISON"),
    ]);
    scenario.minutes(6 * 60);
    assert_eq!(scenario.stored(), ["good"]);
    good_ones_come(&scenario, 14);
    let dead_letters = dead_letters(&scenario);
    let dead_letter: Vec<&str> = dead_letters.keys().map(String::as_str).collect();
    assert_eq!(dead_letter, ["bad", "bad-2", "worse"]);
}

#[test]
fn a_full_disk_is_not_stormed() {
    let scenario = Scenario::default();
    scenario.switch_off(Function::OutboundSender);
    for n in 0..100 {
        scenario.wants_to(&format!("out-{n}"), OTHER_PHONE);
    }
    scenario.switch_off(Function::MedicExchange);
    for n in 0..10 {
        scenario.phone_sends(&format!("in-{n}"), &format!("+2547000002{n:02}"), "hello");
    }
    scenario.seconds(1);
    scenario.medic.borrow_mut().disk_full = true;
    scenario.switch_on(Function::MedicExchange);
    scenario.seconds(15);
    let posts = scenario.posts().len();
    assert!(posts <= 30, "{posts} POSTs at once");
    scenario.minutes(20 * 60);
    let a_minute = scenario.posts().len() / (20 * 60);
    assert!(a_minute <= 45, "{a_minute} POSTs a minute");
    assert_eq!(scenario.events("status_refused"), 0);
    scenario.medic.borrow_mut().disk_full = false;
    scenario.switch_on(Function::OutboundSender);
    scenario.rest(6);
    assert_eq!(scenario.stored().len(), 10);
    scenario.keeps_its_promises();
}

#[test]
fn a_disk_that_fills_up_while_medic_has_part_of_a_batch_dead_letters_nothing() {
    let scenario = Scenario::without_polls();
    // Medic stores the batch and nobody hears of it; then its disk is full. What it has already it
    // recognises, and that shows nothing.
    scenario.dispositions(&[PostDisposition::AnswerLost]);
    scenario.batch(&[("a1", PHONE, "1"), ("b1", OTHER_PHONE, "2")]);
    scenario.seconds(20);
    scenario.phone_sends("a2", PHONE, "3");
    scenario.phone_sends("c1", THIRD_PHONE, "4");
    scenario.medic.borrow_mut().disk_full = true;
    scenario.minutes(60);
    assert!(dead_letters(&scenario).is_empty());
    scenario.medic.borrow_mut().disk_full = false;
    scenario.rest(1);
    scenario.keeps_its_promises();
}

#[test]
fn what_a_sender_sends_after_poison_does_not_wait_for_another_sender() {
    let scenario = Scenario::default();
    scenario.phone_sends("bad", PHONE, "POISON");
    for n in 0..12 {
        scenario.phone_sends(&format!("good-{n:02}"), PHONE, "good");
    }
    scenario.minutes(1);
    assert_eq!(scenario.stored().len(), 12);
    assert_eq!(scenario.quarantined(), ["bad"]);
    scenario.rest(3);
    scenario.keeps_its_promises();
}
