//! `medic-exchange`, sentence by sentence of what it promises.

use bridge::domain::status::Status;
use simulation::africas_talking::Verdict;
use simulation::faults::{Call, Fate};
use simulation::lambda::Function;
use simulation::medic::{self, Logged, Mode, PostFate, State};
use simulation::scene::{OTHER_PHONE, PHONE, Scene, THIRD_PHONE};
use simulation::world::QueueName;

#[test]
fn an_offered_message_is_acknowledged_in_the_next_post_and_sent() {
    let scene = Scene::without_polls();
    scene.switch_off(Function::OutboundSender);
    scene.wants("out-1");
    scene.poll();
    scene.seconds(5);
    let posts = scene.posts();
    assert_eq!(posts.len(), 2);
    assert!(posts[0].updates.is_empty());
    assert_eq!(
        posts[1].updates,
        [("out-1".to_owned(), "UNSENT".to_owned())]
    );
    scene.switch_on(Function::OutboundSender);
    scene.seconds(20);
    assert_eq!(scene.calls("out-1"), 1);
}

#[test]
fn an_offered_message_is_in_outbox_before_it_has_a_row() {
    let scene = Scene::default();
    scene.wants("out-1");
    scene
        .faults
        .script(Function::MedicExchange, Call::Write, 0, Fate::DiesBefore, 1);
    scene.switch_off(Function::OutboundSender);
    scene.seconds(5);
    assert_eq!(scene.length(QueueName::Outbox), 1);
    assert!(scene.row("out-1").is_none());
    assert_eq!(scene.told("out-1"), None);
    scene.switch_on(Function::OutboundSender);
    scene.rest(1);
    assert_eq!(scene.calls("out-1"), 1);
    scene.keeps_its_promises();
}

#[test]
fn what_outbox_does_not_take_is_not_acknowledged() {
    let scene = Scene::default();
    scene.wants("out-1");
    scene
        .faults
        .script(Function::MedicExchange, Call::Send, 0, Fate::FailsBefore, 1);
    scene.seconds(30);
    assert_eq!(scene.told("out-1"), None);
    scene.rest(1);
    assert_eq!(scene.calls("out-1"), 1);
}

#[test]
fn a_message_that_is_offered_again_is_told_again_and_not_sent_again() {
    let scene = Scene::default();
    scene.verdicts(&[Verdict::Accepted(101)]);
    scene.wants("out-1");
    scene.rest(1);
    assert_eq!(scene.told("out-1"), Some(Status::Sent));
    // Medic's own mark fell over our update.
    scene.medic.borrow_mut().outgoing[0].state = State::Forwarded;
    scene.rest(1);
    assert_eq!(scene.told("out-1"), Some(Status::Sent));
    assert_eq!(scene.calls("out-1"), 1);
}

#[test]
fn a_queued_message_that_is_offered_again_goes_into_outbox_again_and_is_sent_once() {
    let scene = Scene::default();
    scene.switch_off(Function::OutboundSender);
    scene.wants("out-1");
    scene.seconds(30);
    scene.medic.borrow_mut().outgoing[0].state = State::Forwarded;
    scene.minutes(1);
    assert_eq!(scene.length(QueueName::Outbox), 2);
    scene.switch_on(Function::OutboundSender);
    scene.rest(1);
    assert_eq!(scene.calls("out-1"), 1);
    scene.keeps_its_promises();
}

#[test]
fn nothing_is_acknowledged_while_the_ledger_is_out_and_incoming_messages_do_not_wait_for_it() {
    let scene = Scene::default();
    scene.faults.ledger_out.set(true);
    scene.wants("out-1");
    scene.phone_sends("in-1", PHONE, "hello");
    scene.minutes(5);
    assert_eq!(scene.stored(), ["in-1"]);
    assert_eq!(scene.told("out-1"), None);
    scene.faults.ledger_out.set(false);
    scene.rest(1);
    scene.keeps_its_promises();
}

#[test]
fn an_automatic_reply_leaves_in_the_post_that_brought_the_message() {
    let scene = Scene::without_polls();
    scene.phone_sends("in-1", PHONE, "REPLY please");
    scene.seconds(15);
    assert_eq!(scene.calls("reply-to-in-1"), 1);
    assert_eq!(scene.posts()[0].messages, ["in-1"]);
}

#[test]
fn one_senders_messages_come_one_in_a_post_and_in_order_and_others_beside_them() {
    let scene = Scene::without_polls();
    scene.batch(&[
        ("a1", PHONE, "1"),
        ("a2", PHONE, "2"),
        ("b1", OTHER_PHONE, "3"),
        ("a3", PHONE, "4"),
    ]);
    scene.rest(1);
    let posts: Vec<_> = scene
        .posts()
        .into_iter()
        .map(|post| post.messages)
        .collect();
    assert_eq!(posts, [vec!["a1", "b1"], vec!["a2"], vec!["a3"]]);
    scene.keeps_its_promises();
}

#[test]
fn an_id_that_is_in_a_batch_twice_is_stored_once() {
    let scene = Scene::without_polls();
    scene.switch_off(Function::MedicExchange);
    scene.phone_sends("a1", PHONE, "1");
    scene.minutes(6);
    // Deduplication has forgotten it.
    scene.phone_sends("a1", PHONE, "1");
    scene.seconds(1);
    assert_eq!(scene.waiting(), ["a1", "a1"]);
    scene.switch_on(Function::MedicExchange);
    scene.rest(1);
    assert_eq!(scene.stored(), ["a1"]);
    assert_eq!(scene.posts().len(), 1);
}

#[test]
fn a_campaign_goes_on_by_itself_and_incoming_messages_do_not_wait_behind_it() {
    let scene = Scene::without_polls();
    scene.switch_off(Function::OutboundSender);
    for n in 0..500 {
        scene.wants_to(&format!("out-{n}"), OTHER_PHONE);
    }
    scene.poll();
    scene.seconds(3);
    scene.phone_sends("in-1", PHONE, "hello");
    scene.seconds(60);
    assert_eq!(scene.medic.borrow().waiting().count(), 0);
    let posts = scene.posts();
    let at = posts
        .iter()
        .position(|post| post.messages == ["in-1"])
        .unwrap();
    assert!(
        at < posts.len() - 3,
        "the SMS came {at}th of {}",
        posts.len()
    );
    let queue = scene.queue(QueueName::Exchange).borrow();
    let continues = queue
        .taken
        .iter()
        .filter(|body| body.contains("continue"))
        .count();
    assert!(continues >= 2, "{continues}");
}

#[test]
fn polls_that_are_older_than_two_minutes_are_dropped() {
    let scene = Scene::default();
    scene.switch_off(Function::MedicExchange);
    scene.minutes(30);
    assert_eq!(scene.length(QueueName::Exchange), 30);
    scene.switch_on(Function::MedicExchange);
    scene.seconds(20);
    assert_eq!(scene.length(QueueName::Exchange), 0);
    // One for those that were still good, and one for the next minute's.
    assert!(scene.posts().len() <= 2);
}

#[test]
fn doubt_returns_what_is_undone_and_waits_longer_than_the_time_out_and_begins_with_an_empty_post() {
    for doubt in [
        PostFate::AnswerLost,
        PostFate::Slow(80_000),
        PostFate::Proxy(502, 100, 30_000),
        PostFate::Proxy(504, 100, 30_000),
        PostFate::Html,
    ] {
        let scene = Scene::without_polls();
        scene.fates(&[PostFate::Fine, doubt]);
        scene.batch(&[
            ("a1", PHONE, "1"),
            ("a2", PHONE, "2"),
            ("b1", OTHER_PHONE, "3"),
        ]);
        let began_ms = scene.now_ms();
        scene.seconds(62);
        assert_eq!(scene.waiting(), ["a2"], "{doubt:?}");
        scene.rest(1);
        let posts = scene.posts();
        let after = posts
            .iter()
            .find(|post| post.at_ms > began_ms + 10_000)
            .unwrap();
        assert!(after.at_ms - began_ms > 65_000, "{doubt:?}");
        assert!(
            after.messages.is_empty() && after.updates.is_empty(),
            "{doubt:?}"
        );
        scene.keeps_its_promises();
    }
}

#[test]
fn nobody_posts_after_a_doubt_also_when_every_message_is_stored() {
    let scene = Scene::without_polls();
    scene.switch_off(Function::OutboundSender);
    scene.fates(&[PostFate::Fine, PostFate::Slow(80_000)]);
    scene.wants("out-1");
    scene.batch(&[("a1", PHONE, "1"), ("b1", OTHER_PHONE, "2")]);
    scene.seconds(62);
    assert_eq!(scene.stored().len(), 2);
    assert_eq!(scene.waiting().len(), 1, "one of them holds the lane");
    let began_ms = scene.now_ms();
    scene.phone_sends("c1", THIRD_PHONE, "3");
    scene.seconds(60);
    assert!(scene.posts().iter().all(|post| post.at_ms < began_ms));
    scene.switch_on(Function::OutboundSender);
    scene.rest(1);
    scene.keeps_its_promises();
}

#[test]
fn nothing_is_brought_until_the_empty_post_is_answered() {
    let scene = Scene::default();
    scene.fates(&[PostFate::AnswerLost]);
    scene.phone_sends("in-1", PHONE, "hello");
    scene.seconds(20);
    let until_ms = scene.now_ms() + 20 * 60_000;
    scene.medic.borrow_mut().hangs_until_ms = until_ms;
    scene.run_until(until_ms);
    let hung = scene.posts();
    assert!(hung.iter().skip(1).all(|post| post.messages.is_empty()));
    assert!(hung.len() > 5);
    scene.rest(1);
    assert_eq!(scene.stored(), ["in-1"]);
    scene.keeps_its_promises();
}

#[test]
fn a_refused_user_waits_for_minutes() {
    for status in [401, 403] {
        let scene = Scene::default();
        scene.medic.borrow_mut().mode = Mode::Answers(status);
        scene.phone_sends("in-1", PHONE, "hello");
        scene.minutes(30);
        let tries = scene.counts.borrow()[&format!("Medic: answers {status}")];
        assert!(tries <= 6, "{status}: {tries}");
        assert!(scene.events("medic_refused_credentials") > 0);
        scene.medic.borrow_mut().mode = Mode::Up;
        scene.rest(1);
        scene.keeps_its_promises();
    }
}

#[test]
fn who_is_let_in_by_nobody_for_a_moment_tries_again_soon_and_alarms_nobody() {
    let scene = Scene::default();
    scene.fates(&[PostFate::Refused(429)]);
    scene.phone_sends("in-1", PHONE, "hello");
    scene.seconds(60);
    assert_eq!(scene.stored(), ["in-1"]);
    assert_eq!(scene.events("medic_refused_credentials"), 0);
    scene.rest(1);
    scene.keeps_its_promises();
}

#[test]
fn a_medic_that_is_slow_and_well_is_worked_with_without_the_waits_of_an_outage() {
    let scene = Scene::default();
    for n in 0..1000 {
        scene.wants(&format!("out-{n}"));
    }
    scene.fates(&[PostFate::Slow(45_000); 400]);
    let longest_pause_ms = |posts: &[Logged]| {
        let pauses = posts.windows(2).map(|two| two[1].at_ms - two[0].at_ms);
        pauses.max().unwrap()
    };
    scene.minutes(60);
    let posts = scene.posts();
    assert!(posts.len() > 50);
    assert!(longest_pause_ms(&posts) < 90_000);
}

#[test]
fn the_first_act_holds_the_batch_for_longer_than_the_invocation_can_live() {
    let scene = Scene::without_polls();
    scene
        .faults
        .script(Function::MedicExchange, Call::Post, 0, Fate::DiesAfter, 1);
    let began_ms = scene.now_ms();
    scene.phone_sends("in-1", PHONE, "hello");
    // And for longer than Medic may work on a POST in which it died.
    scene.seconds(360);
    assert_eq!(scene.posts().len(), 1);
    scene.rest(1);
    let second = &scene.posts()[1];
    assert!(
        second.at_ms - began_ms > 364_000,
        "and comes back soon after"
    );
    assert!(second.at_ms - began_ms < 370_000);
    assert!(second.messages.is_empty());
    scene.keeps_its_promises();
}

#[test]
fn nothing_is_posted_for_a_batch_that_cannot_be_held() {
    let scene = Scene::without_polls();
    scene
        .faults
        .script(Function::MedicExchange, Call::Hide, 0, Fate::FailsBefore, 1);
    scene.phone_sends("in-1", PHONE, "hello");
    scene.seconds(60);
    assert!(scene.posts().is_empty());
    scene.rest(1);
    assert_eq!(scene.stored(), ["in-1"]);
}

#[test]
fn medic_away_for_ten_days_costs_nothing_and_nobodys_place() {
    let scene = Scene::default();
    scene.medic.borrow_mut().mode = Mode::Down;
    for day in 0..10 {
        for n in 0..24 {
            scene.phone_sends(&format!("in-{day}-{n}"), PHONE, "hello");
            scene.minutes(60);
        }
    }
    scene.medic.borrow_mut().mode = Mode::Up;
    scene.minutes(20);
    let minutes = scene.rest(24);
    assert!(minutes < 60, "drained after {minutes} minutes");
    assert_eq!(scene.stored().len(), 240);
    assert!(scene.dead.borrow().is_empty());
    scene.keeps_its_promises();
}

#[test]
fn a_restart_of_medic_loses_nothing_and_doubles_nothing() {
    let scene = Scene::default();
    scene.fates(&[PostFate::Slow(10_000)]);
    scene.batch(&[
        ("a", PHONE, "1"),
        ("b", OTHER_PHONE, "2"),
        ("c", THIRD_PHONE, "3"),
    ]);
    scene.seconds(5);
    medic::restart(&scene);
    scene.medic.borrow_mut().mode = Mode::Answers(503);
    scene.minutes(3);
    scene.medic.borrow_mut().mode = Mode::Up;
    scene.rest(1);
    scene.keeps_its_promises();
}

#[test]
fn nobody_posts_after_an_invocation_that_died_in_doubt_with_nothing_but_polls() {
    let scene = Scene::default();
    scene.wants("out-1");
    scene.verdicts(&[Verdict::Accepted(101)]);
    scene.rest(1);
    // The POST with a status hangs in Medic, and its invocation dies before it can say so.
    let hangs_until_ms = scene.now_ms() + 20 * 60_000;
    scene.medic.borrow_mut().hangs_until_ms = hangs_until_ms;
    scene
        .faults
        .script(Function::MedicExchange, Call::Post, 0, Fate::DiesAfter, 1);
    scene.report("out-1", "Success");
    let before = scene.posts().len();
    scene.run_until(hangs_until_ms);
    let posts = scene.posts();
    assert_eq!(posts[before].updates.len(), 1);
    assert!(posts.len() > before + 1);
    for post in &posts[before + 1..] {
        assert!(post.messages.is_empty() && post.updates.is_empty());
    }
    scene.rest(1);
    scene.keeps_its_promises();
}
