//! `medic-exchange`, sentence by sentence of what it promises.

use bridge::domain::status::Status;
use models::medic::MessageState;
use simulation::africas_talking::SendDecision;
use simulation::faults::{CallDisposition, PortCall};
use simulation::lambda::Function;
use simulation::medic::{self, Logged, Mode, PostDisposition};
use simulation::scenario::{OTHER_PHONE, PHONE, Scenario, THIRD_PHONE};
use simulation::world::QueueName;

#[test]
fn an_offered_message_is_acknowledged_in_the_next_post_and_sent() {
    let scenario = Scenario::without_polls();
    scenario.switch_off(Function::OutboundSender);
    scenario.wants("out-1");
    scenario.poll();
    scenario.seconds(5);
    let posts = scenario.posts();
    assert_eq!(posts.len(), 2);
    assert!(posts[0].updates.is_empty());
    assert_eq!(
        posts[1].updates,
        [("out-1".to_owned(), "UNSENT".to_owned())]
    );
    scenario.switch_on(Function::OutboundSender);
    scenario.seconds(20);
    assert_eq!(scenario.calls("out-1"), 1);
}

#[test]
fn an_offered_message_is_in_outbox_before_it_is_acknowledged() {
    let scenario = Scenario::default();
    scenario.wants("out-1");
    // The one POST offers the message; the next would acknowledge it.
    scenario.faults.script(
        Function::MedicExchange,
        PortCall::Post,
        1,
        CallDisposition::DiesBefore,
        1,
    );
    scenario.switch_off(Function::OutboundSender);
    scenario.seconds(5);
    assert_eq!(scenario.length(QueueName::Outbox), 1);
    assert!(scenario.row("out-1").is_none());
    assert_eq!(scenario.reported("out-1"), None);
    scenario.switch_on(Function::OutboundSender);
    scenario.rest(1);
    assert_eq!(scenario.calls("out-1"), 1);
    scenario.keeps_its_promises();
}

#[test]
fn what_outbox_does_not_take_is_not_acknowledged() {
    let scenario = Scenario::default();
    scenario.wants("out-1");
    scenario.faults.script(
        Function::MedicExchange,
        PortCall::Send,
        0,
        CallDisposition::FailsBefore,
        1,
    );
    scenario.seconds(30);
    assert_eq!(scenario.reported("out-1"), None);
    scenario.rest(1);
    assert_eq!(scenario.calls("out-1"), 1);
}

#[test]
fn a_message_that_is_offered_again_is_reported_again_and_not_sent_again() {
    let scenario = Scenario::default();
    scenario.verdicts(&[SendDecision::Accepted(101)]);
    scenario.wants("out-1");
    scenario.rest(1);
    assert_eq!(scenario.reported("out-1"), Some(Status::Sent));
    // Medic's own mark fell over our update.
    scenario.medic.borrow_mut().outgoing[0].state = MessageState::ForwardedToGateway;
    scenario.rest(1);
    assert_eq!(scenario.reported("out-1"), Some(Status::Sent));
    assert_eq!(scenario.calls("out-1"), 1);
}

#[test]
fn a_queued_message_that_is_offered_again_goes_into_outbox_again_and_is_sent_once() {
    let scenario = Scenario::default();
    scenario.switch_off(Function::OutboundSender);
    scenario.wants("out-1");
    scenario.seconds(30);
    scenario.medic.borrow_mut().outgoing[0].state = MessageState::ForwardedToGateway;
    scenario.minutes(1);
    assert_eq!(scenario.length(QueueName::Outbox), 2);
    scenario.switch_on(Function::OutboundSender);
    scenario.rest(1);
    assert_eq!(scenario.calls("out-1"), 1);
    scenario.keeps_its_promises();
}

#[test]
fn nothing_is_acknowledged_while_the_ledger_is_out_and_incoming_messages_do_not_wait_for_it() {
    let scenario = Scenario::default();
    scenario.faults.ledger_out.set(true);
    scenario.wants("out-1");
    scenario.phone_sends("in-1", PHONE, "hello");
    scenario.minutes(5);
    assert_eq!(scenario.stored(), ["in-1"]);
    assert_eq!(scenario.reported("out-1"), None);
    scenario.faults.ledger_out.set(false);
    scenario.rest(1);
    scenario.keeps_its_promises();
}

#[test]
fn without_the_ledger_the_exchange_takes_nothing_from_medic_and_its_failures_are_counted_all_along()
{
    let scenario = Scenario::default();
    scenario.faults.ledger_out.set(true);
    scenario.wants("out-1");
    // As the alarm looks at it: three periods in a row.
    for _ in 0..3 {
        let before = scenario.events("ledger_failed");
        scenario.minutes(5);
        assert!(scenario.events("ledger_failed") > before);
    }
    assert_eq!(scenario.length(QueueName::Outbox), 0);
    assert!(scenario.was_written("\"AwsFailures\":1"));
}

#[test]
fn an_automatic_reply_leaves_in_the_post_that_brought_the_message() {
    let scenario = Scenario::without_polls();
    scenario.phone_sends("in-1", PHONE, "REPLY please");
    scenario.seconds(15);
    assert_eq!(scenario.calls("reply-to-in-1"), 1);
    assert_eq!(scenario.posts()[0].messages, ["in-1"]);
}

#[test]
fn one_senders_messages_come_one_in_a_post_and_in_order_and_others_beside_them() {
    let scenario = Scenario::without_polls();
    scenario.batch(&[
        ("a1", PHONE, "1"),
        ("a2", PHONE, "2"),
        ("b1", OTHER_PHONE, "3"),
        ("a3", PHONE, "4"),
    ]);
    scenario.rest(1);
    let posts: Vec<_> = scenario
        .posts()
        .into_iter()
        .map(|post| post.messages)
        .collect();
    assert_eq!(posts, [vec!["a1", "b1"], vec!["a2"], vec!["a3"]]);
    scenario.keeps_its_promises();
}

#[test]
fn an_id_that_is_in_a_batch_twice_is_stored_once() {
    let scenario = Scenario::without_polls();
    scenario.switch_off(Function::MedicExchange);
    scenario.phone_sends("a1", PHONE, "1");
    scenario.minutes(6);
    // Deduplication has forgotten it.
    scenario.phone_sends("a1", PHONE, "1");
    scenario.seconds(1);
    assert_eq!(scenario.waiting(), ["a1", "a1"]);
    scenario.switch_on(Function::MedicExchange);
    scenario.rest(1);
    assert_eq!(scenario.stored(), ["a1"]);
    assert_eq!(scenario.posts().len(), 1);
}

#[test]
fn a_campaign_goes_on_by_itself_and_incoming_messages_do_not_wait_behind_it() {
    let scenario = Scenario::without_polls();
    scenario.switch_off(Function::OutboundSender);
    for n in 0..500 {
        scenario.wants_to(&format!("out-{n}"), OTHER_PHONE);
    }
    scenario.poll();
    scenario.seconds(3);
    scenario.phone_sends("in-1", PHONE, "hello");
    scenario.seconds(60);
    assert_eq!(scenario.medic.borrow().waiting().count(), 0);
    let posts = scenario.posts();
    let at = posts
        .iter()
        .position(|post| post.messages == ["in-1"])
        .unwrap();
    assert!(
        at < posts.len() - 3,
        "the SMS came {at}th of {}",
        posts.len()
    );
    let queue = scenario.queue(QueueName::Exchange).borrow();
    let continues = queue
        .taken
        .iter()
        .filter(|body| body.contains("continue"))
        .count();
    assert!(continues >= 2, "{continues}");
}

#[test]
fn many_incoming_messages_come_before_a_campaign() {
    let scenario = Scenario::without_polls();
    scenario.switch_off(Function::OutboundSender);
    scenario.switch_off(Function::MedicExchange);
    for n in 0..500 {
        scenario.wants_to(&format!("out-{n}"), OTHER_PHONE);
    }
    for n in 0..60 {
        scenario.phone_sends(&format!("in-{n}"), &format!("+2547000010{n:02}"), "hello");
    }
    scenario.seconds(5);
    scenario.switch_on(Function::MedicExchange);
    scenario.minutes(2);
    assert_eq!(scenario.stored().len(), 60);
    assert_eq!(scenario.medic.borrow().waiting().count(), 0);
    let posts = scenario.posts();
    let has_messages: Vec<bool> = posts.iter().map(|p| !p.messages.is_empty()).collect();
    let last = has_messages.iter().rposition(|has| *has).unwrap();
    let before = &has_messages[..last];
    let of_the_campaign = before.iter().filter(|has| !**has).count();
    assert!(
        2 * of_the_campaign <= before.len(),
        "{of_the_campaign} of {}",
        before.len()
    );
}

#[test]
fn polls_that_are_older_than_two_minutes_are_dropped() {
    let scenario = Scenario::default();
    scenario.switch_off(Function::MedicExchange);
    scenario.minutes(30);
    assert_eq!(scenario.length(QueueName::Exchange), 30);
    scenario.switch_on(Function::MedicExchange);
    scenario.seconds(20);
    assert_eq!(scenario.length(QueueName::Exchange), 0);
    // One for those that were still good, and one for the next minute's.
    assert!(scenario.posts().len() <= 2);
}

#[test]
fn doubt_returns_what_is_undone_and_waits_longer_than_the_time_out_and_begins_with_an_empty_post() {
    for in_doubt in [
        PostDisposition::AnswerLost,
        PostDisposition::Slow(80_000),
        PostDisposition::Proxy(502, 100, 30_000),
        PostDisposition::Proxy(504, 100, 30_000),
    ] {
        let scenario = Scenario::without_polls();
        scenario.dispositions(&[PostDisposition::Fine, in_doubt]);
        scenario.batch(&[
            ("a1", PHONE, "1"),
            ("a2", PHONE, "2"),
            ("b1", OTHER_PHONE, "3"),
        ]);
        let began_ms = scenario.now_ms();
        scenario.seconds(62);
        assert_eq!(scenario.waiting(), ["a2"], "{in_doubt:?}");
        scenario.rest(1);
        let posts = scenario.posts();
        let after = posts
            .iter()
            .find(|post| post.at_ms > began_ms + 10_000)
            .unwrap();
        assert!(after.at_ms - began_ms > 65_000, "{in_doubt:?}");
        assert!(
            after.messages.is_empty() && after.updates.is_empty(),
            "{in_doubt:?}"
        );
        scenario.keeps_its_promises();
    }
}

#[test]
fn nobody_posts_after_a_doubt_also_when_every_message_is_stored() {
    let scenario = Scenario::without_polls();
    scenario.switch_off(Function::OutboundSender);
    scenario.dispositions(&[PostDisposition::Fine, PostDisposition::Slow(80_000)]);
    scenario.wants("out-1");
    scenario.batch(&[("a1", PHONE, "1"), ("b1", OTHER_PHONE, "2")]);
    scenario.seconds(62);
    assert_eq!(scenario.stored().len(), 2);
    assert_eq!(
        scenario.waiting().len(),
        1,
        "one of them holds the exchange"
    );
    let began_ms = scenario.now_ms();
    scenario.phone_sends("c1", THIRD_PHONE, "3");
    scenario.seconds(60);
    assert!(scenario.posts().iter().all(|post| post.at_ms < began_ms));
    scenario.switch_on(Function::OutboundSender);
    scenario.rest(1);
    scenario.keeps_its_promises();
}

#[test]
fn nothing_is_brought_until_the_empty_post_is_answered() {
    let scenario = Scenario::default();
    scenario.dispositions(&[PostDisposition::AnswerLost]);
    scenario.phone_sends("in-1", PHONE, "hello");
    scenario.seconds(20);
    let until_ms = scenario.now_ms() + 20 * 60_000;
    scenario.medic.borrow_mut().hangs_until_ms = until_ms;
    scenario.run_until(until_ms);
    let hung = scenario.posts();
    assert!(hung.iter().skip(1).all(|post| post.messages.is_empty()));
    assert!(hung.len() > 5);
    scenario.rest(1);
    assert_eq!(scenario.stored(), ["in-1"]);
    scenario.keeps_its_promises();
}

#[test]
fn a_refused_user_is_tried_about_once_a_minute() {
    for status in [401, 403] {
        let scenario = Scenario::default();
        scenario.medic.borrow_mut().mode = Mode::Answers(status);
        scenario.phone_sends("in-1", PHONE, "hello");
        scenario.minutes(30);
        let tries = scenario.counts.borrow()[&format!("Medic: answers {status}")];
        assert!((35..=45).contains(&tries), "{status}: {tries}");
        assert!(scenario.events("medic_refused_credentials") > 0);
        scenario.medic.borrow_mut().mode = Mode::Up;
        scenario.seconds(60);
        assert_eq!(scenario.stored(), ["in-1"]);
        scenario.rest(1);
        scenario.keeps_its_promises();
    }
}

#[test]
fn who_is_let_in_by_nobody_for_a_moment_tries_again_soon_and_alarms_nobody() {
    let scenario = Scenario::default();
    scenario.dispositions(&[PostDisposition::Refused(429)]);
    scenario.phone_sends("in-1", PHONE, "hello");
    scenario.seconds(60);
    assert_eq!(scenario.stored(), ["in-1"]);
    assert_eq!(scenario.events("medic_refused_credentials"), 0);
    scenario.rest(1);
    scenario.keeps_its_promises();
}

#[test]
fn a_medic_that_is_slow_and_well_is_worked_with_without_the_waits_of_an_outage() {
    let scenario = Scenario::default();
    for n in 0..1000 {
        scenario.wants(&format!("out-{n}"));
    }
    scenario.dispositions(&[PostDisposition::Slow(45_000); 400]);
    let longest_pause_ms = |posts: &[Logged]| {
        let pauses = posts.windows(2).map(|two| two[1].at_ms - two[0].at_ms);
        pauses.max().unwrap()
    };
    scenario.minutes(60);
    let posts = scenario.posts();
    assert!(posts.len() > 50);
    assert!(longest_pause_ms(&posts) < 90_000);
}

#[test]
fn the_first_act_extends_the_visibility_for_longer_than_the_invocation_can_live() {
    let scenario = Scenario::without_polls();
    scenario.faults.script(
        Function::MedicExchange,
        PortCall::Post,
        0,
        CallDisposition::DiesAfter,
        1,
    );
    let began_ms = scenario.now_ms();
    scenario.phone_sends("in-1", PHONE, "hello");
    // And for longer than Medic may work on a POST in which it died.
    scenario.seconds(360);
    assert_eq!(scenario.posts().len(), 1);
    scenario.rest(1);
    let second = &scenario.posts()[1];
    assert!(
        second.at_ms - began_ms > 364_000,
        "and comes back soon after"
    );
    assert!(second.at_ms - began_ms < 370_000);
    assert!(second.messages.is_empty());
    scenario.keeps_its_promises();
}

#[test]
fn nothing_is_posted_for_a_batch_before_its_visibility_is_extended() {
    let scenario = Scenario::without_polls();
    let ill = |times| {
        scenario.faults.script(
            Function::MedicExchange,
            PortCall::ChangeVisibility,
            0,
            CallDisposition::FailsBefore,
            times,
        );
    };
    // SQS is ill for a moment, and the invocation waits until it is well.
    ill(3);
    scenario.phone_sends("in-1", PHONE, "hello");
    scenario.seconds(60);
    assert_eq!(scenario.stored(), ["in-1"]);
    // It is ill for longer than an invocation can wait.
    ill(100);
    let posts = scenario.posts().len();
    scenario.phone_sends("in-2", PHONE, "hello");
    scenario.seconds(300);
    assert_eq!(scenario.posts().len(), posts);
    scenario.rest(1);
    assert_eq!(scenario.stored(), ["in-1", "in-2"]);
    scenario.keeps_its_promises();
}

#[test]
fn medic_away_for_ten_days_costs_nothing_and_nobodys_place() {
    let scenario = Scenario::default();
    scenario.medic.borrow_mut().mode = Mode::Down;
    for day in 0..10 {
        for n in 0..24 {
            scenario.phone_sends(&format!("in-{day}-{n}"), PHONE, "hello");
            scenario.minutes(60);
        }
    }
    scenario.medic.borrow_mut().mode = Mode::Up;
    scenario.minutes(20);
    let minutes = scenario.rest(24);
    assert!(minutes < 60, "drained after {minutes} minutes");
    assert_eq!(scenario.stored().len(), 240);
    assert!(scenario.expired.borrow().is_empty());
    scenario.keeps_its_promises();
}

#[test]
fn a_restart_of_medic_loses_nothing_and_doubles_nothing() {
    let scenario = Scenario::default();
    scenario.dispositions(&[PostDisposition::Slow(10_000)]);
    scenario.batch(&[
        ("a", PHONE, "1"),
        ("b", OTHER_PHONE, "2"),
        ("c", THIRD_PHONE, "3"),
    ]);
    scenario.seconds(5);
    medic::restart(&scenario);
    scenario.medic.borrow_mut().mode = Mode::Answers(503);
    scenario.minutes(3);
    scenario.medic.borrow_mut().mode = Mode::Up;
    scenario.rest(1);
    scenario.keeps_its_promises();
}

#[test]
fn nobody_posts_after_an_invocation_that_died_in_doubt_with_nothing_but_polls() {
    let scenario = Scenario::default();
    scenario.wants("out-1");
    scenario.verdicts(&[SendDecision::Accepted(101)]);
    scenario.rest(1);
    // The POST with a status hangs in Medic, and its invocation dies before it can say so.
    let hangs_until_ms = scenario.now_ms() + 20 * 60_000;
    scenario.medic.borrow_mut().hangs_until_ms = hangs_until_ms;
    scenario.faults.script(
        Function::MedicExchange,
        PortCall::Post,
        0,
        CallDisposition::DiesAfter,
        1,
    );
    scenario.report("out-1", "Success");
    let before = scenario.posts().len();
    scenario.run_until(hangs_until_ms);
    let posts = scenario.posts();
    assert_eq!(posts[before].updates.len(), 1);
    assert!(posts.len() > before + 1);
    for post in &posts[before + 1..] {
        assert!(post.messages.is_empty() && post.updates.is_empty());
    }
    scenario.rest(1);
    scenario.keeps_its_promises();
}
