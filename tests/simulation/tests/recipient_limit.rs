//! The recipient limit: storms and loops end at it, at exactly its count.

use bridge::domain::status::Status;
use simulation::faults::{CallDisposition, PortCall};
use simulation::lambda::Function;
use simulation::medic::REPLY;
use simulation::scenario::{OTHER_PHONE, PHONE, Scenario};
use simulation::world::Settings;

fn with_limits(messages_per_hour: u32, same_text_per_day: u32) -> Scenario {
    let mut settings = Settings::default();
    settings.recipient_limit.messages_per_hour = messages_per_hour;
    settings.recipient_limit.same_text_per_day = same_text_per_day;
    Scenario::new(settings)
}

#[test]
fn a_robot_that_answers_every_reply_ends_at_the_recipient_limit_and_alarms_once() {
    let scenario = Scenario::default();
    scenario
        .africas_talking
        .borrow_mut()
        .robots
        .insert(PHONE.to_owned(), u32::MAX);
    scenario.phone_sends("robot-begins", PHONE, REPLY);
    scenario.rest(2);
    let limit = usize::try_from(scenario.settings.recipient_limit.messages_per_hour).unwrap();
    assert_eq!(scenario.africas_talking.borrow().calls.len(), limit);
    // What it had sent in the end is answered with a failure, and nobody answers that.
    assert_eq!(scenario.stored().len(), limit + 1);
    assert_eq!(scenario.events("recipient_limit_exceeded"), 1);
    let medic = scenario.medic.borrow();
    let (last, earlier) = medic.outgoing.split_last().unwrap();
    assert_eq!(scenario.reported(&last.id), Some(Status::Failed));
    assert!(
        scenario
            .reason(&last.id)
            .unwrap()
            .starts_with("recipient limit: ")
    );
    assert!(
        earlier
            .iter()
            .all(|sms| scenario.reported(&sms.id) < Some(Status::Failed))
    );
    drop(medic);
    // Others are not concerned.
    scenario.wants_to("out-1", OTHER_PHONE);
    scenario.rest(1);
    assert_eq!(scenario.calls("out-1"), 1);
    scenario.keeps_its_promises();
}

#[test]
fn a_message_whose_sender_ended_between_count_and_claim_counts_once() {
    let scenario = with_limits(2, 2);
    let dies = CallDisposition::DiesAfter;
    scenario
        .faults
        .script(Function::OutboundSender, PortCall::Write, 0, dies, 1);
    scenario.wants("out-1");
    scenario.minutes(10);
    for id in ["out-2", "out-3"] {
        scenario.wants(id);
        scenario.minutes(2);
    }
    let calls = ["out-1", "out-2", "out-3"].map(|id| scenario.calls(id));
    assert_eq!(calls, [1, 1, 0]);
    scenario.rest(1);
    assert_eq!(scenario.reported("out-3"), Some(Status::Failed));
    scenario.keeps_its_promises();
}

#[test]
fn the_same_message_every_five_minutes_for_a_week_is_twenty_a_day() {
    let scenario = Scenario::default();
    for n in 0..2_016 {
        scenario.medic.borrow_mut().wants(
            &format!("copy-{n}"),
            PHONE,
            "Please come to the clinic tomorrow",
        );
        scenario.minutes(5);
    }
    scenario.rest(1);
    let a_day = usize::try_from(scenario.settings.recipient_limit.same_text_per_day).unwrap();
    assert_eq!(scenario.africas_talking.borrow().calls.len(), 7 * a_day);
    assert_eq!(scenario.events("recipient_limit_exceeded"), 7);
    let failed =
        (0..2_016).filter(|n| scenario.reported(&format!("copy-{n}")) == Some(Status::Failed));
    assert_eq!(failed.count(), 2_016 - 7 * a_day);
}

#[test]
fn senders_side_by_side_let_through_exactly_as_many_as_the_recipient_limit() {
    for limit in [1, 17, 39] {
        let scenario = with_limits(limit, 1_000);
        for n in 0..40 {
            scenario.copy_into_outbox(&format!("out-{n}"));
        }
        scenario.minutes(30);
        let at = scenario.africas_talking.borrow();
        assert_eq!(u32::try_from(at.calls.len()).unwrap(), limit);
        assert_eq!(scenario.events("recipient_limit_exceeded"), 1);
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
    let scenario = with_limits(3, 1_000);
    scenario.verdicts(&[simulation::africas_talking::SendDecision::Http(429, false); 9]);
    for n in 0..4 {
        scenario.wants(&format!("out-{n}"));
    }
    scenario.rest(2);
    let at = scenario.africas_talking.borrow();
    let sent = (0..4).map(|n| at.taken(&format!("out-{n}"))).sum::<usize>();
    assert_eq!((sent, at.calls.len()), (3, 12));
}

#[test]
fn a_message_that_was_claimed_and_not_called_for_counts_once() {
    let scenario = with_limits(1, 1_000);
    // After this there is less left than a call may take.
    let slow = CallDisposition::AnswersSlowly(50_000);
    scenario
        .faults
        .script(Function::OutboundSender, PortCall::Write, 0, slow, 1);
    scenario.wants("out-1");
    scenario.rest(1);
    assert!(scenario.was_written("no time was left"));
    assert_eq!(scenario.africas_talking.borrow().taken("out-1"), 1);
    assert_eq!(scenario.events("recipient_limit_exceeded"), 0);
}
