//! What Medic refuses for ever, and what ends every POST: found among the good ones, and put aside.

use bridge::domain::status::Status;
use simulation::africas_talking::Verdict;
use simulation::lambda::Function;
use simulation::medic::PostFate;
use simulation::promises::parked;
use simulation::scene::{OTHER_PHONE, PHONE, Scene, THIRD_PHONE};
use simulation::world::QueueName;

#[test]
fn poison_is_found_among_good_ones_within_seconds_and_parked_with_medics_answer() {
    let scene = Scene::without_polls();
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
    scene.batch(&batch);
    scene.seconds(15);
    assert_eq!(scene.stored().len(), 8);
    assert!(parked(&scene)["in-4"].contains("Server error"));
    assert!(scene.waiting().is_empty());
    assert!(scene.was_written("\"Parked\":1"));
    scene.keeps_its_promises();
}

#[test]
fn what_fails_before_anything_is_stored_is_found_as_well() {
    let scene = Scene::without_polls();
    scene.batch(&[
        ("good-1", OTHER_PHONE, "good"),
        ("bad", PHONE, "THROWER"),
        ("good-2", THIRD_PHONE, "good"),
    ]);
    scene.seconds(15);
    assert_eq!(scene.stored().len(), 2);
    assert!(parked(&scene)["bad"].contains("Server error"));
    assert!(scene.waiting().is_empty());
    scene.keeps_its_promises();
}

#[test]
fn what_a_filter_before_medic_refuses_is_put_aside_and_blocks_nobody() {
    let scene = Scene::default();
    scene.phone_sends("bad", PHONE, "FILTERED");
    for n in 0..40 {
        scene.minutes(3);
        scene.phone_sends(&format!("good-{n}"), OTHER_PHONE, "good");
    }
    scene.rest(1);
    assert!(parked(&scene).contains_key("bad"));
    assert_eq!(scene.stored().len(), 40);
    scene.keeps_its_promises();
}

#[test]
fn statuses_that_fail_do_not_take_the_messages_turn() {
    let scene = Scene::default();
    for n in 1..=6 {
        scene.wants_to(&format!("out-{n}"), &format!("+25470000000{n}"));
    }
    for message in &mut scene.medic.borrow_mut().outgoing {
        message.refuses = Some(Status::Sent);
    }
    scene.verdicts(&[Verdict::Accepted(101); 6]);
    scene.phone_sends("bad", PHONE, "FILTERED");
    scene.minutes(40 * 60);
    assert!(parked(&scene).contains_key("bad"));
}

#[test]
fn what_fails_with_nothing_beside_it_is_not_parked_until_another_shows_that_medic_stores() {
    let scene = Scene::default();
    scene.phone_sends("bad", PHONE, "POISON");
    scene.minutes(10);
    assert!(parked(&scene).is_empty());
    scene.phone_sends("good", OTHER_PHONE, "good");
    scene.rest(1);
    assert_eq!(scene.stored(), ["good"]);
    assert!(parked(&scene).contains_key("bad"));
}

#[test]
fn what_has_no_other_beside_it_for_a_day_is_parked_also_while_a_status_fails() {
    let scene = Scene::default();
    scene.wants("out-1");
    scene.medic.borrow_mut().outgoing[0].refuses = Some(Status::Sent);
    scene.verdicts(&[Verdict::Accepted(101)]);
    scene.phone_sends("bad", PHONE, "POISON");
    scene.minutes(40 * 60);
    assert!(parked(&scene).contains_key("bad"));
}

#[test]
fn a_full_disk_parks_nothing_and_refuses_no_status() {
    let scene = Scene::default();
    scene.wants("out-1");
    scene.medic.borrow_mut().disk_full = true;
    for n in 0..12 {
        scene.phone_sends(&format!("in-{n}"), &format!("+2547000002{n:02}"), "hello");
    }
    scene.minutes(180);
    assert!(scene.stored().is_empty());
    assert_eq!(scene.length(QueueName::ExchangeParked), 0);
    scene.medic.borrow_mut().disk_full = false;
    scene.rest(2);
    assert_eq!(scene.events("status_refused"), 0);
    scene.keeps_its_promises();
}

#[test]
fn a_disk_that_was_full_a_moment_ago_is_no_poison() {
    let scene = Scene::without_polls();
    // The batch, and the first alone; then there is room again.
    scene.fates(&[PostFate::FullDisk, PostFate::Fine, PostFate::FullDisk]);
    scene.batch(&[("a1", PHONE, "1"), ("b1", OTHER_PHONE, "2")]);
    scene.rest(1);
    assert!(parked(&scene).is_empty());
    assert_eq!(scene.stored().len(), 2);
}

#[test]
fn no_message_of_a_sender_is_brought_to_see_whether_an_earlier_one_is_poison() {
    let scene = Scene::without_polls();
    scene.fates(&[PostFate::FullDisk]);
    scene.batch(&[("a1", PHONE, "1"), ("a2", PHONE, "2")]);
    scene.rest(1);
    assert_eq!(scene.stored(), ["a1", "a2"]);
}

#[test]
fn a_status_that_a_later_one_has_overtaken_is_not_tried_again() {
    let scene = Scene::without_polls();
    scene.switch_off(Function::OutboundSender);
    scene.wants_to("out-1", OTHER_PHONE);
    scene.poll();
    // The offer; its UNSENT meets a full disk, alone too, while the sender goes on.
    scene.fates(&[PostFate::Fine, PostFate::FullDisk, PostFate::Slow(20_000)]);
    scene.seconds(2);
    scene.switch_on(Function::OutboundSender);
    scene.seconds(60);
    scene.poll();
    scene.rest(1);
    scene.keeps_its_promises();
}

#[test]
fn a_message_that_ends_every_post_is_parked_in_the_end_and_the_others_get_through() {
    let scene = Scene::default();
    scene.batch(&[("bad", PHONE, "CRASHER"), ("good", OTHER_PHONE, "good")]);
    scene.minutes(60);
    assert_eq!(scene.stored(), ["good"]);
    for n in 0..6 {
        scene.phone_sends(&format!("later-{n}"), THIRD_PHONE, "good");
        scene.minutes(4);
        assert_eq!(scene.stored().len(), 2 + n, "nobody waits long");
    }
    scene.rest(1);
    assert!(parked(&scene).contains_key("bad"));
}

#[test]
fn what_ends_posts_is_not_brought_to_see_whether_another_is_poison() {
    let scene = Scene::default();
    scene.batch(&[("bad", PHONE, "POISON"), ("worse", OTHER_PHONE, "CRASHER")]);
    scene.minutes(4 * 24 * 60);
    let parked = parked(&scene);
    assert!(parked.contains_key("bad") && parked.contains_key("worse"));
}

#[test]
fn what_was_sent_after_a_message_that_ended_posts_is_not_brought_before_it() {
    let scene = Scene::without_polls();
    let (fine, doubt) = (PostFate::Fine, PostFate::Html);
    scene.fates(&[doubt]);
    for _ in 2..=5 {
        scene.fates(&[fine, doubt]);
    }
    // From now on one by one: the poison, and the first of the other sender as its witness.
    scene.fates(&[fine, fine, doubt]);
    scene.batch(&[
        ("bad", OTHER_PHONE, "POISON"),
        ("a1", PHONE, "1"),
        ("a2", PHONE, "2"),
    ]);
    scene.rest(30);
    assert_eq!(scene.stored(), ["a1", "a2"]);
    assert!(parked(&scene).contains_key("bad"));
}

#[test]
fn a_status_that_fails_alone_is_marked_alarmed_and_left_alone_until_a_higher_one_comes() {
    let scene = Scene::default();
    scene.wants("out-1");
    scene.wants_to("out-2", OTHER_PHONE);
    scene.medic.borrow_mut().outgoing[0].refuses = Some(Status::Sent);
    scene.verdicts(&[Verdict::Accepted(101), Verdict::Accepted(101)]);
    scene.minutes(5);
    scene.phone_sends("in-1", THIRD_PHONE, "hello");
    scene.minutes(30);
    assert!(scene.row("out-1").unwrap().refusal.is_some());
    assert_eq!(scene.events("status_refused"), 1);
    assert_eq!(scene.told("out-2"), Some(Status::Sent));
    let posts = scene.posts().len();
    scene.minutes(10);
    assert_eq!(scene.posts().len() - posts, 10, "polls only");
    scene.report("out-1", "Success");
    scene.rest(1);
    assert_eq!(scene.told("out-1"), Some(Status::Delivered));
}

#[test]
fn what_was_parked_can_be_put_back_twice_within_minutes_and_is_never_swallowed() {
    let scene = Scene::without_polls();
    scene.batch(&[("bad", PHONE, "POISON"), ("good", OTHER_PHONE, "good")]);
    scene.seconds(20);
    for n in 0..3 {
        assert!(parked(&scene).contains_key("bad"), "{n}");
        scene.switch_off(Function::MedicExchange);
        simulation::plan::put_back(&scene);
        scene.phone_sends(&format!("good-{n}"), OTHER_PHONE, "good");
        scene.seconds(1);
        scene.switch_on(Function::MedicExchange);
        scene.seconds(20);
    }
    assert!(parked(&scene).contains_key("bad"));
}

#[test]
fn a_new_message_waits_for_seconds_only_behind_poison_that_had_no_other_beside_it() {
    let scene = Scene::default();
    scene.phone_sends("bad", PHONE, "POISON");
    scene.minutes(60);
    assert!(parked(&scene).is_empty());
    scene.phone_sends("good", OTHER_PHONE, "good");
    scene.seconds(50);
    assert_eq!(scene.stored(), ["good"]);
    assert!(parked(&scene)["bad"].contains("Server error"));
    scene.rest(1);
    scene.keeps_its_promises();
}

#[test]
fn a_new_message_waits_for_seconds_only_behind_a_status_that_had_no_other_beside_it() {
    let scene = Scene::default();
    scene.wants("out-1");
    scene.medic.borrow_mut().outgoing[0].refuses = Some(Status::Sent);
    scene.verdicts(&[Verdict::Accepted(101)]);
    scene.minutes(6 * 60);
    assert_eq!(scene.events("status_refused"), 0);
    scene.phone_sends("good", OTHER_PHONE, "good");
    scene.seconds(40);
    assert_eq!(scene.stored(), ["good"]);
    assert_eq!(scene.events("status_refused"), 1);
    scene.rest(1);
}

#[test]
fn a_status_that_has_no_other_beside_it_for_a_day_is_refused() {
    let scene = Scene::default();
    scene.wants("out-1");
    scene.medic.borrow_mut().outgoing[0].refuses = Some(Status::Sent);
    scene.verdicts(&[Verdict::Accepted(101)]);
    scene.minutes(23 * 60);
    assert_eq!(scene.events("status_refused"), 0);
    scene.minutes(2 * 60);
    assert_eq!(scene.events("status_refused"), 1);
    let row = scene.row("out-1").unwrap();
    assert!(
        row.refusal
            .unwrap()
            .answer
            .as_str()
            .contains("Server error")
    );
}

#[test]
fn a_status_that_is_refused_does_not_stand_before_the_others_when_they_are_told_one_by_one() {
    let scene = Scene::default();
    scene.switch_off(Function::MedicExchange);
    for n in 0..12 {
        scene.wants_to(&format!("out-{n}"), &format!("+2547000002{n:02}"));
    }
    scene.medic.borrow_mut().outgoing[0].refuses = Some(Status::Sent);
    scene.verdicts(&[Verdict::Accepted(101); 12]);
    // The messages are taken and acknowledged; then POSTs with statuses end without an answer until
    // one status is brought at a time.
    scene.switch_on(Function::MedicExchange);
    scene.fates(&[PostFate::Fine, PostFate::Html]);
    for _ in 0..7 {
        scene.fates(&[PostFate::Fine, PostFate::Html]);
    }
    scene.rest(4);
    assert_eq!(scene.events("status_refused"), 1);
    for n in 1..12 {
        assert_eq!(scene.told(&format!("out-{n}")), Some(Status::Sent), "{n}");
    }
}

#[test]
fn poison_is_parked_beside_a_message_that_ends_every_post_and_another_of_its_sender() {
    let scene = Scene::default();
    scene.batch(&[
        ("good", PHONE, "good"),
        ("bad", OTHER_PHONE, "POISON"),
        ("worse", PHONE, "CRASHER"),
        ("bad-2", THIRD_PHONE, "POISON"),
    ]);
    scene.rest(40);
    assert_eq!(scene.stored(), ["good"]);
    let parked = parked(&scene);
    let parked: Vec<&str> = parked.keys().map(String::as_str).collect();
    assert_eq!(parked, ["bad", "bad-2", "worse"]);
}

#[test]
fn a_full_disk_is_not_stormed() {
    let scene = Scene::default();
    scene.switch_off(Function::OutboundSender);
    for n in 0..100 {
        scene.wants_to(&format!("out-{n}"), OTHER_PHONE);
    }
    scene.switch_off(Function::MedicExchange);
    for n in 0..10 {
        scene.phone_sends(&format!("in-{n}"), &format!("+2547000002{n:02}"), "hello");
    }
    scene.seconds(1);
    scene.medic.borrow_mut().disk_full = true;
    scene.switch_on(Function::MedicExchange);
    scene.seconds(15);
    let posts = scene.posts().len();
    assert!(posts <= 30, "{posts} POSTs at once");
    scene.minutes(20 * 60);
    let a_minute = scene.posts().len() / (20 * 60);
    assert!(a_minute <= 30, "{a_minute} POSTs a minute");
    assert_eq!(scene.events("status_refused"), 0);
    scene.medic.borrow_mut().disk_full = false;
    scene.switch_on(Function::OutboundSender);
    scene.rest(6);
    assert_eq!(scene.stored().len(), 10);
    scene.keeps_its_promises();
}

#[test]
fn statuses_are_told_while_messages_come_in_after_a_post_without_an_answer() {
    let scene = Scene::default();
    scene.switch_off(Function::OutboundSender);
    for n in 0..60 {
        scene.wants_to(&format!("out-{n}"), OTHER_PHONE);
    }
    scene.fates(&[PostFate::Proxy(502, 100, 1_000)]);
    scene.switch_off(Function::MedicExchange);
    for n in 0..600 {
        scene.phone_sends(&format!("in-{n}"), PHONE, "hello");
    }
    scene.seconds(1);
    scene.switch_on(Function::MedicExchange);
    scene.seconds(150);
    assert!(scene.length(QueueName::Exchange) > 0, "still a backlog");
    assert_eq!(scene.medic.borrow().waiting().count(), 0);
}

#[test]
fn a_status_that_ends_every_post_is_found_while_the_others_are_told_and_messages_come_in() {
    let scene = Scene::default();
    scene.switch_off(Function::OutboundSender);
    for n in 0..30 {
        scene.wants_to(&format!("out-{n}"), OTHER_PHONE);
    }
    scene.medic.borrow_mut().outgoing[7].crashes = Some(Status::Unsent);
    for n in 0..60 {
        scene.phone_sends(&format!("in-{n}"), PHONE, "hello");
        scene.minutes(1);
    }
    assert_eq!(scene.events("status_refused"), 1);
    assert!(scene.row("out-7").unwrap().refusal.is_some());
    for n in (0..30).filter(|n| *n != 7) {
        assert_eq!(scene.told(&format!("out-{n}")), Some(Status::Unsent), "{n}");
    }
    scene.minutes(10);
    assert_eq!(scene.stored().len(), 60);
}

#[test]
fn a_disk_that_fills_up_while_medic_has_part_of_a_batch_parks_nothing() {
    let scene = Scene::without_polls();
    // Medic stores the batch and nobody hears of it; then its disk is full. What it has already it
    // recognises, and that shows nothing.
    scene.fates(&[PostFate::AnswerLost]);
    scene.batch(&[("a1", PHONE, "1"), ("b1", OTHER_PHONE, "2")]);
    scene.seconds(20);
    scene.phone_sends("a2", PHONE, "3");
    scene.phone_sends("c1", THIRD_PHONE, "4");
    scene.medic.borrow_mut().disk_full = true;
    scene.minutes(60);
    assert!(parked(&scene).is_empty());
    scene.medic.borrow_mut().disk_full = false;
    scene.rest(1);
    scene.keeps_its_promises();
}

#[test]
fn what_a_sender_sends_after_poison_does_not_wait_for_another_sender() {
    let scene = Scene::default();
    scene.phone_sends("bad", PHONE, "POISON");
    for n in 0..12 {
        scene.phone_sends(&format!("good-{n:02}"), PHONE, "good");
    }
    scene.minutes(15);
    assert_eq!(scene.stored().len(), 12);
    assert!(parked(&scene).contains_key("bad"));
    scene.keeps_its_promises();
}

#[test]
fn a_refused_status_is_told_again_after_an_hour_while_medic_offers_the_message() {
    let scene = Scene::default();
    scene.switch_off(Function::OutboundSender);
    scene.wants("out-1");
    scene.wants_to("out-2", OTHER_PHONE);
    scene.medic.borrow_mut().outgoing[0].refuses = Some(Status::Unsent);
    scene.minutes(10);
    assert_eq!(scene.events("status_refused"), 1);
    assert_eq!(scene.length(QueueName::Outbox), 2, "no copy for each offer");
    scene.medic.borrow_mut().outgoing[0].refuses = None;
    scene.minutes(55);
    assert_eq!(scene.told("out-1"), Some(Status::Unsent));
}
