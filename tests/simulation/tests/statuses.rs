//! Statuses that Medic fails on: they are found among the good ones, and nothing waits behind them.

use bridge::domain::status::Status;
use simulation::africas_talking::SendDecision;
use simulation::lambda::Function;
use simulation::medic::PostDisposition;
use simulation::scenario::{OTHER_PHONE, PHONE, Scenario, THIRD_PHONE};
use simulation::world::QueueName;

#[test]
fn a_status_that_a_later_one_has_overtaken_is_not_tried_again() {
    let scenario = Scenario::without_polls();
    scenario.switch_off(Function::OutboundSender);
    scenario.wants_to("out-1", OTHER_PHONE);
    scenario.poll();
    // The offer; its UNSENT meets a full disk, alone too, while the sender goes on.
    scenario.dispositions(&[
        PostDisposition::Fine,
        PostDisposition::FullDisk,
        PostDisposition::Slow(20_000),
    ]);
    scenario.seconds(2);
    scenario.switch_on(Function::OutboundSender);
    scenario.seconds(60);
    scenario.polling.set(true);
    scenario.rest(3);
    scenario.keeps_its_promises();
}

#[test]
fn a_status_that_fails_alone_is_set_aside_for_an_hour_or_until_a_higher_one_comes() {
    let scenario = Scenario::default();
    scenario.wants("out-1");
    scenario.wants_to("out-2", OTHER_PHONE);
    scenario.medic.borrow_mut().outgoing[0].refuses = Some(Status::Sent.medic_name());
    scenario.verdicts(&[SendDecision::Accepted(101), SendDecision::Accepted(101)]);
    scenario.minutes(5);
    scenario.phone_sends("in-1", THIRD_PHONE, "hello");
    scenario.minutes(30);
    assert!(scenario.row("out-1").unwrap().refusal.is_some());
    assert_eq!(scenario.events("status_set_aside"), 1);
    assert_eq!(scenario.reported("out-2"), Some(Status::Sent));
    let posts = scenario.posts().len();
    scenario.minutes(10);
    assert_eq!(scenario.posts().len() - posts, 10, "polls only");
    scenario.report("out-1", "Success");
    scenario.rest(1);
    assert_eq!(scenario.reported("out-1"), Some(Status::Delivered));
}

#[test]
fn a_new_message_waits_for_seconds_only_behind_a_status_that_had_no_other_beside_it() {
    let scenario = Scenario::default();
    scenario.wants("out-1");
    scenario.medic.borrow_mut().outgoing[0].refuses = Some(Status::Sent.medic_name());
    scenario.verdicts(&[SendDecision::Accepted(101)]);
    scenario.minutes(6 * 60);
    // It is asked about each minute, and written down once.
    assert_eq!(scenario.events("status_failed"), 1);
    assert_eq!(scenario.events("status_set_aside"), 0);
    scenario.phone_sends("good", OTHER_PHONE, "good");
    scenario.seconds(40);
    assert_eq!(scenario.stored(), ["good"]);
    scenario.minutes(2);
    assert_eq!(scenario.events("status_set_aside"), 1);
    scenario.rest(1);
}

#[test]
fn a_status_that_nothing_else_came_beside_is_reported_a_minute_after_medic_takes_it() {
    for in_which in 1..=3 {
        let scenario = Scenario::default();
        for n in 0..in_which {
            scenario.wants_to(&format!("out-{n}"), &format!("+2547000002{n:02}"));
        }
        scenario.verdicts(&[SendDecision::Accepted(102); 3]);
        scenario.minutes(5);
        scenario.medic.borrow_mut().disk_full = true;
        for n in 0..in_which {
            scenario.report(&format!("out-{n}"), "Success");
        }
        scenario.minutes(3 * 60);
        assert_eq!(scenario.events("status_failed"), in_which);
        assert_eq!(scenario.events("status_set_aside"), 0);
        scenario.medic.borrow_mut().disk_full = false;
        scenario.minutes(1);
        for n in 0..in_which {
            let reported = scenario.reported(&format!("out-{n}"));
            assert_eq!(reported, Some(Status::Delivered));
        }
        scenario.keeps_its_promises();
    }
}

#[test]
fn a_status_that_always_fails_is_alarmed_on_after_the_fifth_time_beside_others() {
    let scenario = Scenario::default();
    scenario.wants("out-1");
    scenario.medic.borrow_mut().outgoing[0].refuses = Some(Status::Sent.medic_name());
    scenario.verdicts(&[SendDecision::Accepted(101)]);
    scenario.minutes(24 * 60);
    assert_eq!(
        scenario.events("status_set_aside") + scenario.events("status_refused"),
        0,
        "Medic takes no status"
    );
    for n in 0..8 {
        scenario.wants_to(&format!("other-{n}"), OTHER_PHONE);
        scenario.minutes(60);
    }
    assert_eq!(scenario.events("status_refused"), 1);
    let row = scenario.row("out-1").unwrap();
    let refusal = row.refusal.unwrap();
    assert!(refusal.answer.as_str().contains("Server error"));
}

#[test]
fn a_status_that_is_refused_does_not_stand_before_the_others_when_they_are_reported_one_by_one() {
    let scenario = Scenario::default();
    scenario.switch_off(Function::MedicExchange);
    for n in 0..12 {
        scenario.wants_to(&format!("out-{n}"), &format!("+2547000002{n:02}"));
    }
    scenario.medic.borrow_mut().outgoing[0].refuses = Some(Status::Sent.medic_name());
    scenario.verdicts(&[SendDecision::Accepted(101); 12]);
    // The messages are taken and acknowledged; then POSTs with statuses end without an answer until
    // one status is brought at a time.
    scenario.switch_on(Function::MedicExchange);
    scenario.dispositions(&[PostDisposition::Fine, PostDisposition::Html]);
    for _ in 0..7 {
        scenario.dispositions(&[PostDisposition::Fine, PostDisposition::Html]);
    }
    scenario.rest(4);
    scenario.minutes(2);
    assert!(scenario.events("status_set_aside") >= 1);
    for n in 1..12 {
        assert_eq!(
            scenario.reported(&format!("out-{n}")),
            Some(Status::Sent),
            "{n}"
        );
    }
}

#[test]
fn statuses_are_reported_while_messages_come_in_after_a_post_without_an_answer() {
    let scenario = Scenario::default();
    scenario.switch_off(Function::OutboundSender);
    for n in 0..60 {
        scenario.wants_to(&format!("out-{n}"), OTHER_PHONE);
    }
    scenario.dispositions(&[PostDisposition::Proxy(502, 100, 1_000)]);
    scenario.switch_off(Function::MedicExchange);
    for n in 0..600 {
        scenario.phone_sends(&format!("in-{n}"), PHONE, "hello");
    }
    scenario.seconds(1);
    scenario.switch_on(Function::MedicExchange);
    scenario.seconds(150);
    assert!(scenario.length(QueueName::Exchange) > 0, "still a backlog");
    assert_eq!(scenario.medic.borrow().waiting().count(), 0);
}

#[test]
fn a_status_that_ends_every_post_is_found_while_the_others_are_reported_and_messages_come_in() {
    let scenario = Scenario::default();
    scenario.switch_off(Function::OutboundSender);
    for n in 0..30 {
        scenario.wants_to(&format!("out-{n}"), OTHER_PHONE);
    }
    scenario.medic.borrow_mut().outgoing[7].crashes = Some(Status::Unsent.medic_name());
    for n in 0..60 {
        scenario.phone_sends(&format!("in-{n}"), PHONE, "hello");
        scenario.minutes(1);
    }
    assert_eq!(scenario.events("status_set_aside"), 1);
    assert!(scenario.row("out-7").unwrap().refusal.is_some());
    for n in (0..30).filter(|n| *n != 7) {
        assert_eq!(
            scenario.reported(&format!("out-{n}")),
            Some(Status::Unsent),
            "{n}"
        );
    }
    scenario.minutes(10);
    assert_eq!(scenario.stored().len(), 60);
}

#[test]
fn a_refused_status_is_reported_again_after_an_hour_while_medic_offers_the_message() {
    let scenario = Scenario::default();
    scenario.switch_off(Function::OutboundSender);
    scenario.wants("out-1");
    scenario.wants_to("out-2", OTHER_PHONE);
    scenario.medic.borrow_mut().outgoing[0].refuses = Some(Status::Unsent.medic_name());
    scenario.minutes(10);
    assert_eq!(scenario.events("status_set_aside"), 1);
    assert_eq!(
        scenario.length(QueueName::Outbox),
        2,
        "no copy for each offer"
    );
    scenario.medic.borrow_mut().outgoing[0].refuses = None;
    scenario.minutes(55);
    assert_eq!(scenario.reported("out-1"), Some(Status::Unsent));
}

#[test]
fn a_status_that_ends_every_post_is_set_aside_each_hour_while_others_keep_coming() {
    let scenario = Scenario::default();
    scenario.wants("out-1");
    scenario.medic.borrow_mut().outgoing[0].crashes = Some(Status::Sent.medic_name());
    scenario.verdicts(&[SendDecision::Accepted(101)]);
    let mut late = Vec::new();
    for n in 0..100 {
        let id = format!("other-{n}");
        scenario.wants_to(&id, &format!("+2547000003{n:02}"));
        scenario.phone_sends(&format!("in-{n}"), PHONE, "hello");
        scenario.minutes(4);
        if scenario.reported(&id) != scenario.row(&id).map(|row| row.status) {
            late.push(n);
        }
    }
    // After each hour it takes some POSTs to find it again.
    let aside = scenario.events("status_set_aside") + scenario.events("status_refused");
    assert!((4..=7).contains(&aside), "{aside}");
    assert!(late.len() <= 30, "{late:?}");
    scenario.minutes(20);
    assert_eq!(scenario.stored().len(), 100);
}

#[test]
fn statuses_that_failed_on_a_full_disk_do_not_wait_for_the_messages_that_waited() {
    let scenario = Scenario::default();
    for n in 0..20 {
        scenario.wants_to(&format!("out-{n}"), &format!("+2547000002{n:02}"));
    }
    scenario.verdicts(&[SendDecision::Accepted(102); 20]);
    scenario.minutes(5);
    scenario.medic.borrow_mut().disk_full = true;
    for n in 0..20 {
        scenario.report(&format!("out-{n}"), "Success");
    }
    scenario.minutes(30);
    for n in 0..100 {
        scenario.wants_to(&format!("more-{n}"), &format!("+2547000003{n:02}"));
    }
    for n in 0..1_500 {
        scenario.phone_sends(&format!("in-{n}"), &format!("+25470001{n:04}"), "hello");
    }
    scenario.minutes(30);
    assert!(scenario.events("status_failed") > 0);
    scenario.medic.borrow_mut().disk_full = false;
    scenario.seconds(75);
    assert!(scenario.stored().len() < 1_400, "there is still a backlog");
    for n in 0..20 {
        let reported = scenario.reported(&format!("out-{n}"));
        assert_eq!(reported, Some(Status::Delivered), "{n}");
    }
    scenario.rest(1);
    scenario.keeps_its_promises();
}

#[test]
fn ten_statuses_that_always_fail_and_one_that_ends_posts_keep_no_other_away() {
    let scenario = Scenario::default();
    scenario.switch_off(Function::OutboundSender);
    for n in 0..40 {
        scenario.wants_to(&format!("out-{n:02}"), &format!("+2547000002{n:02}"));
    }
    {
        let mut medic = scenario.medic.borrow_mut();
        for (n, message) in medic.outgoing.iter_mut().enumerate() {
            match n {
                0..10 => message.refuses = Some(Status::Sent.medic_name()),
                20 => message.crashes = Some(Status::Sent.medic_name()),
                _ => {}
            }
        }
    }
    scenario.verdicts(&[SendDecision::Accepted(101); 40]);
    scenario.minutes(10);
    // All rise at once: the ten are the first of every POST.
    scenario.switch_off(Function::MedicExchange);
    scenario.switch_on(Function::OutboundSender);
    scenario.minutes(5);
    scenario.switch_on(Function::MedicExchange);
    scenario.minutes(60);
    for n in (10..40).filter(|n| *n != 20) {
        let reported = scenario.reported(&format!("out-{n:02}"));
        assert_eq!(reported, Some(Status::Sent), "{n}");
    }
}
