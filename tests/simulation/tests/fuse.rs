//! The fuse: storms and loops end at it, at exactly its count.

use bridge::domain::status::Status;
use simulation::faults::{Call, Fate};
use simulation::lambda::Function;
use simulation::medic::REPLY;
use simulation::scene::{OTHER_PHONE, PHONE, Scene};
use simulation::world::Settings;

fn with_limits(messages_an_hour: u32, same_text_a_day: u32) -> Scene {
    let mut settings = Settings::default();
    settings.fuse.messages_an_hour = messages_an_hour;
    settings.fuse.same_text_a_day = same_text_a_day;
    Scene::new(settings)
}

#[test]
fn a_robot_that_answers_every_reply_ends_at_the_fuse_and_alarms_once() {
    let scene = Scene::default();
    scene
        .africas_talking
        .borrow_mut()
        .robots
        .insert(PHONE.to_owned(), u32::MAX);
    scene.phone_sends("robot-begins", PHONE, REPLY);
    scene.rest(2);
    let limit = usize::try_from(scene.settings.fuse.messages_an_hour).unwrap();
    assert_eq!(scene.africas_talking.borrow().calls.len(), limit);
    // What it had sent in the end is answered with a failure, and nobody answers that.
    assert_eq!(scene.stored().len(), limit + 1);
    assert_eq!(scene.events("fuse_blown"), 1);
    let medic = scene.medic.borrow();
    let (last, earlier) = medic.outgoing.split_last().unwrap();
    assert_eq!(scene.told(&last.id), Some(Status::Failed));
    assert!(scene.reason(&last.id).unwrap().starts_with("fuse: "));
    assert!(
        earlier
            .iter()
            .all(|sms| scene.told(&sms.id) < Some(Status::Failed))
    );
    drop(medic);
    // Others are not concerned.
    scene.wants_to("out-1", OTHER_PHONE);
    scene.rest(1);
    assert_eq!(scene.calls("out-1"), 1);
    scene.keeps_its_promises();
}

#[test]
fn the_same_message_every_five_minutes_for_a_week_is_twenty_a_day() {
    let scene = Scene::default();
    for n in 0..2_016 {
        scene.medic.borrow_mut().wants(
            &format!("copy-{n}"),
            PHONE,
            "Please come to the clinic tomorrow",
        );
        scene.minutes(5);
    }
    scene.rest(1);
    let a_day = usize::try_from(scene.settings.fuse.same_text_a_day).unwrap();
    assert_eq!(scene.africas_talking.borrow().calls.len(), 7 * a_day);
    assert_eq!(scene.events("fuse_blown"), 7);
    let failed = (0..2_016).filter(|n| scene.told(&format!("copy-{n}")) == Some(Status::Failed));
    assert_eq!(failed.count(), 2_016 - 7 * a_day);
}

#[test]
fn senders_side_by_side_let_through_exactly_as_many_as_the_fuse() {
    for limit in [1, 17, 39] {
        let scene = with_limits(limit, 1_000);
        for n in 0..40 {
            scene.copy_into_outbox(&format!("out-{n}"));
        }
        scene.minutes(30);
        let at = scene.africas_talking.borrow();
        assert_eq!(u32::try_from(at.calls.len()).unwrap(), limit);
        assert_eq!(scene.events("fuse_blown"), 1);
        if limit > 10 {
            // They did run side by side: the calls of one lie between those of another.
            let tasks: Vec<_> = at.calls.iter().map(|call| call.task).collect();
            let returns = tasks.iter().enumerate().any(|(n, task)| {
                let earlier = tasks[..n].iter().rposition(|other| other == task);
                earlier.is_some_and(|earlier| earlier + 1 < n)
            });
            assert!(returns, "{tasks:?}");
        }
    }
}

#[test]
fn a_message_that_is_tried_again_counts_once() {
    let scene = with_limits(3, 1_000);
    scene.verdicts(&[simulation::africas_talking::Verdict::Http(429, false); 9]);
    for n in 0..4 {
        scene.wants(&format!("out-{n}"));
    }
    scene.rest(2);
    let at = scene.africas_talking.borrow();
    let sent = (0..4).map(|n| at.taken(&format!("out-{n}"))).sum::<usize>();
    assert_eq!((sent, at.calls.len()), (3, 12));
}

#[test]
fn a_message_that_was_claimed_and_not_called_for_counts_once() {
    let scene = with_limits(1, 1_000);
    // After this there is less left than a call may take.
    let slow = Fate::AnswersSlowly(50_000);
    scene
        .faults
        .script(Function::OutboundSender, Call::Write, 0, slow, 1);
    scene.wants("out-1");
    scene.rest(1);
    assert!(scene.was_written("no time was left"));
    assert_eq!(scene.africas_talking.borrow().taken("out-1"), 1);
    assert_eq!(scene.events("fuse_blown"), 0);
}
